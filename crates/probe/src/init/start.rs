//! The command's process: made, set apart, and turned into the command as `execvp` would.

use crate::arguments::Arguments;
use crate::errno::{self, ACCES, NOENT, NOEXEC, NOTDIR};
use crate::init::options::{Options, Reach};
use crate::system;
use crate::text::{self, SHOWN};

/// Where programs are looked for without a PATH.
const PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
/// Longest path of a program (Linux: PATH_MAX), with the zero at its end.
const LONGEST: usize = 4096;

/// The command was not found.
const NOT_FOUND: i32 = 127;
/// The command was found and cannot be run.
const NOT_RUNNABLE: i32 = 126;

/// Starts the command. Returns its process number, in this process alone, once it runs or has failed; or an error.
pub(crate) fn start(options: &Options, command: &Arguments) -> isize {
    let child = system::fork();
    if child != 0 {
        return child;
    }
    // A process that was just made leads no group, so neither can fail; and there is often no terminal to take. All signals are still blocked, or the
    // terminal would stop a process in the background that asks to be in the foreground.
    match options.reach {
        Reach::Child => {}
        Reach::Session => {
            system::new_session();
            system::take_terminal();
        }
        Reach::Group => {
            system::new_process_group();
            system::come_to_foreground(system::own_process());
        }
    }
    system::block_signals(false);
    let name = command.peek().unwrap_or_default();
    let error = become_command(command, name);
    fail(name, error)
}

/// Says why the command, or without a name a process for it, cannot be started, and ends the process.
#[inline(never)]
pub(crate) fn fail(name: &[u8], error: isize) -> ! {
    text::line(&[b"probe: ", b"cannot run ", text::first(name, SHOWN), errno::words(error)]);
    system::exit(if error == NOENT { NOT_FOUND } else { NOT_RUNNABLE })
}

/// Becomes the command; returns why that cannot be. A name without a slash is looked for in PATH, as `execvp` does it.
fn become_command(command: &Arguments, name: &[u8]) -> isize {
    if name.is_empty() {
        return NOENT;
    }
    let mut rest = match text::cut(name, b'/') {
        (_, Some(_)) => b"",
        (_, None) => command.variable(b"PATH").unwrap_or(PATH),
    };
    let mut outcome = NOENT;
    loop {
        let (folder, after) = text::cut(rest, b':');
        match try_path(command, folder, name) {
            // Another folder may have one that may be run.
            ACCES => outcome = ACCES,
            NOENT => {}
            NOTDIR if !folder.is_empty() => {}
            error => return error,
        }
        match after {
            Some(after) => rest = after,
            None => return outcome,
        }
    }
}

/// Becomes the program of this folder and name. A file that the kernel does not know how to run is given to the shell.
fn try_path(command: &Arguments, folder: &[u8], name: &[u8]) -> isize {
    let mut path = [0; LONGEST];
    let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
    // What does not fit has no zero at its end.
    if text::join(&mut path, &[folder, slash, name, b"\0"]) == LONGEST {
        return NOENT;
    }
    let words = command.pointers();
    let environment = command.environment();
    // SAFETY: the path ends with a zero, and the kernel's pointers end with a null.
    let error = unsafe { system::execute(path.as_ptr(), words, environment) };
    if error == NOEXEC {
        // SAFETY: before the command's words there is at least one that was taken, whose place becomes the shell's name, and the command's
        // becomes the script's path. This process is a copy, which ends if this fails too. The texts end with zeros.
        unsafe {
            let shell = c"/bin/sh".as_ptr().cast();
            let first = words.sub(1);
            first.write(shell);
            words.write(path.as_ptr());
            system::execute(shell, first, environment);
        }
    }
    error
}
