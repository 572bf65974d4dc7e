//! Whoever started the container, as long as they listen.

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use longshore_runtime::{ContainerState, ExitStatus};
use serde::Serialize;

use crate::error::Failure;
use crate::message::Message;

/// How long somebody who does not read may hold the container's output up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The other end of the monitor's socket. Whoever hangs up is forgotten: the container runs on.
#[derive(Debug)]
pub(super) struct Client(RefCell<Option<UnixStream>>);

impl Client {
    pub(super) fn new(control: UnixStream) -> Client {
        // Where it cannot be set, a stopped reader holds the output up, as a full pipe would.
        let _ = control.set_write_timeout(Some(PATIENCE));
        Client(RefCell::new(Some(control)))
    }

    pub(super) fn tell(&self, message: &Message) {
        let mut control = self.0.borrow_mut();
        if control.as_mut().is_some_and(|control| message.send(control).is_err()) {
            *control = None;
        }
    }

    /// Tells that the program runs, and hangs up where no more is wanted.
    pub(super) fn tell_started(&self, state: &ContainerState, stays: bool) {
        self.tell(&Message::Started(json(state)));
        if !stays {
            self.forget();
        }
    }

    pub(super) fn tell_failure(&self, failure: &Failure) {
        self.tell(&Message::Failed(json(failure)));
    }

    pub(super) fn tell_ended(&self, exit: &ExitStatus) {
        self.tell(&Message::Ended(json(exit)));
    }

    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }

    /// A descriptor of the same socket, to be waited for and read from.
    pub(super) fn reader(&self) -> Option<UnixStream> {
        self.0.borrow().as_ref().and_then(|control| control.try_clone().ok())
    }
}

/// Writing these to memory cannot fail: their keys are texts.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
