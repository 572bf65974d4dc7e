//! Everything that a monitor waits for, in one place: output, the end of the program, the next health check, whoever is attached.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use longshore_runtime::{ExitStatus, LogStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::Winsize;

use super::health::Checks;
use super::{Monitor, Started, exit_status};
use crate::message::Message;

/// As much as a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How long output is waited for after the program's end, should somebody still hold its other end.
const REMAINDER: Duration = Duration::from_millis(200);

/// Our end of one of the program's outputs.
#[derive(Debug)]
pub(super) struct Source {
    stream: LogStream,
    end: OwnedFd,
}

impl Source {
    pub(super) fn output(end: OwnedFd) -> Source {
        Source { stream: LogStream::Stdout, end }
    }

    pub(super) fn errors(end: OwnedFd) -> Source {
        Source { stream: LogStream::Stderr, end }
    }
}

/// What is being waited for.
struct Watched {
    sources: Vec<Source>,
    /// Where input goes: the program's standard input or its terminal.
    input: Option<OwnedFd>,
    is_terminal: bool,
    /// Input that the program has not taken yet. As long as there is some, no more is heard.
    pending: Vec<u8>,
    client: Option<UnixStream>,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Watches over a program to its end.
    pub(super) fn watch(&mut self, started: Started) -> ExitStatus {
        let Started { running, output, terminal, input, _helpers: helpers } = started;
        let mut watched = Watched {
            sources: output,
            input,
            is_terminal: terminal.is_some(),
            pending: Vec::new(),
            client: self.client.reader(),
            buffer: vec![0; CHUNK],
        };
        if let Some(terminal) = terminal {
            watched.input = terminal.try_clone().ok();
            watched.sources.push(Source::output(terminal));
        }
        if let Some(input) = &watched.input {
            // A program that does not read must not keep its own output from being read. Otherwise it is as it was: a wait in vain.
            let _ = rustix::io::ioctl_fionbio(input, true);
        }
        longshore_sandbox::settle();
        let mut checks = self.record.health.clone().map(Checks::new);
        loop {
            let wait = checks.as_ref().map(Checks::wait);
            let [check, said] = checks.as_ref().map_or([None, None], Checks::handles);
            let ready = watched.wait([Some(running.handle.as_fd()), check, said], wait);
            self.take(&mut watched, &ready);
            if let Some(checks) = &mut checks
                && checks.step(&self.record, &self.known)
            {
                self.known.state.health = Some(checks.state.clone());
                self.write_state();
            }
            if ready.ended {
                break;
            }
        }
        drop(checks);
        let exit = exit_status(running.collect());
        let deadline = Instant::now() + REMAINDER;
        while !watched.sources.is_empty() && Instant::now() < deadline {
            let ready = watched.wait([None; 3], Some(deadline.saturating_duration_since(Instant::now())));
            self.take(&mut watched, &ready);
        }
        drop(helpers);
        self.last = Some(running);
        exit
    }

    fn take(&mut self, watched: &mut Watched, ready: &Ready) {
        for index in ready.sources.iter().rev() {
            let Some(source) = watched.sources.get(*index) else { continue };
            let stream = source.stream;
            match rustix::io::read(&source.end, &mut watched.buffer) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                // A terminal whose last program is gone answers with EIO.
                Ok(0) | Err(_) => drop(watched.sources.remove(*index)),
                Ok(count) => {
                    let bytes = &watched.buffer[..count];
                    self.log.take(stream, bytes);
                    if self.attached {
                        self.client.tell(&match stream {
                            LogStream::Stdout => Message::Output(bytes.to_vec()),
                            LogStream::Stderr => Message::Errors(bytes.to_vec()),
                        });
                    }
                }
            }
        }
        if ready.client {
            watched.hear(&self.client);
        } else {
            watched.give();
        }
    }
}

/// What can be read.
struct Ready {
    ended: bool,
    client: bool,
    sources: Vec<usize>,
}

impl Watched {
    fn wait(&self, handles: [Option<BorrowedFd<'_>>; 3], most: Option<Duration>) -> Ready {
        let ended = handles[0];
        let client = self.client.as_ref().map(AsFd::as_fd).filter(|_| self.pending.is_empty());
        let fixed: Vec<BorrowedFd<'_>> = handles.into_iter().chain([client]).flatten().collect();
        let mut waits: Vec<PollFd<'_>> = fixed
            .iter()
            .copied()
            .chain(self.sources.iter().map(|source| source.end.as_fd()))
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        if let Some(input) = self.input.as_ref().filter(|_| !self.pending.is_empty()) {
            waits.push(PollFd::new(input, PollFlags::OUT));
        }
        let most = most.map(|most| Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
            // One more, so that what is waited for is there afterwards.
            tv_nsec: i64::from(most.subsec_nanos().saturating_add(1)).min(999_999_999),
        });
        // An interrupt is followed by the next wait; nothing else can be wrong with these descriptors.
        let _ = poll(&mut waits, most.as_ref());
        let is_ready = |index: usize| waits.get(index).is_some_and(|wait| !wait.revents().is_empty());
        let sources = (0..self.sources.len()).filter(|index| is_ready(fixed.len() + index)).collect();
        Ready {
            ended: ended.is_some() && is_ready(0),
            client: client.is_some() && is_ready(fixed.len() - 1),
            sources,
        }
    }

    /// Hears what whoever is attached has to say.
    fn hear(&mut self, client: &super::Client) {
        let Some(from) = &mut self.client else { return };
        match Message::receive(from) {
            Ok(Some(Message::Input(bytes))) => {
                self.pending = bytes;
                self.give();
            }
            Ok(Some(Message::InputEnd)) => {
                if self.is_terminal {
                    self.pending = vec![4];
                    self.give();
                } else {
                    self.input = None;
                }
            }
            Ok(Some(Message::Size(rows, columns))) => {
                if let Some(terminal) = self.input.as_ref().filter(|_| self.is_terminal) {
                    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                    // A program whose terminal has another size than is seen is no reason to stop.
                    let _ = rustix::termios::tcsetwinsize(terminal, size);
                }
            }
            // They hung up: the program runs on, with an end to its input.
            _ => {
                client.forget();
                self.client = None;
                if !self.is_terminal {
                    self.input = None;
                }
            }
        }
    }

    /// Gives the program what it takes of its input. Once it does not read any more, there is none.
    fn give(&mut self) {
        while let Some(input) = self.input.as_ref().filter(|_| !self.pending.is_empty()) {
            match rustix::io::write(input, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.input = None,
            }
        }
        self.pending.clear();
    }
}
