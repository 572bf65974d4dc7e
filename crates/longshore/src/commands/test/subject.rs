//! The image that is tested, and what is expected of it by itself and by its deployments.

use std::time::Duration;

use longshore_container::signal_number;
use longshore_events::Events;
use longshore_image::Image;
use longshore_oci::{ContainerConfig, Platform};
use longshore_prove::{Expectations, Subject, Users, user_number};
use longshore_runtime::{ContainerSettings, Runtime};
use longshore_sandbox::Isolation;
use longshore_snapshot::{SnapshotError, Snapshots, View};

use super::TestArgs;
use super::deployed::Deployment;
use crate::context::Context;
use crate::images;
use crate::inside;
use crate::ui::{CommandError, Ui};

/// Largest /etc/passwd that is read.
const MAX_USERS: u64 = 4 << 20;

/// The image, and what is known of it before anything runs.
pub(super) struct Tested {
    /// What it is called where its containers run.
    pub(super) name: String,
    /// What can be told of its processes' users.
    pub(super) users: Users,
    /// By which whoever waits is asked to stop.
    events: Events,
    pub(super) image: Image,
    pub(super) config: ContainerConfig,
    pub(super) platform: Platform,
    pub(super) snapshots: Snapshots,
    pub(super) view: View,
}

impl Tested {
    pub(super) fn open(arguments: &TestArgs, context: &Context, ui: &Ui) -> Result<Tested, CommandError> {
        let found = images::open(&arguments.image, context, ui.events())?;
        let image = match &arguments.platform {
            Some(platform) => found.select(platform)?,
            // An image for a single other platform is tested as far as it can be without running.
            None => match found.images()?.as_slice() {
                [only] => only.clone(),
                _ => found.select(&Platform::host())?,
            },
        };
        let config = image.config()?;
        let snapshots = Snapshots::open(&context.store()?, inside::ownership(), true)?;
        let view = snapshots.base(&image)?.view(ui.events())?;
        let users = match longshore_sandbox::inside() {
            Some(Isolation::SingleUser) => Users::Single,
            _ => Users::Seen,
        };
        Ok(Tested {
            name: arguments.image.to_string(),
            users,
            events: ui.events().clone(),
            platform: config.platform(),
            config: config.config,
            image,
            snapshots,
            view,
        })
    }

    pub(super) fn for_this_machine(&self) -> Result<(), String> {
        let host = Platform::host();
        match self.platform.satisfies(&host) {
            true => Ok(()),
            false => Err(format!(
                "the image is for {}, and this machine is {host}: nothing of it can run",
                self.platform
            )),
        }
    }

    /// The image by itself.
    pub(super) fn subject<'s>(
        &self,
        arguments: &TestArgs,
        runtime: &'s dyn Runtime,
    ) -> Result<Subject<'s>, SnapshotError> {
        self.under(arguments, runtime, ContainerSettings::default(), Expectations::of(&self.config))
    }

    /// The image with the settings of a deployment. What that says counts before what the image says.
    pub(super) fn deployed<'s>(
        &self,
        arguments: &TestArgs,
        runtime: &'s dyn Runtime,
        deployment: &Deployment,
    ) -> Result<Subject<'s>, SnapshotError> {
        let (settings, asked) = (&deployment.lowered.settings, &deployment.lowered.asked);
        let mut expectations = Expectations::of(&self.config);
        expectations.port = asked.port.or(expectations.port);
        expectations.ready_within = asked.ready_within.unwrap_or(expectations.ready_within);
        expectations.grace = asked.grace.unwrap_or(expectations.grace);
        let test = settings.health.as_ref().and_then(|health| health.test.first());
        expectations.healthcheck = test.map_or(expectations.healthcheck, |first| first != "NONE");
        if let Some(path) = &asked.health_path {
            expectations.health_paths = vec![path.clone()];
        }
        self.under(arguments, runtime, settings.clone(), expectations)
    }

    /// With settings and expectations, over which the command line's count.
    fn under<'s>(
        &self,
        arguments: &TestArgs,
        runtime: &'s dyn Runtime,
        mut settings: ContainerSettings,
        mut expectations: Expectations,
    ) -> Result<Subject<'s>, SnapshotError> {
        let config = &self.config;
        settings.image.clone_from(&self.name);
        settings.environment.retain(|(name, _)| arguments.env.iter().all(|(given, _)| given != name));
        settings.environment.extend(arguments.env.iter().cloned());
        let seconds = |given: Option<u64>, before| given.map_or(before, Duration::from_secs);
        expectations.ready_within = seconds(arguments.timeout, expectations.ready_within);
        expectations.grace = seconds(arguments.grace, expectations.grace);
        expectations.port = arguments.port.or(expectations.port);
        if let Some(path) = &arguments.health_path {
            expectations.health_paths = vec![format!("/{}", path.trim_start_matches('/'))];
            expectations.healthcheck = false;
        }
        let signal = settings.stop_signal.as_deref().or(config.stop_signal.as_deref());
        expectations.signal = signal.and_then(signal_number).unwrap_or(expectations.signal);
        let user = settings.user.as_deref().unwrap_or(&config.user);
        if !user.is_empty() {
            let users = self.view.read_small("/etc/passwd".as_ref(), MAX_USERS)?;
            expectations.user = user_number(user, &users.unwrap_or_default());
        }
        let own = settings.entrypoint.as_ref().or(config.entrypoint.as_ref());
        let command = settings.command.as_ref().or(match settings.entrypoint {
            Some(_) => None,
            None => config.cmd.as_ref(),
        });
        let program = own.into_iter().chain(command).flatten().take(2).map(String::as_str);
        let by_shell = program.eq(["/bin/sh", "-c"]);
        Ok(Subject {
            runtime,
            settings,
            expectations,
            users: self.users,
            by_shell,
            events: self.events.clone(),
        })
    }
}
