//! `longshore run`.

use clap::Args;
use longshore_builder::ImageSource;
use longshore_container::{Attached, Containers, Event, Launch, Standby};
use longshore_image::Image;
use longshore_oci::{Platform, Reference};
use longshore_runtime::{RuntimeError, RuntimeErrorKind};
use longshore_sandbox::Isolation;
use longshore_snapshot::Snapshots;
use longshore_store::Store;
use signal_hook::consts::{SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGWINCH};

use super::settings::SettingsArgs;
use super::terminal::{Raw, pass_input, pass_signals, size};
use crate::context::Context;
use crate::exit::Exit;
use crate::inside;
use crate::stage_images::StageImages;
use crate::ui::{CommandError, Ui};

/// The SIGINT or SIGTERM that is no request any more: a program that is process 1 may not even notice them.
const INSISTS: u32 = 3;

/// What `run` ends with where no program was started, as Docker has it.
const NOT_RUN: Exit = Exit::Of(125);

/// Run a program of an image in a container
///
/// Ends with the program's exit code; 125 if the container could not be made, 126 and 127 if the program could not be started. With -d it prints
/// the container's id and leaves it to itself. Signals are passed on to the program; the third Ctrl-C kills it.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Leave it to itself, and print its id
    #[arg(long, short)]
    detach: bool,

    /// Ask the registry for the image even if it is here
    #[arg(long, value_name = "WHEN", default_value = "missing", value_parser = ["always", "missing", "never"])]
    pull: String,

    /// Platform of the image, such as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,

    /// How it is isolated [default: the best that works here; see `longshore doctor`]
    #[arg(long, value_name = "NAME")]
    isolation: Option<Isolation>,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Image: a name, or a digest
    image: String,

    /// Command instead of the image's, and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(arguments: &RunArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match start(arguments, context, ui) {
        Ok(Begun::Inside(exit)) => Ok(exit),
        Ok(Begun::Attached(attached)) if arguments.detach => {
            ui.print(&format!("{}\n", attached.container.id))?;
            Ok(Exit::Done)
        }
        Ok(Begun::Attached(attached)) => follow(arguments.settings.streams(), &attached, ui),
        Err(error) => Err(error),
    }
}

enum Begun {
    Attached(Box<Attached>),
    /// Another process did the work.
    Inside(Exit),
}

fn start(arguments: &RunArgs, context: &Context, ui: &mut Ui) -> Result<Begun, CommandError> {
    let variable = |name: &str| context.environment.variable(name)?.to_str().map(str::to_owned);
    let settings = arguments.settings.settings(&arguments.image, &arguments.command, &variable);
    let settings = settings.map_err(|error| CommandError::from(error).ending(NOT_RUN))?;
    let isolation = inside::for_containers(arguments.isolation)
        .map_err(|error| CommandError::from(error).ending(NOT_RUN))?;
    if isolation.is_inside() && longshore_sandbox::inside() != Some(isolation) {
        return inside::go_inside(isolation, ui).map(Begun::Inside);
    }
    // While the image is looked up, it starts.
    let standby = Standby::start();
    let store = context.store()?;
    let image = image(arguments, &store, context, ui).map_err(|error| error.ending(NOT_RUN))?;
    let snapshots = Snapshots::open(&store, inside::ownership(), true)?;
    let containers = Containers::of(&store);
    let launch = Launch {
        containers: &containers,
        snapshots: &snapshots,
        isolation,
        init: longshore_gobuild::probe(&Platform::host().architecture),
        events: ui.events(),
    };
    let attached = launch.start_by(standby, &settings, &image, !arguments.detach).map_err(|error| {
        let exit = Exit::Of(u8::try_from(error.code()).unwrap_or(125));
        CommandError::from(error).ending(exit)
    })?;
    for warning in &attached.state.warnings {
        ui.events().warn(warning);
    }
    Ok(Begun::Attached(Box::new(attached)))
}

/// The image: from the store, else from a registry.
fn image(arguments: &RunArgs, store: &Store, context: &Context, ui: &Ui) -> Result<Image, CommandError> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let found = match store.resolve(&arguments.image) {
        Ok(image) if arguments.pull != "always" => image,
        Err(error) if arguments.pull == "never" => return Err(error.into()),
        _ => {
            let reference: Reference = arguments.image.parse()?;
            let images = StageImages::new(context, ui.events())?;
            images
                .find(&reference, arguments.pull == "always", ui.events())
                .map_err(|error| RuntimeError::new("run", &arguments.image, RuntimeErrorKind::Image(error)))?
        }
    };
    Ok(found.select(&platform)?)
}

/// Shows what comes of it, to its end. It gets input if that is wanted, and may have a terminal.
pub(super) fn follow(
    (interactive, terminal): (bool, bool),
    attached: &Attached,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let raw = (terminal && interactive).then(Raw::enter).flatten();
    let input = attached.input();
    if let Some((rows, columns)) = size().filter(|_| terminal) {
        input.resize(rows, columns);
    }
    if interactive {
        let input = input.clone();
        pass_input(move |bytes| match bytes {
            Some(bytes) => input.give(bytes),
            None => input.end(),
        });
    }
    let container = attached.container.clone();
    let mut asked = 0;
    pass_signals(move |signal| {
        asked += u32::from(matches!(signal, SIGINT | SIGTERM));
        let signal = if asked >= INSISTS { SIGKILL } else { signal };
        if signal == SIGWINCH {
            if let Some((rows, columns)) = size().filter(|_| terminal) {
                input.resize(rows, columns);
            }
        } else {
            // It may have ended, which is seen elsewhere.
            let _ = match signal {
                SIGINT | SIGTERM | SIGQUIT => container.interrupt(signal),
                _ => container.signal(signal),
            };
        }
    });
    let exit = loop {
        match attached.next()? {
            Event::Output(bytes) => ui.write(&bytes)?,
            Event::Errors(bytes) => ui.write_errors(&bytes),
            Event::Ended(exit) => break exit,
            Event::Lost => {
                let state = attached.container.state("follow")?;
                break state.exit.unwrap_or(longshore_runtime::ExitStatus {
                    code: 137,
                    out_of_memory: false,
                    reason: Some("its monitor was killed".to_owned()),
                });
            }
        }
    };
    drop(raw);
    if let Some(reason) = &exit.reason {
        ui.events().warn(format!("the container ended with {}: {reason}", exit.code));
    }
    Ok(Exit::Of(u8::try_from(exit.code & 0xff).unwrap_or(1)))
}
