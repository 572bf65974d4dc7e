//! GOFLAGS: what of it is followed, what is left out, what is refused.
//!
//! An image must not depend on a variable that its source does not name. Flags that change where modules come from are followed,
//! flags that only change what Go prints are dropped, flags that would change the program are left out with a warning, and
//! flags that run other programs or replace files are refused.

use crate::error::SettingsError;

/// What GOFLAGS comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct EnvironmentFlags {
    /// Flags to pass on.
    pub(crate) followed: Vec<String>,
    /// Names of the flags that would change the program and were left out.
    pub(crate) left_out: Vec<String>,
}

const FOLLOWED: [&str; 3] = ["mod", "modcacherw", "p"];
/// Flags that change nothing but output, or that longshore sets itself.
const NOISE: [&str; 10] =
    ["v", "x", "n", "work", "json", "trimpath", "buildvcs", "count", "a", "debug-actiongraph"];
const REFUSED: [&str; 6] = ["toolexec", "exec", "overlay", "modfile", "compiler", "pkgdir"];

impl EnvironmentFlags {
    /// Reads GOFLAGS as Go does: words separated by white space, quoted as a whole where they hold some.
    ///
    /// Errors: a flag that must not be followed and cannot be left out.
    pub(crate) fn parse(value: &str) -> Result<EnvironmentFlags, SettingsError> {
        let mut flags = EnvironmentFlags::default();
        for word in words(value) {
            let name = word.trim_start_matches('-').split('=').next().unwrap_or_default();
            if REFUSED.contains(&name) {
                return Err(SettingsError::GoFlags(format!("-{name}")));
            }
            if FOLLOWED.contains(&name) {
                flags.followed.push(word);
            } else if !NOISE.contains(&name) {
                // By name alone: a value may be a secret that a stamp would set.
                flags.left_out.push(format!("-{name}"));
            }
        }
        Ok(flags)
    }
}

/// Splits as `cmd/internal/quoted` does: quotes stand at the start of a word alone.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = value.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if first == '"' || first == '\'' {
            rest[1..].split_once(first).unwrap_or((&rest[1..], ""))
        } else {
            rest.split_once(char::is_whitespace).unwrap_or((rest, ""))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Joins arguments so that Go splits them the same way again.
///
/// Errors: an argument has both kinds of quotes.
pub(crate) fn join(arguments: &[String]) -> Result<String, SettingsError> {
    let quote = |argument: &String| {
        let plain = !argument.is_empty() && !argument.contains([' ', '\t', '\n', '\r', '"', '\'']);
        match (plain, argument.contains('\''), argument.contains('"')) {
            (true, ..) => Ok(argument.clone()),
            (false, false, _) => Ok(format!("'{argument}'")),
            (false, true, false) => Ok(format!("\"{argument}\"")),
            (false, true, true) => Err(SettingsError::Unquotable(argument.clone())),
        }
    };
    Ok(arguments.iter().map(quote).collect::<Result<Vec<_>, _>>()?.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_followed_dropped_left_out_or_refused() {
        let flags =
            EnvironmentFlags::parse(" -mod=vendor -v  '-ldflags=-X a=b c' --tags=x -buildvcs=false -p=2")
                .unwrap();
        assert_eq!(flags.followed, ["-mod=vendor", "-p=2"]);
        assert_eq!(flags.left_out, ["-ldflags", "-tags"]);
        assert_eq!(EnvironmentFlags::parse("").unwrap(), EnvironmentFlags::default());
        for bad in ["-toolexec=x", "-overlay=f", "--modfile=x.mod"] {
            assert!(EnvironmentFlags::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arguments_survive_being_joined_and_split() {
        let arguments = ["-X", "main.a=b c", "", "it's", "say \"hi\"", "plain"].map(str::to_owned);
        assert_eq!(words(&join(&arguments).unwrap()), arguments);
        assert!(join(&["'\"".to_owned()]).is_err());
    }
}
