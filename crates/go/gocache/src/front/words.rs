//! The words after `go`, as cmd/go reads them (Go 1.20 to 1.26, `go help build`, package flag).
//!
//! A flag is let through when it is known that all it does is part of what Go's cache is asked by, and that a hit in the cache leaves out
//! nothing that the flag would have done beside. With any other flag, Go is left alone.

use std::ffi::{OsStr, OsString};

use super::aside::Aside;

/// A command whose results may come from the cache.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The command's name: `build`, `install` or `vet`.
    pub(crate) command: &'static str,
    /// The folder of `-C`, which has to come first.
    pub(crate) folder: Option<OsString>,
    /// Whether `-a` was there; `rest` is without it.
    pub(crate) all: bool,
    /// The value of `-o`.
    pub(crate) output: Option<OsString>,
    /// Every other word after the command, `-C` and its folder left out.
    pub(crate) rest: Vec<OsString>,
}

const COMMANDS: [&str; 3] = ["build", "install", "vet"];

enum Flag {
    Boolean,
    Value,
}

fn flag(name: &str) -> Option<Flag> {
    match name {
        "a" | "v" | "trimpath" | "modcacherw" | "buildvcs" => Some(Flag::Boolean),
        "o" | "C" | "p" | "tags" | "mod" | "modfile" | "pgo" | "installsuffix" | "ldflags" | "gcflags"
        | "buildmode" | "compiler" => Some(Flag::Value),
        _ => None,
    }
}

/// Whether a flag with this value leaves nothing behind but the result.
fn is_plain(name: &str, value: &str) -> bool {
    match name {
        "gcflags" => gcflags_are_plain(value),
        "buildmode" => matches!(value, "default" | "exe" | "pie"),
        "compiler" => value == "gc",
        _ => true,
    }
}

/// Compiler flags that write no files of their own, as `-cpuprofile` and `-json` do.
fn gcflags_are_plain(value: &str) -> bool {
    const PLAIN: [&str; 8] = ["N", "l", "m", "B", "c", "dwarf", "dwarflocationlists", "spectre"];

    let flags =
        if value.starts_with('-') { value } else { value.split_once('=').map_or(value, |(_, flags)| flags) };
    flags.split_whitespace().all(|word| {
        let Some(flag) = word.strip_prefix('-') else { return false };
        PLAIN.contains(&flag.split_once('=').map_or(flag, |(name, _)| name))
    })
}

/// Reads the words after `go`.
///
/// Errors: the command does not build, or has a flag that is not known to be harmless.
pub(crate) fn read(words: &[OsString]) -> Result<Request, Aside> {
    let command = words.first().and_then(|word| COMMANDS.into_iter().find(|name| word == OsStr::new(name)));
    let mut request = Request {
        command: command.ok_or(Aside::NotABuild)?,
        folder: None,
        all: false,
        output: None,
        rest: Vec::new(),
    };
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        let Some(text) = word.to_str() else {
            // Packages may have any name; a flag would have been ASCII.
            if word.as_encoded_bytes().starts_with(b"-") {
                return Err(Aside::Flag(word.to_string_lossy().into_owned()));
            }
            request.rest.push(word.clone());
            request.rest.extend(words.by_ref().cloned());
            break;
        };
        if !text.starts_with('-') || text == "-" || text == "--" {
            request.rest.push(word.clone());
            request.rest.extend(words.by_ref().cloned());
            break;
        }
        request.take_flag(text, &mut words)?;
    }
    Ok(request)
}

impl Request {
    fn take_flag<'w>(
        &mut self,
        text: &str,
        more: &mut impl Iterator<Item = &'w OsString>,
    ) -> Result<(), Aside> {
        let unknown = || Aside::Flag(text.to_owned());
        let (name, value) = split(text);
        match (flag(name).ok_or_else(unknown)?, value) {
            (Flag::Boolean, value) if name == "a" => {
                self.all = boolean(value.unwrap_or("true")).ok_or_else(unknown)?;
            }
            (Flag::Boolean, _) => self.rest.push(text.into()),
            (Flag::Value, value) => {
                let value: OsString = match value {
                    Some(value) => value.into(),
                    None => more.next().ok_or_else(unknown)?.clone(),
                };
                if !value.to_str().is_some_and(|value| is_plain(name, value)) {
                    return Err(unknown());
                }
                self.take_value(name, value).ok_or_else(unknown)?;
            }
        }
        Ok(())
    }

    fn take_value(&mut self, name: &str, value: OsString) -> Option<()> {
        if name == "C" {
            // Go takes it in the first place only, and refuses it elsewhere in its own words.
            let first = self.folder.is_none() && self.rest.is_empty() && !self.all;
            self.folder = Some(value);
            return first.then_some(());
        }
        if name == "o" {
            self.output = Some(value.clone());
        }
        let mut word = OsString::from(format!("-{name}="));
        word.push(value);
        self.rest.push(word);
        Some(())
    }
}

