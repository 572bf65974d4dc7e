//! What can be wrong with `longshore.toml`.

use std::path::PathBuf;

use crate::Position;

/// `longshore.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.message())]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Where in the file; nowhere when it could not be read at all.
    pub position: Option<Position>,
    /// What is wrong.
    #[source]
    pub kind: Box<ConfigErrorKind>,
}

/// What is wrong with `longshore.toml`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[source] std::io::Error),
    /// The file is larger than any configuration.
    #[error("the file has {size} bytes, more than the {limit} that a configuration may have")]
    TooLarge {
        /// Bytes in the file.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The file is not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// The file is not TOML.
    #[error("not valid TOML: {message}")]
    Syntax {
        /// The TOML parser's message, on one line.
        message: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The key with the tables it stands in, joined with dots.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A key that needs to be there.
    #[error("`{key}` is missing")]
    MissingKey {
        /// The key with the tables it stands in, joined with dots.
        key: String,
    },
    /// A value of another type than the key takes.
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType {
        /// The key with the tables it stands in, joined with dots.
        key: String,
        /// What the key takes, with an article.
        expected: String,
        /// What was found, with an article.
        found: String,
    },
    /// A value of the right type that means nothing.
    #[error("`{key}` must be {expected}, not `{found}`")]
    BadValue {
        /// The key with the tables it stands in, joined with dots.
        key: String,
        /// What the key takes.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Two services with one name, or for one package and without names that tell them apart.
    #[error("two services are called `{name}`")]
    DuplicateService {
        /// The name.
        name: String,
    },
}

impl ConfigError {
    fn message(&self) -> String {
        let file = self.file.display();
        match self.position {
            Some(Position { line, column }) => format!("cannot use {file}:{line}:{column}"),
            None => format!("cannot use {file}"),
        }
    }

    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        match &*self.kind {
            ConfigErrorKind::UnknownKey { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            ConfigErrorKind::UnknownKey { nearest: None, .. } => {
                Some("docs/configuration.md lists every key".to_owned())
            }
            ConfigErrorKind::DuplicateService { .. } => Some("give one of them another `name`".to_owned()),
            _ => None,
        }
    }
}
