//! Running a program in a container.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use longshore_runtime::{Execution, RuntimeError, RuntimeErrorKind};
use longshore_sandbox::{Isolation, Joined, Joining, Streams, join};

use crate::error::{ContainerError, failed};
use crate::folder::Container;
use crate::monitor::{environment, ulimits};
use crate::record::{Known, Record};
use crate::rights::{not_started, rights};

/// A program that joins: the container's environment and these variables, its user and folder where no other is named.
pub(crate) fn joining(
    record: &Record,
    known: &Known,
    arguments: &[String],
    variables: &[(String, String)],
    user: Option<&str>,
    folder: Option<&str>,
) -> Result<Joining, ContainerError> {
    let isolation: Isolation = record.isolation.parse().map_err(|error| ContainerError::of(&error, None))?;
    let process = known.state.process.ok_or_else(|| ContainerError::new("the container does not run"))?;
    let program = &record.program;
    let mut all = environment(&program.environment);
    // Another user has another home.
    if user.is_some_and(|user| user != program.user)
        && !record.settings.environment.iter().any(|(name, _)| name == "HOME")
    {
        all.retain(|(name, _)| name != "HOME");
    }
    for (name, value) in environment(variables) {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    Ok(Joining {
        isolation,
        process,
        groups: known.groups.clone(),
        arguments: arguments.iter().map(Into::into).collect(),
        environment: all,
        folder: PathBuf::from(folder.unwrap_or(&program.folder)),
        user: user.unwrap_or(&program.user).to_owned(),
        rights: rights(record)?,
        ulimits: ulimits(record),
    })
}

/// Where a program's input comes from and its output goes.
#[derive(Debug)]
pub enum Ends {
    /// To these.
    Streams {
        /// Standard input; nothing without.
        input: Option<OwnedFd>,
        /// Standard output.
        output: OwnedFd,
        /// Standard error output.
        errors: OwnedFd,
    },
    /// To a terminal of the container's, whose other end is in [`Joined::terminal`].
    Terminal,
}

impl Container {
    /// Starts a program in the container. It is killed when what is returned is dropped.
    ///
    /// Errors: the container does not run; the program, its folder or its user is not there.
    pub fn execute(&self, execution: &Execution, ends: Ends) -> Result<Joined, RuntimeError> {
        const ACTION: &str = "run a program in";
        let record = self.record(ACTION)?;
        let known = self.known(&record).map_err(failed(ACTION, &record.name))?;
        let running = known.filter(|known| known.state.process.is_some());
        let not_running = || RuntimeError::new(ACTION, &record.name, RuntimeErrorKind::NotRunning);
        let known = running.ok_or_else(not_running)?;
        let (user, folder) = (execution.user.as_deref(), execution.folder.as_deref());
        let joining = joining(&record, &known, &execution.arguments, &execution.environment, user, folder)
            .map_err(failed(ACTION, &record.name))?;
        let streams = match ends {
            Ends::Streams { input, output, errors } => Streams::Apart { input, output, errors },
            Ends::Terminal => Streams::Terminal,
        };
        join(&joining, streams).map_err(|error| {
            let failure = not_started(error, &record.settings.seccomp);
            RuntimeError::new(ACTION, &record.name, failure.into())
        })
    }
}
