//! Starting containers that have ended: with the same settings, over what they changed, with a new monitor (moby: `daemon/start.go`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use longshore_runtime::{RuntimeError, RuntimeErrorKind};

use crate::error::{ContainerError, failed};
use crate::folder::Container;
use crate::launch::{Attached, Standby};
use crate::state::{TICK, is_alive};

/// How long somebody who holds an ended container may take: its monitor that writes down its end, or a copy of its files.
const PATIENCE: Duration = Duration::from_secs(10);

impl Container {
    /// Starts its program again. Nothing is done, and `None` returned, where it runs.
    ///
    /// `attached`: its output and end are told; otherwise they stand in its log and state alone. A container that lives in a user namespace can
    /// only be started from inside of one.
    ///
    /// Errors: it was to be removed at its end, or what it needs is not to be had any more; then it is as it was.
    pub fn start(&self, attached: bool) -> Result<Option<Attached>, RuntimeError> {
        const ACTION: &str = "start";
        let record = self.record(ACTION)?;
        let problem = |error: ContainerError| failed(ACTION, &record.name)(error);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let known = self.known(&record).map_err(problem)?;
            if known.is_some_and(|known| is_alive(known.state.status)) {
                return Ok(None);
            }
            if !self.is_watched().map_err(problem)? {
                break;
            }
            if Instant::now() > deadline {
                return Err(RuntimeError::new(ACTION, &record.name, RuntimeErrorKind::Timeout(PATIENCE)));
            }
            std::thread::sleep(TICK);
        }
        self.check_restart(ACTION)?;
        match Standby::start().begin(self, attached) {
            Ok((control, state)) => {
                Ok(Some(Attached { container: self.clone(), state, control: Arc::new(control) }))
            }
            Err(failure) => Err(RuntimeError::new(ACTION, &record.name, failure.into())),
        }
    }

    /// Ends it as [`Container::stop`] does, if it runs, and starts it again.
    ///
    /// Errors: it is to be removed at its end; or it does not end, or cannot be started.
    pub fn restart(&self, timeout: Option<Duration>) -> Result<Option<Attached>, RuntimeError> {
        self.stop_to_restart(timeout)?;
        self.start(false)
    }

    /// Ends it as [`Container::stop`] does, if it may be started again.
    ///
    /// Errors: it is to be removed at its end, or does not end.
    pub fn stop_to_restart(&self, timeout: Option<Duration>) -> Result<(), RuntimeError> {
        self.check_restart("restart")?;
        self.stop(timeout)
    }

    /// Whether it may be started when it has ended.
    fn check_restart(&self, action: &'static str) -> Result<(), RuntimeError> {
        let record = self.record(action)?;
        if !record.settings.remove {
            return Ok(());
        }
        let error = ContainerError {
            message: "it was started with --rm, and ends once".to_owned(),
            hint: Some("`longshore run` without --rm makes one that can be started again".to_owned()),
        };
        Err(failed(action, &record.name)(error))
    }
}
