//! `longshore test`.

mod render;

use std::time::Duration;

use clap::Args;
use longshore_container::{Containers, Launch, OwnRuntime, signal_number};
use longshore_image::Image;
use longshore_oci::{ContainerConfig, Platform};
use longshore_prove::structure::{Document, Target, structure};
use longshore_prove::{
    Checks, Expectations, Outcome, Subject, Users, Verdict, behaviour, hardening, user_number,
};
use longshore_runtime::{ContainerSettings, Runtime};
use longshore_sandbox::Isolation;
use longshore_snapshot::{SnapshotError, Snapshots, View};

use self::render::TestReport;
use crate::arguments::OutputFormat;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::inside;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Ui};

/// Largest /etc/passwd that is read.
const MAX_USERS: u64 = 4 << 20;

/// Test an image: its structure, how it behaves, what hardening it bears
///
/// Structure tests are container-structure-test's files, as they are. Behaviour and hardening need no file: what is expected is read from the image.
/// Without any of the three named, behaviour and hardening are tested. Ends with 3 if a check failed, with 4 if one could not be made.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Image: a name or digest of the store, or a transport and a place, such as oci:DIR
    image: ImageLocation,

    /// File of structure tests, YAML or JSON; can be given several times
    #[arg(long, value_name = "FILE")]
    structure: Vec<std::path::PathBuf>,

    /// Test how it starts, answers, and ends
    #[arg(long)]
    behaviour: bool,

    /// Test the same under each constraint of a hardened deployment, and under all
    #[arg(long)]
    hardening: bool,

    /// Platform of the image, such as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,

    /// Port inside that it serves HTTP on [default: the lowest that it exposes, or its PORT]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Path whose 2xx shows its health [default: HEALTHCHECK, else /health, /healthz, /ready, /readyz, /livez, /]
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,

    /// Seconds in which it must become healthy
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,

    /// Seconds in which it must end when asked
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    grace: u64,

    /// Variable of its containers, NAME=VALUE; can be given several times
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// Stop at the first check that fails or cannot be made
    #[arg(long)]
    fail_fast: bool,

    /// How it is isolated [default: the best that works here; see `longshore doctor`]
    #[arg(long, value_name = "NAME")]
    isolation: Option<Isolation>,

    /// Form of the report; JSON has a version and a schema in docs/schema
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: TestFormat,
}

/// The form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum TestFormat {
    /// Lines for a person
    #[default]
    Human,
    /// One JSON document
    Json,
    /// JUnit's XML
    Junit,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(crate) fn test(arguments: &TestArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let documents = documents(arguments)?;
    let default = documents.is_empty() && !arguments.behaviour && !arguments.hardening;
    let behaves = arguments.behaviour || default;
    let is_hardened = arguments.hardening || default;
    let runs = behaves || is_hardened || documents.iter().any(|document| !document.command_tests.is_empty());
    let isolation = match runs {
        true => inside::for_containers(arguments.isolation).map_err(|error| error.to_string()),
        false => Err(String::new()),
    };
    if let Ok(isolation) = isolation
        && isolation.is_inside()
        && longshore_sandbox::inside() != Some(isolation)
    {
        return inside::go_inside(isolation, ui);
    }
    let tested = Tested::open(arguments, context, ui).map_err(|error| error.ending(Exit::Unchecked))?;
    let containers = Containers::of(&context.store()?);
    let launch = |isolation| Launch {
        containers: &containers,
        snapshots: &tested.snapshots,
        isolation,
        init: longshore_gobuild::probe(&Platform::host().architecture),
        events: ui.events(),
    };
    let image = |_: &str| Ok(tested.image.clone());
    let own = isolation
        .and_then(|isolation| tested.for_this_machine().map(|()| isolation))
        .map(|isolation| OwnRuntime { launch: launch(isolation), images: &image });
    let runtime = own.as_ref().map(|runtime| runtime as &dyn Runtime).map_err(Clone::clone);

    let mut checks = Checks::new(arguments.fail_fast);
    let name = arguments.image.to_string();
    let target =
        Target { image: &name, config: &tested.config, view: &tested.view, runtime: runtime.clone() };
    documents.iter().for_each(|document| structure(document, &target, &mut checks));
    match runtime {
        Ok(runtime) => {
            let subject = subject(arguments, &tested, &name, runtime)?;
            if behaves {
                behaviour(&subject, &mut checks);
            }
            if is_hardened {
                hardening(&subject, &mut checks);
            }
        }
        Err(reason) => {
            for (suite, wanted) in [("behaviour", behaves), ("hardening", is_hardened)] {
                if wanted {
                    checks.make(suite, "starts", || Outcome::unchecked(&reason));
                }
            }
        }
    }
    report(name, &tested, &checks, arguments.format, ui)
}