/// Whether all flags of GOFLAGS are harmless. Quotes and `-a` are not looked into.
pub(crate) fn check_environment(flags: &str) -> Result<(), Aside> {
    if flags.contains(['\'', '"']) {
        return Err(Aside::Flag(format!("{flags} of GOFLAGS")));
    }
    for text in flags.split_whitespace() {
        let (name, value) = split(text);
        let known = flag(name).is_some() && !matches!(name, "a" | "C" | "o");
        if !known || !is_plain(name, value.unwrap_or("")) {
            return Err(Aside::Flag(format!("{text} of GOFLAGS")));
        }
    }
    Ok(())
}

fn split(text: &str) -> (&str, Option<&str>) {
    let text = text.strip_prefix('-').unwrap_or(text);
    let text = text.strip_prefix('-').unwrap_or(text);
    match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    }
}

/// A truth value as strconv.ParseBool reads it.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_line(line: &[&str]) -> Result<Request, String> {
        let words: Vec<OsString> = line.iter().map(OsString::from).collect();
        read(&words).map_err(|aside| aside.to_string())
    }

    fn rest(line: &[&str]) -> Vec<String> {
        let request = read_line(line).unwrap();
        request.rest.iter().map(|word| word.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn all_is_taken_out_wherever_it_is_a_flag() {
        let guide = ["build", "-a", "-installsuffix", "cgo", "-o", "main", "./cmd/server"];
        assert_eq!(rest(&guide), ["-installsuffix=cgo", "-o=main", "./cmd/server"]);
        let request = read_line(&guide).unwrap();
        assert!(request.all);
        assert_eq!((request.command, request.output), ("build", Some("main".into())));

        assert!(read_line(&["install", "--a=true", "./..."]).unwrap().all);
        assert!(!read_line(&["build", "-a", "-a=false", "./..."]).unwrap().all);
        assert!(!read_line(&["build", "-o", "-a", "."]).unwrap().all, "a file called -a");
        assert_eq!(rest(&["build", "-o", "-a", "."]), ["-o=-a", "."]);
        assert_eq!(rest(&["build", "--", "-a"]), ["--", "-a"]);
        assert_eq!(rest(&["build", ".", "-a"]), [".", "-a"], "a package called -a");
    }

    #[test]
    fn the_folder_comes_first_or_not_at_all() {
        let request = read_line(&["build", "-C", "service", "-a", "."]).unwrap();
        assert_eq!(request.folder, Some("service".into()));
        assert_eq!(request.rest, ["."]);
        assert!(read_line(&["build", "-v", "-C", "service", "."]).is_err());
    }

    #[test]
    fn values_stay_what_they_are() {
        let line = [
            "build",
            "-ldflags=-w -s -extldflags \"-static\"",
            "-tags",
            "a,b",
            "--trimpath",
            "-buildmode=pie",
        ];
        let expected =
            ["-ldflags=-w -s -extldflags \"-static\"", "-tags=a,b", "--trimpath", "-buildmode=pie"];
        assert_eq!(rest(&line), expected);
        assert_eq!(rest(&["vet", "./..."]), ["./..."]);
        assert_eq!(rest(&["build", "-gcflags=all=-N -l", "."]), ["-gcflags=all=-N -l", "."]);
    }

    #[test]
    fn what_is_not_known_to_be_harmless_is_left_alone() {
        for line in [
            &["test", "./..."][..],
            &["run", "."],
            &["generate"],
            &["clean", "-cache"],
            &["version"],
            &["-C", "x", "build"],
            &[],
        ] {
            assert_eq!(read_line(line).unwrap_err(), "the command does not build", "{line:?}");
        }
        for flag in [
            "-race",
            "-x",
            "-n",
            "-work",
            "-json",
            "-toolexec=x",
            "-cover",
            "-overlay=o.json",
            "-asmflags=-I=/x",
            "-pkgdir=p",
            "-gcflags=-cpuprofile=p",
            "-gcflags=all=-json=0,/x",
            "-gcflags=-N l",
            "-buildmode=c-shared",
            "-compiler=gccgo",
            "-linkshared",
            "-a=maybe",
            "-unknown",
            "-o",
        ] {
            let error = read_line(&["build", flag]).unwrap_err();
            assert_eq!(error, format!("the effect of {flag} is not known"), "{flag}");
        }
    }

    #[test]
    fn the_flags_of_the_environment_count_as_well() {
        for flags in ["", "-buildvcs=false", "-mod=vendor  -trimpath -tags=x", "-ldflags=-w"] {
            assert!(check_environment(flags).is_ok(), "{flags}");
        }
        for flags in
            ["-race", "-toolexec=x", "-a", "'-ldflags=-w -s'", "-asmflags=-I/x", "-gcflags=-traceprofile=x"]
        {
            let error = check_environment(flags).unwrap_err().to_string();
            assert_eq!(error, format!("the effect of {flags} of GOFLAGS is not known"));
        }
    }
}
