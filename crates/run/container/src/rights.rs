//! What a container's programs may do, and what it means for a start that they may not.

use longshore_runtime::Seccomp;
use longshore_sandbox::{Filter, ProfileError, Rights, SandboxError, StartError, Status};

use crate::error::{ContainerError, Failure};
use crate::record::Record;

/// The rights of a container's programs.
pub(crate) fn rights(record: &Record) -> Result<Rights, ContainerError> {
    let (settings, capabilities) = (&record.settings, record.program.capabilities);
    let filter =
        filter(&settings.seccomp, capabilities).map_err(|error| ContainerError::of(&error, error.hint()))?;
    Ok(Rights { capabilities, filter, no_new_privileges: settings.no_new_privileges })
}

/// The filter of system calls for a container that may ever have these capabilities.
pub(crate) fn filter(seccomp: &Seccomp, capabilities: u64) -> Result<Filter, ProfileError> {
    match seccomp {
        Seccomp::Unconfined => Ok(Filter::None),
        Seccomp::Default => Ok(Filter::Default),
        Seccomp::Profile { text, .. } => Filter::of_profile(text, capabilities),
    }
}

/// The setting that chose the filter, as it is written on the command line.
pub(crate) fn filter_option(seccomp: &Seccomp) -> String {
    let value = match seccomp {
        Seccomp::Unconfined => "unconfined",
        Seccomp::Default => "default",
        Seccomp::Profile { name, .. } => name,
    };
    format!("--security-opt seccomp={value}")
}

/// Why a program of the container could not be started.
pub(crate) fn not_started(error: StartError, seccomp: &Seccomp) -> Failure {
    match error {
        StartError::Program { code, reason } => Failure::NotStarted(code, reason, None),
        StartError::User(reason) => Failure::Setting("--user".to_owned(), reason, None),
        StartError::Silent(status) if matches!(seccomp, Seccomp::Profile { .. }) => silent(status, seccomp),
        StartError::Silent(_) => Failure::Failed(ContainerError::of(&error, None)),
        StartError::Sandbox(error) => match &error {
            SandboxError::Foreign { .. } => Failure::NotStarted(126, error.to_string(), error.hint()),
            SandboxError::Limit { what, .. } => {
                let setting = match *what {
                    "memory" => "--memory",
                    "processor time" => "--cpus",
                    _ => "--pids-limit",
                };
                let error = ContainerError::of(&error, error.hint());
                Failure::Setting(setting.to_owned(), error.message, error.hint)
            }
            _ => Failure::Failed(ContainerError::of(&error, error.hint())),
        },
    }
}

/// The process ended before it was the program, under a profile of the user's.
fn silent(status: Status, seccomp: &Seccomp) -> Failure {
    let option = filter_option(seccomp);
    match status {
        Status::Exited(code @ (126 | 127)) => {
            let reason = format!("the program could not be started, and {option} let nobody tell why");
            Failure::NotStarted(code, reason, None)
        }
        _ => {
            let hint = "a profile must allow execve; where it does, the program may be one that cannot be run, and \
                        seccomp=unconfined would let that be told";
            Failure::Setting(option, StartError::Silent(status).to_string(), Some(hint.to_owned()))
        }
    }
}