fn report(
    image: String,
    tested: &Tested,
    checks: &Checks,
    format: TestFormat,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let report = TestReport { image, platform: tested.platform.to_string(), checks: checks.made() };
    match format {
        TestFormat::Human => ui.report(&report, OutputFormat::Human)?,
        TestFormat::Json => ui.report(&report, OutputFormat::Json)?,
        TestFormat::Junit => ui.write(longshore_prove::junit(&report.image, report.checks).as_bytes())?,
    }
    Ok(match (checks.count(Verdict::Failed), checks.count(Verdict::Unchecked)) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::Unchecked,
        _ => Exit::Findings,
    })
}

fn documents(arguments: &TestArgs) -> Result<Vec<Document>, CommandError> {
    let mut documents = Vec::new();
    for path in &arguments.structure {
        let bytes = std::fs::read(path)
            .map_err(|source| CommandError::usage(FileError { path: path.display().to_string(), source }))?;
        let document = Document::parse(&path.display().to_string(), &bytes);
        documents.push(document.map_err(|error| {
            let hint = error.hint();
            let error = CommandError::usage(error);
            match hint {
                Some(hint) => error.hinted(hint),
                None => error,
            }
        })?);
    }
    Ok(documents)
}

/// A file of structure tests that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
struct FileError {
    path: String,
    #[source]
    source: std::io::Error,
}

/// The image, and what is known of it before anything runs.
struct Tested {
    image: Image,
    config: ContainerConfig,
    platform: Platform,
    snapshots: Snapshots,
    view: View,
}

impl Tested {
    fn open(arguments: &TestArgs, context: &Context, ui: &Ui) -> Result<Tested, CommandError> {
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
        Ok(Tested { platform: config.platform(), config: config.config, image, snapshots, view })
    }

    fn for_this_machine(&self) -> Result<(), String> {
        let host = Platform::host();
        match self.platform.satisfies(&host) {
            true => Ok(()),
            false => Err(format!(
                "the image is for {}, and this machine is {host}: nothing of it can run",
                self.platform
            )),
        }
    }
}

fn subject<'s>(
    arguments: &TestArgs,
    tested: &Tested,
    name: &str,
    runtime: &'s dyn Runtime,
) -> Result<Subject<'s>, SnapshotError> {
    let config = &tested.config;
    let mut expectations = Expectations::of(config);
    expectations.ready_within = Duration::from_secs(arguments.timeout);
    expectations.grace = Duration::from_secs(arguments.grace);
    expectations.port = arguments.port.or(expectations.port);
    if let Some(path) = &arguments.health_path {
        expectations.health_paths = vec![format!("/{}", path.trim_start_matches('/'))];
        expectations.healthcheck = false;
    }
    if let Some(signal) = config.stop_signal.as_deref().and_then(signal_number) {
        expectations.signal = signal;
    }
    if !config.user.is_empty() && expectations.user.is_none() {
        let users = tested.view.read_small("/etc/passwd".as_ref(), MAX_USERS)?;
        expectations.user = user_number(&config.user, &users.unwrap_or_default());
    }
    let program = config.entrypoint.iter().chain(&config.cmd).flatten().take(2).map(String::as_str);
    let settings = ContainerSettings {
        image: name.to_owned(),
        environment: arguments.env.clone(),
        ..ContainerSettings::default()
    };
    let users = match longshore_sandbox::inside() {
        Some(Isolation::SingleUser) => Users::Single,
        _ => Users::Seen,
    };
    let by_shell = program.eq(["/bin/sh", "-c"]);
    Ok(Subject { runtime, settings, expectations, users, by_shell })
}
