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
    /// What they said, and was not done yet.
    heard: Vec<u8>,
    buffer: Vec<u8>,
}

/// What is to be waited for beside the container's outputs.
#[derive(Clone, Copy)]
struct Awaited<'w> {
    /// The end of the program, the present health check's end and output.
    handles: [Option<BorrowedFd<'w>>; 3],
    most: Option<Duration>,
    /// Whether the program may be held up for the client's sake.
    may_hold: bool,
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
            heard: Vec::new(),
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
            let handles = [Some(running.handle.as_fd()), check, said];
            let ready = watched.wait(&self.client, Awaited { handles, most: wait, may_hold: true });
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
            let most = Some(deadline.saturating_duration_since(Instant::now()));
            let ready = watched.wait(&self.client, Awaited { handles: [None; 3], most, may_hold: false });
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
            self.client.go_on();
            watched.hear(&self.client);
        }
        watched.give();
        watched.obey(&self.client);
    }
}

/// What can be read.
struct Ready {
    ended: bool,
    client: bool,
    sources: Vec<usize>,
}

impl Watched {
    fn wait(&self, client: &super::Client, awaited: Awaited<'_>) -> Ready {
        let Awaited { handles, most, may_hold } = awaited;
        let ended = handles[0];
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, self.pending.is_empty());
        flags.set(PollFlags::OUT, client.is_waiting());
        let line = self.client.as_ref().map(AsFd::as_fd).filter(|_| !flags.is_empty());
        let input = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let mut waits: Vec<PollFd<'_>> = handles.into_iter().flatten().map(input).collect();
        let before_line = waits.len();
        waits.extend(line.map(|line| PollFd::from_borrowed_fd(line, flags)));
        let before_sources = waits.len();
        let is_held = may_hold && client.is_behind();
        let sources = if is_held { &[][..] } else { &self.sources[..] };
        waits.extend(sources.iter().map(|source| input(source.end.as_fd())));
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
        Ready {
            ended: ended.is_some() && is_ready(0),
            client: line.is_some() && is_ready(before_line),
            sources: (0..sources.len()).filter(|index| is_ready(before_sources + index)).collect(),
        }
    }

    /// Hears what whoever is attached has to say.
    fn hear(&mut self, client: &super::Client) {
        let Some(from) = self.client.as_ref().filter(|_| self.pending.is_empty()) else { return };
        match rustix::io::read(from, &mut self.buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => self.hang_up(client),
            Ok(count) => self.heard.extend(self.buffer.iter().take(count)),
        }
    }

    /// They hung up: the program runs on, with an end to its input.
    fn hang_up(&mut self, client: &super::Client) {
        client.forget();
        self.client = None;
        if !self.is_terminal {
            self.input = None;
        }
    }

    /// Does what they said, until the program has to be waited for.
    fn obey(&mut self, client: &super::Client) {
        while self.pending.is_empty() {
            match Message::take(&mut self.heard) {
                Ok(None) => return,
                Ok(Some(Message::Input(bytes))) => {
                    self.pending = bytes;
                    self.give();
                }
                Ok(Some(Message::InputEnd)) if self.is_terminal => {
                    self.pending = vec![4];
                    self.give();
                }
                Ok(Some(Message::InputEnd)) => self.input = None,
                Ok(Some(Message::Size(rows, columns))) => self.resize(rows, columns),
                _ => {
                    self.heard.clear();
                    self.hang_up(client);
                    return;
                }
            }
        }
    }

    fn resize(&self, rows: u16, columns: u16) {
        if let Some(terminal) = self.input.as_ref().filter(|_| self.is_terminal) {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // A program whose terminal has another size than is seen is no reason to stop.
            let _ = rustix::termios::tcsetwinsize(terminal, size);
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
