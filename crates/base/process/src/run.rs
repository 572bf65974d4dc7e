//! Running a child: one loop over its pipes and its end.
//!
//! A single `poll` waits for both outputs, the input and the leader's end at once, so no output can fill up while another is
//! being read, and no thread is left behind by a process that keeps a pipe open. It wakes at least every [`TICK`] to ask
//! whether the work was cancelled.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use longshore_events::{Cancelled, Events};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::command::Command;
use crate::error::ProcessErrorKind;
use crate::group::Group;
use crate::output::{Captured, Finished, Lines, Status, Stream};

/// The longest wait between two looks at the wish to stop.
const TICK: Duration = Duration::from_millis(40);
/// How long output is still awaited from processes that outlive the leader and hold its pipes.
const LINGER: Duration = Duration::from_millis(500);
const CHUNK: usize = 64 * 1024;

type Outcome<T> = Result<T, ProcessErrorKind>;

/// Why the group is being ended.
enum Ending {
    Cancelled,
    TimedOut(Duration),
}

pub(crate) fn run(
    command: &Command,
    events: &Events,
    on_line: &mut dyn FnMut(Stream, &str),
) -> Outcome<Finished> {
    events.check().map_err(ProcessErrorKind::Cancelled)?;
    let started = Instant::now();
    let mut running = Running::start(command)?;
    let ending = running.follow(command, events, on_line)?;
    let processor_time = running.group.processor_time();
    if ending.is_some() {
        running.group.signal(Signal::KILL);
    }
    let status = running.group.reap().map_err(handling("wait for its end"))?;
    match ending {
        Some(Ending::Cancelled) => Err(ProcessErrorKind::Cancelled(Cancelled)),
        Some(Ending::TimedOut(limit)) => Err(ProcessErrorKind::TimedOut(limit)),
        None => Ok(Finished {
            program: command.name(),
            environment: command.environment.clone(),
            status: Status::from_std(status),
            stdout: running.stdout.captured,
            stderr: running.stderr.captured,
            elapsed: started.elapsed(),
            processor_time,
        }),
    }
}

struct Running<'a> {
    group: Group,
    end: Option<OwnedFd>,
    stdout: Output<ChildStdout>,
    stderr: Output<ChildStderr>,
    input: Option<(ChildStdin, &'a [u8])>,
}

/// What is ready after a wait.
#[derive(Default, Clone, Copy)]
struct Ready {
    stdout: bool,
    stderr: bool,
    input: bool,
}

impl<'a> Running<'a> {
    fn start(command: &'a Command) -> Outcome<Self> {
        let mut description = std::process::Command::new(&command.program);
        description.args(&command.arguments).process_group(0);
        description.stdin(if command.input.is_some() { Stdio::piped() } else { Stdio::null() });
        description.stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &command.folder {
            description.current_dir(folder);
        }
        command.environment.apply(&mut description);
        let child = description.spawn().map_err(|error| start_error(command, error))?;
        let mut group = Group::new(child);
        let pipes = (group.child.stdout.take(), group.child.stderr.take(), group.child.stdin.take());
        let [out, err] = command.capture;
        let running = Running {
            end: group.end_descriptor(),
            group,
            stdout: Output::new(pipes.0, out),
            stderr: Output::new(pipes.1, err),
            input: pipes.2.zip(command.input.as_ref().map(|input| input.reveal().as_bytes())),
        };
        running.make_nonblocking().map_err(handling("prepare its pipes"))?;
        Ok(running)
    }

    fn make_nonblocking(&self) -> io::Result<()> {
        let outputs = [self.stdout.descriptor(), self.stderr.descriptor()];
        let input = self.input.as_ref().map(|(pipe, _)| pipe.as_fd());
        for descriptor in outputs.into_iter().chain([input]).flatten() {
            rustix::io::ioctl_fionbio(descriptor, true)?;
        }
        Ok(())
    }

    /// Moves bytes until the leader ended and its outputs are read. Says why the group was told to end, if it was.
    fn follow(
        &mut self,
        command: &Command,
        events: &Events,
        on_line: &mut dyn FnMut(Stream, &str),
    ) -> Outcome<Option<Ending>> {
        let timeout = command.timeout.map(|limit| (limit, Instant::now() + limit));
        let mut ending: Option<(Ending, Instant)> = None;
        let mut last_seen: Option<Instant> = None;
        loop {
            let ready = self.wait(last_seen.is_some()).map_err(handling("wait for its output"))?;
            let mut pass_on = |stream, line: &str| match command.environment.mask(line) {
                Some(masked) => on_line(stream, &masked),
                None => on_line(stream, line),
            };
            self.write(ready.input).map_err(handling("write to its standard input"))?;
            let moved = self.read(ready, &mut pass_on).map_err(handling("read its output"))?;
            let ended = self.group.has_ended().map_err(handling("wait for its end"))?;
            if ended {
                let since = *last_seen.get_or_insert_with(Instant::now);
                if moved {
                    last_seen = Some(Instant::now());
                }
                let closed = self.stdout.is_closed() && self.stderr.is_closed();
                if closed || ending.is_some() || (!moved && since.elapsed() >= LINGER) {
                    self.stdout.lines.finish(&mut |line| pass_on(Stream::Out, line));
                    self.stderr.lines.finish(&mut |line| pass_on(Stream::Err, line));
                    return Ok(ending.map(|(ending, _)| ending));
                }
            }
            match &mut ending {
                None => {
                    let over = timeout.filter(|(_, deadline)| Instant::now() >= *deadline);
                    let reason = match over {
                        _ if events.is_cancelled() => Some(Ending::Cancelled),
                        Some((limit, _)) if !ended => Some(Ending::TimedOut(limit)),
                        _ => None,
                    };
                    if let Some(reason) = reason {
                        self.group.signal(Signal::TERM);
                        ending = Some((reason, Instant::now() + command.grace));
                    }
                }
                Some((_, deadline)) if Instant::now() >= *deadline => self.group.signal(Signal::KILL),
                Some(_) => {}
            }
        }
    }

