//! The options of `probe init`: dumb-init's, tini's and its own.

use crate::arguments::Arguments;
use crate::init::signals::{self, Rewrites};
use crate::{refuse, text, usage};

/// Who gets the signals that the init gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All of the command's session (dumb-init).
    Session,
    /// The command alone (dumb-init's `--single-child`).
    Child,
    /// The command's process group, in the init's own session (tini's `-g`).
    Group,
}

/// What the command line asks for. In this order: what is near the beginning is reached by shorter instructions.
#[repr(C)]
pub(crate) struct Options {
    /// How long the first SIGTERM is held back, in milliseconds.
    pub(crate) drain: u64,
    pub(crate) reach: Reach,
    pub(crate) verbose: bool,
    pub(crate) warn: bool,
    pub(crate) subreaper: bool,
    /// The signal to get when the parent ends; 0 for none.
    pub(crate) parent_death: u8,
    pub(crate) rewrites: Rewrites,
    /// Which exit codes mean success.
    expected: [bool; 256],
}

impl Options {
    pub(crate) fn new() -> Options {
        Options {
            reach: Reach::Session,
            rewrites: Rewrites::new(),
            verbose: false,
            warn: false,
            subreaper: false,
            parent_death: 0,
            expected: [false; 256],
            drain: 0,
        }
    }

    /// The exit code, with those that mean success made 0.
    #[expect(clippy::indexing_slicing, reason = "a byte is inside")]
    pub(crate) fn mapped(&self, code: u8) -> i32 {
        if self.expected[usize::from(code)] { 0 } else { code.into() }
    }

    /// Takes an option that has a value. None: the value is wrong.
    fn set(&mut self, name: u8, value: &[u8]) -> Option<()> {
        match name {
            b'r' => return self.rewrites.rule(value),
            b'e' => *self.expected.get_mut(text::whole_number(value, 255)? as usize)? = true,
            b'p' => self.parent_death = signals::signal(value).filter(|signal| *signal > 0)?,
            _ => self.drain = text::milliseconds(value)?,
        }
        Some(())
    }
}

/// The long options, and what they are called in short; `#` is `--drain`, which has no other name.
const LONG: &[u8] = b"single-child rewrite verbose version help drain";
const SHORT: &[u8] = b"crvVh#";

/// Reads the options; what is left of the arguments is the command. What is wrong ends the process.
pub(crate) fn parse(options: &mut Options, arguments: &mut Arguments) {
    let (mut single, mut group) = (false, false);
    while let Some(word @ [b'-', first, ..]) = arguments.peek() {
        arguments.next();
        if word == b"--" {
            break;
        }
        // A long option is one letter with a value behind `=`; short ones may stand together, and the last may have its value there too.
        let mut letters = word.get(1..).unwrap_or_default();
        let mut attached = None;
        if *first == b'-' {
            let (name, value) = text::cut(word.get(2..).unwrap_or_default(), b'=');
            let place = text::place(LONG, name).map(usize::from);
            letters = place.and_then(|place| SHORT.get(place..=place)).unwrap_or(b"?");
            attached = value;
        }
        while let [letter, rest @ ..] = letters {
            letters = rest;
            match letter {
                b'c' => single = true,
                b'g' => group = true,
                b'v' => options.verbose = true,
                b's' => options.subreaper = true,
                b'w' => options.warn = true,
                b'h' | b'V' => usage(),
                b'r' | b'e' | b'p' | b'#' => {
                    let behind = if rest.is_empty() { attached.take() } else { Some(rest) };
                    let value = behind.or_else(|| arguments.next()).unwrap_or_default();
                    if options.set(*letter, value).is_none() {
                        refuse("wrong value", word);
                    }
                    letters = b"";
                }
                _ => refuse("unexpected", word),
            }
        }
        if attached.is_some() {
            refuse("unexpected", word);
        }
    }
    if single || group {
        options.reach = if single { Reach::Child } else { Reach::Group };
    }
    if options.reach == Reach::Session {
        options.rewrites.stop_for_certain();
    }
    if arguments.peek().is_none() || (single && group) {
        refuse("no command, or -c and -g", b"init");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::arguments;
    use crate::system::exit_of;

    fn options(words: &[&str]) -> (Options, Vec<String>) {
        let mut arguments = arguments(words, &[]);
        let mut options = Options::new();
        parse(&mut options, &mut arguments);
        let mut command = Vec::new();
        while let Some(word) = arguments.next() {
            command.push(String::from_utf8_lossy(word).into_owned());
        }
        (options, command)
    }

    #[test]
    fn options_end_where_the_command_begins() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["true"], &["true"]),
            (&["--", "-x", "--"], &["-x", "--"]),
            (&["-c", "sh", "-c", "x"], &["sh", "-c", "x"]),
            (&["-r", "1:2", "-r3:4", "--rewrite", "5:6", "--rewrite=7:8", "true", "-v"], &["true", "-v"]),
            (&["-vvsw", "-gp", "KILL", "-e1", "--drain", "5s", "--", "true"], &["true"]),
            (&["-", "x"], &["-", "x"]),
        ];
        for (words, command) in cases {
            assert_eq!(options(words).1, *command, "{words:?}");
        }
    }

    #[test]
    fn options_mean_what_they_mean_elsewhere() {
        let (all, _) =
            options(&["-vws", "-gp", "SIGKILL", "-e", "143", "-e0", "-r15:3", "--drain=1m", "true"]);
        assert!(all.verbose && all.warn && all.subreaper);
        assert_eq!((all.reach, all.parent_death, all.drain), (Reach::Group, 9, 60_000));
        assert_eq!((all.mapped(143), all.mapped(142), all.mapped(255)), (0, 142, 255));
        assert_eq!((all.rewrites.of(15), all.rewrites.of(20)), (3, 20));
        let (none, _) = options(&["true"]);
        assert!(!none.verbose && !none.warn && !none.subreaper);
        assert_eq!((none.reach, none.rewrites.of(20), none.mapped(3)), (Reach::Session, 19, 3));
        let (child, _) = options(&["-c", "true"]);
        assert_eq!((child.reach, child.rewrites.of(20)), (Reach::Child, 20));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let cases: &[&[&str]] = &[
            &[],
            &["-c"],
            &["--"],
            &["--yolo", "true"],
            &["-x", "true"],
            &["-l"],
            &["--single-child=1", "true"],
            &["-r"],
            &["-r", "15", "true"],
            &["--rewrite=", "true"],
            &["-e", "256", "true"],
            &["-p", "SIGFOO", "true"],
            &["-p", "0", "true"],
            &["--drain", "soon", "true"],
            &["-c", "-g", "true"],
        ];
        for words in cases {
            assert_eq!(exit_of(|| _ = options(words)), Some(2), "{words:?}");
        }
        for word in ["-vh", "--version", "-V", "--help"] {
            assert_eq!(exit_of(|| _ = options(&[word, "true"])), Some(0), "{word}");
        }
    }
}
