//! Whoever started the container, as long as they listen.
//!
//! What they have not taken yet is kept here, so that nothing else waits for them: health, signals and the end of the container go on. Once
//! much is kept, the container's outputs are not read any more ([`Client::is_behind`]), and the program waits as it would for a pipe that nobody
//! empties. Docker holds a container up alike, above 1 MB (moby: `pkg/ioutils/bytespipe.go`).

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;

use longshore_runtime::{ContainerState, ExitStatus};
use serde::Serialize;

use crate::error::Failure;
use crate::message::Message;

/// Bytes that are kept for somebody who does not read, before the container is held up.
const MOST: usize = 1 << 20;

/// The other end of the monitor's socket. Whoever hangs up is forgotten: the container runs on.
#[derive(Debug)]
pub(super) struct Client(RefCell<Option<Line>>);

#[derive(Debug)]
struct Line {
    control: UnixStream,
    waiting: Vec<u8>,
}

impl Client {
    /// Somebody at the other end of `control`. Where it cannot be kept from waiting there is nobody.
    pub(super) fn new(control: UnixStream) -> Client {
        let line = control.set_nonblocking(true).ok().map(|()| Line { control, waiting: Vec::new() });
        Client(RefCell::new(line))
    }

    /// Tells them, now or as soon as they listen.
    pub(super) fn tell(&self, message: &Message) {
        if let Some(line) = self.0.borrow_mut().as_mut() {
            // To memory; only a message of more than 4 GiB could be refused, and a pipe holds 64 KiB.
            let _ = message.send(&mut line.waiting);
        }
        self.go_on();
    }

    /// Gives them what they take of what is kept for them.
    pub(super) fn go_on(&self) {
        let mut line = self.0.borrow_mut();
        if line.as_mut().is_some_and(|line| line.send().is_err()) {
            *line = None;
        }
    }

    /// Whether something is kept for them.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|line| !line.waiting.is_empty())
    }

    /// Whether so much is kept that nothing should be added.
    pub(super) fn is_behind(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|line| line.waiting.len() >= MOST)
    }

    /// Waits until they have taken all, or are gone. Only when nothing else is left to do.
    pub(super) fn finish(&self) {
        let Some(mut line) = self.0.borrow_mut().take() else { return };
        // Whoever is gone needs nothing.
        let _ = line.control.set_nonblocking(false).and_then(|()| line.control.write_all(&line.waiting));
    }

    /// Tells that the program runs, and hangs up where no more is wanted.
    pub(super) fn tell_started(&self, state: &ContainerState, stays: bool) {
        self.tell(&Message::Started(json(state)));
        if !stays {
            self.finish();
        }
    }

    /// The last that is told.
    pub(super) fn tell_failure(&self, failure: &Failure) {
        self.tell(&Message::Failed(json(failure)));
        self.finish();
    }

    /// The last that is told.
    pub(super) fn tell_ended(&self, exit: &ExitStatus) {
        self.tell(&Message::Ended(json(exit)));
        self.finish();
    }

    pub(super) fn forget(&self) {
        *self.0.borrow_mut() = None;
    }

    /// A descriptor of the same socket, to be waited for and read from.
    pub(super) fn reader(&self) -> Option<UnixStream> {
        self.0.borrow().as_ref().and_then(|line| line.control.try_clone().ok())
    }
}

impl Line {
    /// Errors: they are gone.
    fn send(&mut self) -> std::io::Result<()> {
        let mut sent = 0;
        let answer = loop {
            let rest = self.waiting.get(sent..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.control.write(rest) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.waiting.drain(..sent);
        if self.waiting.is_empty() {
            // As a rule there is nothing; a monitor is small.
            self.waiting = Vec::new();
        }
        answer
    }
}

/// Writing these to memory cannot fail: their keys are texts.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