    fn wait(&self, ended: bool) -> io::Result<Ready> {
        let mut waits = Vec::with_capacity(4);
        let input = self.input.as_ref().map(|(pipe, _)| pipe.as_fd());
        let sources = [self.stdout.descriptor(), self.stderr.descriptor()];
        for descriptor in sources.into_iter().flatten() {
            waits.push(PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
        }
        if let Some(descriptor) = input {
            waits.push(PollFd::from_borrowed_fd(descriptor, PollFlags::OUT));
        }
        let end = self.end.as_ref().filter(|_| !ended);
        if let Some(end) = end {
            waits.push(PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN));
        }
        // Without a descriptor for the end, a leader that closed its outputs is only noticed by asking.
        let tick = if end.is_none() { TICK / 8 } else { TICK };
        let nanoseconds = i64::from(tick.subsec_nanos());
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        match rustix::event::poll(&mut waits, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let mut results = waits.iter().map(|wait| !wait.revents().is_empty());
        let mut next = |present: bool| present && results.next().unwrap_or(false);
        let stdout = next(sources[0].is_some());
        let stderr = next(sources[1].is_some());
        Ok(Ready { stdout, stderr, input: next(input.is_some()) })
    }

    fn write(&mut self, ready: bool) -> io::Result<()> {
        let Some((pipe, rest)) = self.input.as_mut().filter(|_| ready) else { return Ok(()) };
        match pipe.write(rest) {
            Ok(count) => *rest = &rest[count..],
            Err(error) if is_later(&error) => {}
            // A child may end, or close its input, without reading all of it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => *rest = &[],
            Err(error) => return Err(error),
        }
        if rest.is_empty() {
            self.input = None;
        }
        Ok(())
    }

    fn read(&mut self, ready: Ready, pass_on: &mut dyn FnMut(Stream, &str)) -> io::Result<bool> {
        let out = ready.stdout && self.stdout.read(&mut |line| pass_on(Stream::Out, line))?;
        let err = ready.stderr && self.stderr.read(&mut |line| pass_on(Stream::Err, line))?;
        Ok(out || err)
    }
}

struct Output<Pipe> {
    pipe: Option<Pipe>,
    lines: Lines,
    captured: Captured,
}

impl<Pipe: Read + AsFd> Output<Pipe> {
    fn new(pipe: Option<Pipe>, limit: usize) -> Self {
        Output { pipe, lines: Lines::default(), captured: Captured::new(limit) }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    fn is_closed(&self) -> bool {
        self.pipe.is_none()
    }

    /// Reads what is there, one chunk at most. Says whether bytes came.
    fn read(&mut self, on_line: &mut dyn FnMut(&str)) -> io::Result<bool> {
        let Some(pipe) = self.pipe.as_mut() else { return Ok(false) };
        let mut chunk = [0; CHUNK];
        match pipe.read(&mut chunk) {
            Ok(0) => {
                self.pipe = None;
                Ok(false)
            }
            Ok(count) => {
                self.captured.push(&chunk[..count]);
                self.lines.push(&chunk[..count], on_line);
                Ok(true)
            }
            Err(error) if is_later(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn handling(action: &'static str) -> impl FnOnce(io::Error) -> ProcessErrorKind {
    move |source| ProcessErrorKind::Handling { action, source }
}

/// The system says "no such file" for a missing program, a missing folder and a missing interpreter alike.
fn start_error(command: &Command, error: io::Error) -> ProcessErrorKind {
    let folder = command.folder.as_deref().filter(|folder| !folder.is_dir());
    let program = Path::new(&command.program);
    let is_path = program.components().count() > 1;
    match (error.kind(), folder) {
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, Some(folder)) => {
            ProcessErrorKind::NoFolder(folder.to_owned())
        }
        (io::ErrorKind::NotFound, None) if is_path && program.exists() => ProcessErrorKind::NoInterpreter,
        (io::ErrorKind::NotFound, None) => ProcessErrorKind::NotFound,
        (io::ErrorKind::PermissionDenied, _) => ProcessErrorKind::NotExecutable,
        _ => ProcessErrorKind::Start(error),
    }
}
