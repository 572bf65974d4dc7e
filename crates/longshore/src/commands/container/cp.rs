//! `longshore cp`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use longshore_container::{Copied, CopyOptions, CopyPath};

use super::containers;
use crate::context::Context;
use crate::exit::Exit;
use crate::ui::{CommandError, OutputError, Ui, size};

/// Copy files between a container and this machine
///
/// One of the two is CONTAINER:PATH. The container may run or have ended. A folder is copied into a folder that is there, or becomes the
/// one that is not; `FOLDER/.` means what is in it. `-` is a tar on standard output or input.
#[derive(Debug, Args)]
pub(crate) struct CpArgs {
    /// Keep the ids of users and groups; on this machine as root only
    #[arg(long, short)]
    archive: bool,

    /// Copy what a link leads to, if SOURCE is one
    #[arg(long, short = 'L')]
    follow_link: bool,

    /// Do not say what was copied
    #[arg(long, short)]
    quiet: bool,

    /// CONTAINER:PATH, PATH or -
    source: OsString,

    /// CONTAINER:PATH, PATH or -
    destination: OsString,
}

/// What `cp` was told does not make sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyUsageError {
    #[error("copying between containers is not supported")]
    TwoContainers,
    #[error("neither of the two is CONTAINER:PATH")]
    NoContainer,
    #[error("`{0}` names no path in the container")]
    NoPath(String),
    #[error("a tar is not written to a terminal")]
    Terminal,
    #[error("`{0}` names no container")]
    NoName(String),
}

impl CopyUsageError {
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            CopyUsageError::TwoContainers => {
                "`longshore cp FROM:PATH - | longshore cp - TO:FOLDER` copies by way of this machine"
            }
            CopyUsageError::NoContainer => "a path of this machine with a `:` in it begins with / or ./",
            CopyUsageError::NoPath(_) => "`/` is its root folder",
            CopyUsageError::Terminal => "redirect standard output, or name a path instead of `-`",
            CopyUsageError::NoName(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side<'t> {
    Container(&'t str, &'t OsStr),
    Machine(&'t OsStr),
    Stream,
}

impl Side<'_> {
    /// As Docker reads it (docker/cli: `splitCpArg`): what begins with `/` or `.` is a path of the machine, whatever `:` are in it.
    fn read(text: &OsStr) -> Result<Side<'_>, CopyUsageError> {
        let bytes = text.as_bytes();
        let shown = || text.display().to_string();
        let colon = bytes.iter().position(|byte| *byte == b':');
        match (colon, bytes.first()) {
            _ if bytes == b"-" => Ok(Side::Stream),
            (None, _) | (_, Some(b'/' | b'.')) => Ok(Side::Machine(text)),
            (Some(0), _) => Err(CopyUsageError::NoName(shown())),
            (Some(at), _) => {
                let (name, path) = (&bytes[..at], OsStr::from_bytes(&bytes[at + 1..]));
                if path.is_empty() {
                    return Err(CopyUsageError::NoPath(shown()));
                }
                let name = std::str::from_utf8(name).map_err(|_| CopyUsageError::NoName(shown()))?;
                Ok(Side::Container(name, path))
            }
        }
    }
}

pub(crate) fn cp(arguments: &CpArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let sides = [Side::read(&arguments.source), Side::read(&arguments.destination)];
    let [source, destination] = sides.map(|side| side.map_err(CommandError::usage));
    let events = ui.events().clone();
    let options =
        CopyOptions { keep_owners: arguments.archive, follow_link: arguments.follow_link, events: &events };
    let all = containers(context)?;
    let inside = |path: &OsStr| CopyPath::new(Path::new("/"), path);
    let copied = match (source?, destination?) {
        (Side::Container(..), Side::Container(..)) => {
            return Err(CommandError::usage(CopyUsageError::TwoContainers));
        }
        (Side::Container(name, path), Side::Stream) => {
            if context.environment.stdout_is_terminal() {
                return Err(CommandError::usage(CopyUsageError::Terminal));
            }
            let container = all.find("copy from", name)?;
            let mut stdout = Stdout { ui, failure: None };
            let copied = container.copy_out_tar(&inside(path), &mut stdout, options);
            match stdout.failure {
                Some(failure) => return Err(failure.into()),
                None => copied?,
            }
        }
        (Side::Container(name, path), Side::Machine(to)) => {
            all.find("copy from", name)?.copy_out(&inside(path), &here(to)?, options)?
        }
        (Side::Stream, Side::Container(name, path)) => {
            all.find("copy to", name)?.copy_in_tar(io::stdin(), &inside(path), options)?
        }
        (Side::Machine(from), Side::Container(name, path)) => {
            all.find("copy to", name)?.copy_in(&here(from)?, &inside(path), options)?
        }
        _ => return Err(CommandError::usage(CopyUsageError::NoContainer)),
    };
    tell(&copied, arguments, context, ui);
    Ok(Exit::Done)
}

/// A path of this machine.
fn here(path: &OsStr) -> Result<CopyPath, CommandError> {
    let folder =
        std::env::current_dir().map_err(longshore_files::FileError::of("find", "the current folder"))?;
    Ok(CopyPath::new(&folder, path))
}

fn tell(copied: &Copied, arguments: &CpArgs, context: &Context, ui: &Ui) {
    for sentence in &copied.left_out {
        ui.events().warn(sentence);
    }
    if copied.left_out_more > 0 {
        ui.events().warn(format!("{} more are left out", copied.left_out_more));
    }
    // As under Docker, it is for people alone.
    if !arguments.quiet && context.environment.can_redraw() {
        ui.events().note(format!("copied {} to {}", size(copied.bytes), arguments.destination.display()));
    }
}

/// Standard output, with the reason why it takes no more.
struct Stdout<'u> {
    ui: &'u mut Ui,
    failure: Option<OutputError>,
}

impl Write for Stdout<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ui.write(bytes).map_err(|error| {
            let shown = io::Error::other(error.to_string());
            self.failure = Some(error);
            shown
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_read_as_docker_reads_them() {
        let machine = |text: &'static str| Side::Machine(OsStr::new(text));
        let inside = |name: &'static str, path: &'static str| Side::Container(name, OsStr::new(path));
        for (text, side) in [
            ("-", Side::Stream),
            ("file", machine("file")),
            ("./a:b", machine("./a:b")),
            ("../a:b", machine("../a:b")),
            ("/a:b", machine("/a:b")),
            ("box:/etc/hosts", inside("box", "/etc/hosts")),
            ("box:relative", inside("box", "relative")),
            ("box:/a:b", inside("box", "/a:b")),
            ("box:-", inside("box", "-")),
        ] {
            assert_eq!(Side::read(OsStr::new(text)).unwrap(), side, "{text}");
        }
        for text in [":/x", "box:"] {
            assert!(Side::read(OsStr::new(text)).is_err(), "{text}");
        }
    }
}
