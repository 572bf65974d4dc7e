//! This process's terminal and signals on behalf of a program in a container.

use std::io::Read;
use std::sync::atomic::Ordering;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::interrupt;

/// The terminal, passing on every key as it is pressed. As it was before when this is dropped.
pub(super) struct Raw(Termios);

impl Raw {
    /// Nothing where standard input is no terminal.
    pub(super) fn enter() -> Option<Raw> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that has gone away needs nothing.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Rows and columns of the terminal; `None` where there is none.
pub(super) fn size() -> Option<(u16, u16)> {
    tcgetwinsize(std::io::stdin()).ok().map(|size| (size.ws_row, size.ws_col))
}

/// Hands on what is read from standard input, from a thread of its own, which ends with the process. `None` is the end.
pub(super) fn pass_input(mut give: impl FnMut(Option<&[u8]>) -> bool + Send + 'static) {
    let read = move || {
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match std::io::stdin().lock().read(&mut buffer) {
                Ok(0) => break,
                Ok(count) if !give(buffer.get(..count)) => return,
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        give(None);
    };
    // Without a thread there is no input, which a program sees at once.
    let _ = std::thread::Builder::new().name("input".to_owned()).spawn(read);
}

/// Hands on the signals that arrive from here on, which mean the program and no longer this process.
pub(super) fn pass_signals(mut give: impl FnMut(i32) + Send + 'static) {
    let all = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH];
    let Ok(mut signals) = Signals::new(all) else { return };
    interrupt::HANDED_OVER.store(true, Ordering::SeqCst);
    let pass = move || {
        for signal in signals.forever() {
            give(signal);
        }
    };
    let _ = std::thread::Builder::new().name("container signals".to_owned()).spawn(pass);
}
