//! GOSUMDB: which database, with which key, and where.

use url::Url;

use crate::sumdb::note::{KeyError, Verifier};

/// The database that every Go knows, with its key (`cmd/go/internal/modfetch/key.go`).
const KNOWN: (&str, &str) =
    ("sum.golang.org", "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8");
/// The same database under a name that is reachable where the first is not.
const ALIAS: (&str, &str) = ("sum.golang.google.cn", "https://sum.golang.google.cn");

/// A database, and where it is reached.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) verifier: Verifier,
    /// Where the setting says it is; without it, a proxy is asked, or the database itself.
    pub(crate) url: Option<Url>,
    /// The database's own address.
    pub(crate) direct: Url,
}

/// GOSUMDB cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It switches the check off.
    #[error("GOSUMDB=off switches off the check that Go demands of its toolchains")]
    Off,
    /// It is empty or has too many words.
    #[error("GOSUMDB is not one or two words: {0:?}")]
    Words(String),
    /// Its key cannot be used.
    #[error("GOSUMDB names a database without a usable key: {name:?}")]
    Key {
        /// The first word.
        name: String,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
    /// The name in its key is not a host.
    #[error("GOSUMDB names a database that is no host: {0:?}")]
    Name(String),
    /// Its second word is not a URL.
    #[error("GOSUMDB has a second word that is no URL of http or https: {0:?}")]
    Url(String),
}

impl Setting {
    /// Reads a value of GOSUMDB: a known name or a key, and perhaps a URL.
    pub(crate) fn parse(text: &str) -> Result<Setting, SettingError> {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        if words == [ALIAS.0] {
            words = vec![KNOWN.0, ALIAS.1];
        }
        let (name, url) = match words[..] {
            ["off"] => return Err(SettingError::Off),
            [name] => (name, None),
            [name, url] => (name, Some(url)),
            _ => return Err(SettingError::Words(text.to_owned())),
        };
        let key = if name == KNOWN.0 { KNOWN.1 } else { name };
        let error = |source| SettingError::Key { name: name.to_owned(), source };
        let verifier: Verifier = key.parse().map_err(error)?;
        let direct = direct(verifier.name()).ok_or_else(|| SettingError::Name(verifier.name().to_owned()))?;
        let parse = |text: &str| {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "file"));
            url.ok_or_else(|| SettingError::Url(text.to_owned()))
        };
        Ok(Setting { verifier, url: url.map(parse).transpose()?, direct })
    }
}

/// The address of a database by its name, which is a host and perhaps a path and nothing else: it becomes part of file names too.
fn direct(name: &str) -> Option<Url> {
    let url = Url::parse(&format!("https://{name}")).ok()?;
    let plain = |element: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        !element.is_empty() && element != "." && element != ".." && element.bytes().all(is_plain)
    };
    name.split('/').all(plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_go_reads_them() {
        let key = crate::sumdb::note::tests::key("db.corp/x", 3).0;
        let odd = crate::sumdb::note::tests::key("../db", 3).0;
        let cases = [
            ("sum.golang.org", Ok("sum.golang.org https://sum.golang.org/ -")),
            (
                "sum.golang.google.cn",
                Ok("sum.golang.org https://sum.golang.org/ https://sum.golang.google.cn/"),
            ),
            (&format!("{key} https://x.corp/y"), Ok("db.corp/x https://db.corp/x https://x.corp/y")),
            (&key, Ok("db.corp/x https://db.corp/x -")),
            (KNOWN.1, Ok("sum.golang.org https://sum.golang.org/ -")),
            ("off", Err("GOSUMDB=off switches off the check that Go demands of its toolchains")),
            ("", Err("GOSUMDB is not one or two words: \"\"")),
            ("a b c", Err("GOSUMDB is not one or two words: \"a b c\"")),
            ("db.corp", Err("GOSUMDB names a database without a usable key: \"db.corp\"")),
            (&odd, Err("GOSUMDB names a database that is no host: \"../db\"")),
            (
                "sum.golang.org ftp://x",
                Err("GOSUMDB has a second word that is no URL of http or https: \"ftp://x\""),
            ),
        ];
        for (text, expected) in cases {
            let url = |setting: &Setting| setting.url.as_ref().map_or("-".into(), Url::to_string);
            let read = Setting::parse(text);
            let shown = read.map(|read| format!("{} {} {}", read.verifier.name(), read.direct, url(&read)));
            let shown = shown.map_err(|error| error.to_string());
            assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}
