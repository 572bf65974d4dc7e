//! Signals by name and number, and what each becomes before it is passed on.

use crate::system::{SIGMAX, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
use crate::text;

/// The names of signals 1 to 31 (Linux: `include/uapi/asm-generic/signal.h`).
const NAMES: &[u8] = b"HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU \
    URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

/// A signal's number, from its number or its name, with or without SIG. 0 is understood.
pub(crate) fn signal(word: &[u8]) -> Option<u8> {
    if let Some(number) = text::whole_number(word, SIGMAX.into()) {
        return Some(number as u8);
    }
    text::place(NAMES, word.strip_prefix(b"SIG").unwrap_or(word)).map(|place| place + 1)
}

/// What was not said of a signal.
const UNSAID: u8 = u8::MAX;

/// What each signal becomes before it is passed on: by its number another, or 0 if it is not passed on. Every byte has its place here, so that
/// none is outside.
pub(crate) struct Rewrites([u8; 256]);

#[expect(clippy::indexing_slicing, reason = "a byte is inside")]
impl Rewrites {
    pub(crate) fn new() -> Rewrites {
        Rewrites([UNSAID; 256])
    }

    /// Takes a rule, `SIGNAL:REPLACEMENT`. None: it is not one.
    pub(crate) fn rule(&mut self, rule: &[u8]) -> Option<()> {
        let (from, to) = text::cut(rule, b':');
        let (from, to) = (signal(from)?, signal(to?)?);
        self.0[usize::from(from)] = to;
        (from > 0).then_some(())
    }

    /// Makes the terminal's stop signals SIGSTOP, where no rule says otherwise: a process group in a session of its own, without a parent
    /// there, is orphaned, and is not stopped by them (POSIX, "orphaned process group").
    pub(crate) fn stop_for_certain(&mut self) {
        for signal in [SIGTSTP, SIGTTIN, SIGTTOU] {
            if self.0[usize::from(signal)] == UNSAID {
                self.0[usize::from(signal)] = SIGSTOP;
            }
        }
    }

    /// What a signal becomes; 0 if it is not passed on.
    pub(crate) fn of(&self, signal: u8) -> u8 {
        match self.0[usize::from(signal)] {
            UNSAID => signal,
            to => to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        let cases = [
            ("15", Some(15)),
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("HUP", Some(1)),
            ("SYS", Some(31)),
            ("0", Some(0)),
            ("64", Some(64)),
            ("65", None),
            ("-1", None),
            ("", None),
            ("SIG", None),
            ("term", None),
            ("1x", None),
        ];
        for (text, expected) in cases {
            assert_eq!(signal(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn rules_are_taken() {
        let mut rewrites = Rewrites::new();
        for rule in ["15:3", "SIGHUP:USR1", "20:0", "INT:0"] {
            assert!(rewrites.rule(rule.as_bytes()).is_some(), "{rule}");
        }
        rewrites.stop_for_certain();
        let expected = [(15, 3), (1, 10), (20, 0), (2, 0), (21, 19), (22, 19), (12, 12), (64, 64)];
        for (signal, to) in expected {
            assert_eq!(rewrites.of(signal), to, "{signal}");
        }
        // What dumb-init's own tests have refused.
        for rule in
            ["", ":", "-1:1", "15:-1", "0:1", "15", "15:", ":15", "x:1", "1:x", "1:1x", "65:1", "1:65"]
        {
            assert_eq!(rewrites.rule(rule.as_bytes()), None, "{rule}");
        }
    }
}
