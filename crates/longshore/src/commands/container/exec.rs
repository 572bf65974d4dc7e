//! `longshore exec`.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use clap::Args;
use longshore_container::Ends;
use longshore_runtime::{Execution, RuntimeError};
use rustix::termios::Winsize;

use super::containers;
use super::terminal::{Raw, pass_input, pass_signals, size};
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

/// Run a program in a container that runs
///
/// Ends with the program's exit code; 126 and 127 if it could not be started.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// Keep standard input open
    #[arg(long, short)]
    interactive: bool,

    /// Give it a terminal
    #[arg(long, short)]
    tty: bool,

    /// Variable of its environment
    #[arg(long, short, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// User that runs it
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Working folder
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,

    /// Container: its name, its id or the beginning of it
    container: String,

    /// Program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn exec(arguments: &ExecArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let container = containers(context)?.find("run a program in", &arguments.container)?;
    let pairs = arguments.env.iter().map(|text| text.split_once('=').unwrap_or((text, "")));
    let execution = Execution {
        arguments: arguments.command.clone(),
        environment: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        folder: arguments.workdir.clone(),
        user: arguments.user.clone(),
    };
    ui.close();
    let ends = if arguments.tty { Ends::Terminal } else { streams(arguments.interactive)? };
    let mut joined = container.execute(&execution, ends).map_err(|error: RuntimeError| {
        // What docker exec ends with where the container cannot be used is what it ends with for any failure of its own.
        let exit = if error.code() == 125 {
            Exit::Failed
        } else {
            Exit::Of(u8::try_from(error.code()).unwrap_or(1))
        };
        CommandError::from(error).ending(exit)
    })?;
    let terminal = joined.terminal.take();
    let raw = arguments.tty.then(Raw::enter).flatten();
    if let Some(terminal) = terminal {
        relay(terminal, arguments.interactive, ui)?;
    }
    let status = joined.wait();
    drop(raw);
    Ok(Exit::Of(u8::try_from(status?.code() & 0xff).unwrap_or(1)))
}

/// This process's own streams.
fn streams(interactive: bool) -> Result<Ends, CommandError> {
    let own = |stream: std::os::fd::BorrowedFd<'_>| {
        let copy = stream.try_clone_to_owned();
        copy.map_err(longshore_files::FileError::of("use", "the standard streams"))
    };
    Ok(Ends::Streams {
        input: interactive.then(|| own(std::io::stdin().as_fd())).transpose()?,
        output: own(std::io::stdout().as_fd())?,
        errors: own(std::io::stderr().as_fd())?,
    })
}

/// Shows what the terminal shows, until its last program is gone.
fn relay(terminal: OwnedFd, interactive: bool, ui: &mut Ui) -> Result<(), CommandError> {
    let copy = || terminal.try_clone().map_err(longshore_files::FileError::of("use", "the terminal"));
    let resized = copy()?;
    let resize = move || {
        if let Some((rows, columns)) = size() {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // It may be gone with its last program.
            let _ = rustix::termios::tcsetwinsize(&resized, size);
        }
    };
    resize();
    if interactive {
        let mut input = std::fs::File::from(copy()?);
        pass_input(move |bytes| {
            use std::io::Write;
            // The end of input is the key that says so.
            input.write_all(bytes.unwrap_or(&[4])).is_ok()
        });
    }
    pass_signals(move |signal| {
        if signal == signal_hook::consts::SIGWINCH {
            resize();
        }
    });
    let mut output = std::fs::File::from(terminal);
    let mut buffer = vec![0; 32 * 1024];
    // A terminal whose last program is gone answers with EIO.
    while let Ok(count @ 1..) = output.read(&mut buffer) {
        ui.write(buffer.get(..count).unwrap_or_default())?;
    }
    Ok(())
}
