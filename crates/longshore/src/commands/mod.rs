//! One file for each command: arguments in, one library call, rendering out.

mod build;
mod cache;
mod completions;
mod container;
mod doctor;
mod image;
mod man;
mod plan;
mod reproduce;
mod test;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, Ui};

pub(crate) use build::{CacheWriteError, DestinationError, DockerfileError, TagError};
pub(crate) use container::CopyUsageError;
pub(crate) use image::TerminalError;
pub(crate) use test::WorkloadError;

/// What longshore can be told to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Plan(plan::PlanArgs),
    Build(Box<build::BuildArgs>),
    Reproduce(reproduce::ReproduceArgs),
    Test(Box<test::TestArgs>),
    Run(Box<container::RunArgs>),
    Ps(container::PsArgs),
    Logs(container::LogsArgs),
    Exec(container::ExecArgs),
    Cp(container::CpArgs),
    Start(container::StartArgs),
    Stop(container::StopArgs),
    Restart(container::RestartArgs),
    Kill(container::KillArgs),
    Rm(container::RmArgs),
    Wait(container::WaitArgs),
    Inspect(container::InspectArgs),
    Stats(container::StatsArgs),
    Top(container::TopArgs),
    #[command(subcommand)]
    Image(image::ImageCommand),
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Runs one command.
pub(crate) fn run(command: Command, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    match command {
        Command::Plan(arguments) => plan::plan(&arguments, context, ui),
        Command::Build(arguments) => build::build(&arguments, context, ui),
        Command::Reproduce(arguments) => reproduce::reproduce(&arguments, context, ui),
        Command::Test(arguments) => test::test(&arguments, context, ui),
        Command::Run(arguments) => container::run(&arguments, context, ui),
        Command::Ps(arguments) => container::ps(&arguments, context, ui),
        Command::Logs(arguments) => container::logs(&arguments, context, ui),
        Command::Exec(arguments) => container::exec(&arguments, context, ui),
        Command::Cp(arguments) => container::cp(&arguments, context, ui),
        Command::Start(arguments) => container::start(&arguments, context, ui),
        Command::Restart(arguments) => container::restart(&arguments, context, ui),
        Command::Stop(arguments) => container::stop(&arguments, context, ui),
        Command::Kill(arguments) => container::kill(&arguments, context, ui),
        Command::Rm(arguments) => container::rm(&arguments, context, ui),
        Command::Wait(arguments) => container::wait(&arguments, context, ui),
        Command::Inspect(arguments) => container::inspect(&arguments, context, ui),
        Command::Stats(arguments) => container::stats(&arguments, context, ui),
        Command::Top(arguments) => container::top(&arguments, context, ui),
        Command::Image(command) => image::image(&command, context, ui),
        Command::Cache(command) => cache::cache(&command, context, ui),
        Command::Doctor(arguments) => doctor::doctor(&arguments, context, ui),
        Command::Completions(arguments) => completions::completions(&arguments, ui),
        Command::Man(arguments) => man::man(&arguments, ui),
    }
}
