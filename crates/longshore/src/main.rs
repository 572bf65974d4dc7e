//! From a Go module to a small, hardened, reproducible container image, with no daemon and no root.
//!
//! The binary is thin: `arguments` says what may be typed, `context` makes of it what the libraries take, `commands` has one
//! file for each command (arguments in, one library call, rendering out), and `ui` is the only thing that prints. What a
//! process ends with is decided here and nowhere else.
//!
//! An unchanged build answers in milliseconds, so nothing is set up before something needs it: no async runtime, no TLS roots, no
//! terminal queries, no thread but the one that waits for signals.

mod arguments;
mod bases;
mod commands;
mod context;
mod environment;
mod exit;
mod front;
mod health;
mod images;
mod inside;
mod interrupt;
mod location;
mod services;
mod settings;
mod stage_images;
mod ui;

use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use arguments::Cli;
use context::Context;
use environment::Environment;
use exit::Exit;
use ui::Ui;

fn main() -> ExitCode {
    // Where this process was started as a part of a sandbox, it does that part and never comes back.
    longshore_sandbox::enter_if_child();
    // Or as what watches over a container.
    if let Some(code) = longshore_container::enter_if_monitor() {
        return Exit::Of(u8::try_from(code).unwrap_or(1)).into();
    }
    if let Some(exit) = front::become_go() {
        return exit.into();
    }
    ui::report_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error).into(),
    };
    let environment = Environment::read();
    let mut ui = Ui::new(&cli.global, &environment);
    interrupt::watch(ui.events());
    let context = Context::new(&cli.global, environment);
    let exit = match commands::run(cli.command, &context, &mut ui) {
        Ok(exit) => exit,
        Err(error) => ui.fail(&error),
    };
    ui.close();
    exit.into()
}

/// Prints what clap has to say: help and version are answers, all else is wrong usage.
fn refuse(mut error: clap::Error) -> Exit {
    // clap shows the help by itself only where no variable of the environment stands for a flag.
    if error.kind() == ErrorKind::MissingSubcommand && std::env::args_os().len() <= 1 {
        let help = Cli::command().render_help();
        let _ = anstream::stderr().write_all(help.ansi().to_string().as_bytes());
        return Exit::Usage;
    }
    // Whoever mistypes this flag may have typed the secret itself, and logs are read by many.
    if matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(flag)) if flag.starts_with("--secret"))
    {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    // A reader that went away heard enough.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}
