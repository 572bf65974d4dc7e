//! What can be wrong with a profile of system calls.

/// A profile of system calls that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The text is no JSON, or not Docker's form of a profile.
    #[error("it is no profile in Docker's form: {0}")]
    Form(#[source] serde_json::Error),
    /// Nothing says what is done with calls that no rule names.
    #[error("it has no defaultAction")]
    NoDefault,
    /// Two keys say the same.
    #[error("{place} has both `{first}` and `{second}`")]
    Both {
        /// The rule, as `syscalls[NUMBER]`, or "the profile".
        place: String,
        /// One key.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A rule names no calls.
    #[error("{0} has no `names`")]
    NoNames(String),
    /// A word that is none of those that may stand there.
    #[error("{place}: unknown {what} `{word}`")]
    Unknown {
        /// The rule, or the key.
        place: String,
        /// What should stand there: "action".
        what: &'static str,
        /// What stands there.
        word: String,
        /// What may stand there, where that can be listed.
        known: String,
    },
    /// An action that hands calls to another program.
    #[error("{place}: {action} hands calls to another program, and containers have none for that")]
    Handed {
        /// The rule, or the key.
        place: String,
        /// The action, or the key that belongs to it.
        action: String,
    },
    /// An argument that no call has.
    #[error("{place}: there is no argument of index {index}: they go from 0 to 5")]
    Index {
        /// The rule.
        place: String,
        /// The index.
        index: u64,
    },
    /// An error number that is none.
    #[error("{place}: {number} is no error number: they go up to 4095")]
    ErrorNumber {
        /// The rule, or the key.
        place: String,
        /// The number.
        number: u64,
    },
    /// An error by name alone.
    #[error("{place}: the error is named `{name}` and not given as a number")]
    ErrorName {
        /// The rule, or the key.
        place: String,
        /// The name.
        name: String,
    },
    /// A version of Linux that is none.
    #[error("{place}: minKernel `{version}` is no version of Linux")]
    Kernel {
        /// The rule.
        place: String,
        /// What stands there.
        version: String,
    },
    /// No program could be started under it, and what went wrong could not even be told.
    #[error("it lets no program start: execve is refused")]
    NoStart,
    /// The program is longer than Linux takes.
    #[error("it needs a filter of {0} instructions, and Linux takes 4096")]
    TooLong(usize),
    /// There are more rules than any filter has room for.
    #[error("it has more than 65536 rules, each of one call counted")]
    TooMany,
}

impl ProfileError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ProfileError::NoDefault => {
                "say what is done with calls that no rule names: \"defaultAction\": \"SCMP_ACT_ERRNO\"; \
                 for no filter at all there is seccomp=unconfined"
            }
            ProfileError::Both { .. } => "leave one of them out",
            ProfileError::NoNames(_) => "name the calls: \"names\": [\"mkdir\"]",
            ProfileError::Unknown { known, .. } if !known.is_empty() => {
                return Some(format!("there are {known}"));
            }
            ProfileError::Handed { .. } => {
                "use SCMP_ACT_ERRNO to refuse calls, or SCMP_ACT_LOG to see them in the kernel's log"
            }
            ProfileError::ErrorName { .. } => "give its number too: \"errnoRet\": 1 is EPERM (errno(3))",
            ProfileError::Kernel { .. } => "write it as MAJOR.MINOR, such as 4.8",
            ProfileError::NoStart => {
                "allow execve, and what every program needs: exit_group, brk, mmap, mprotect, read, write"
            }
            ProfileError::TooLong(_) | ProfileError::TooMany => "put fewer conditions on arguments",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
