//! `probe init`: process 1 for a command that was not written to be one.
//!
//! The kernel treats process 1 apart: a signal that it has no handler for does not end it, and whatever loses its parent becomes its child and
//! stays a zombie until it is waited for. So this stands in between: it passes signals on, and collects what has ended. It behaves as
//! dumb-init 1.2 does, and has what tini 0.19 offers beyond that; docs/probe.md says where the two contradict each other, and who wins.

mod options;
mod signals;
mod start;

use crate::arguments::Arguments;
use crate::system::{self, SIGCHLD, SIGCONT, SIGHUP, SIGSTOP, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU};
use crate::text::{self, Digits};
use options::{Options, Reach};

/// Runs the command.
pub(crate) fn main(mut arguments: Arguments) -> ! {
    let mut options = Options::new();
    options::parse(&mut options, &mut arguments);
    system::exit(run(&options, &arguments))
}

/// Runs the command; returns the exit code.
fn run(options: &Options, command: &Arguments) -> i32 {
    // From here on signals wait until they are asked for. What was ignored by a parent, such as nohup, would not come at all.
    system::block_signals(true);
    system::reset_signals();
    let mut ignored_once = [0; 2];
    // Leaving the terminal lets the command's session have it. To a session's leader the kernel then sends two signals, which are not meant for the
    // command.
    if options.reach == Reach::Session
        && system::leave_terminal() == 0
        && system::session_leader() == system::own_process()
    {
        ignored_once = [SIGHUP, SIGCONT];
    }
    // Whatever cannot be done that was asked for, or is needed, keeps the command from being started.
    let mut child = 0;
    if options.subreaper {
        child = system::become_subreaper();
    }
    if options.parent_death > 0 {
        child |= system::signal_at_parents_death(options.parent_death);
    }
    if child == 0 {
        child = start::start(options, command);
    }
    if child < 0 {
        start::fail(b"", child);
    }
    let init = Init { options, child: child as i32, ignored_once, drain: Drain::Awaited };
    system::go_to_root();
    init.run()
}

/// What has become of the first SIGTERM, where it is to be held back.
#[derive(Clone, Copy)]
enum Drain {
    Awaited,
    /// It came, and is passed on at this moment, in milliseconds.
    Until(u64),
    Over,
}

struct Init<'o> {
    options: &'o Options,
    child: i32,
    ignored_once: [u8; 2],
    drain: Drain,
}

impl Init<'_> {
    /// Passes signals on until the command has ended. Returns its exit code.
    fn run(mut self) -> i32 {
        loop {
            let left = match self.drain {
                Drain::Until(end) => Some(end.saturating_sub(system::now())),
                _ => None,
            };
            let signal = system::wait_for_signal(left);
            if signal == SIGCHLD as isize {
                if let Some(code) = self.reap() {
                    return self.finish(code);
                }
            } else if signal > 0 {
                self.signal(signal as u8);
            } else if left == Some(0) {
                self.signal(SIGTERM);
            }
        }
    }

    /// Collects all that has ended. Returns the command's exit code, if it is among that.
    fn reap(&self) -> Option<u8> {
        let mut command = None;
        let mut code = 0;
        loop {
            let process = system::reap(&mut code);
            if process <= 0 {
                return command;
            }
            if process == self.child as isize {
                command = Some(code);
            } else if self.options.warn || self.options.verbose {
                say("collected orphan ", process as u32);
            }
        }
    }

    fn finish(&self, code: u8) -> i32 {
        self.tell("the command ended with ", code.into());
        // Whatever is left of the session must not outlive it; as process 1, the kernel would end it without asking.
        if self.options.reach == Reach::Session {
            self.pass_on(SIGTERM);
        }
        self.options.mapped(code)
    }

    fn signal(&mut self, signal: u8) {
        for ignored in &mut self.ignored_once {
            if *ignored == signal {
                *ignored = 0;
                return;
            }
        }
        if signal == SIGTERM {
            if self.options.drain > 0
                && let Drain::Awaited = self.drain
            {
                self.drain = Drain::Until(system::now() + self.options.drain);
                return;
            }
            self.drain = Drain::Over;
        }
        self.pass_on(signal);
        if let SIGTSTP | SIGTTOU | SIGTTIN = signal {
            // So that the shell that waits for this process sees that the command stands still. Process 1 cannot be stopped, and goes on.
            system::kill(system::own_process(), SIGSTOP);
        }
    }

    /// Sends the command a signal, or what it is rewritten to.
    fn pass_on(&self, signal: u8) {
        let signal = self.options.rewrites.of(signal);
        if signal == 0 {
            return;
        }
        self.tell("passing on signal ", signal.into());
        // Nobody may be left to get it.
        system::kill(if self.options.reach == Reach::Child { self.child } else { -self.child }, signal);
    }

    /// Says what is done, if that is asked for.
    fn tell(&self, what: &str, number: u32) {
        if self.options.verbose {
            say(what, number);
        }
    }
}

#[inline(never)]
fn say(what: &str, number: u32) {
    text::line(&[b"probe: ", what.as_bytes(), Digits::new(number).as_bytes()]);
}
