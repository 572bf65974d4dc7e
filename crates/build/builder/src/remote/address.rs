//! Addresses that ADD takes: URLs of files, and git repositories.
//!
//! What is one and what is a path follows BuildKit (`frontend/dockerfile/dfgitutil`, `util/gitutil`): a URL whose path ends in `.git`, one
//! with `git://` or `ssh://`, and `user@host:path` are repositories; any other with `http://` or `https://` is a file; all else is a
//! path, `ftp://` too. A repository's fragment is `#REFERENCE:FOLDER`, its query names the same parts and some more.

use longshore_http::Url;

use super::error::AddressError;
use super::shown::without_credentials;

/// Name of a file whose address has none.
const UNNAMED: &str = "__unnamed__";

/// The address of something that ADD fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A file.
    Web(WebAddress),
    /// A git repository.
    Git(GitAddress),
}

/// The address of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebAddress {
    pub(crate) url: Url,
    /// The name that the file gets, whatever the server says and wherever it leads.
    pub(crate) name: String,
}

/// What of which git repository is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct GitAddress {
    /// What git is told: without query and fragment, with credentials.
    pub(crate) remote: String,
    /// A branch, a tag, a full name of either, or a commit; the default branch where nothing is named.
    pub(crate) reference: Option<String>,
    /// A folder in the repository, relative and without dots; empty for all of it.
    pub(crate) folder: String,
    /// The commit that it must be, or its beginning.
    pub(crate) checksum: Option<String>,
    /// Whether `.git` is kept, where the address says.
    pub(crate) keep_git_folder: Option<bool>,
    /// Whether submodules are left out.
    pub(crate) skip_submodules: bool,
    /// Whether files get the time of the commit.
    pub(crate) commit_time: bool,
    /// Whether the checksum is taken as the commit, and the reference not looked up.
    pub(crate) by_commit: bool,
}

impl Address {
    /// Reads a source as an address; nothing where it is a path. Errors: it is an address, and malformed.
    pub(crate) fn read(text: &str) -> Option<Result<Address, AddressError>> {
        if let Some(git) = GitAddress::read(text) {
            return Some(git.map(Address::Git));
        }
        let is_web = text.starts_with("http://") || text.starts_with("https://");
        is_web.then(|| match Url::parse(text) {
            Ok(url) => Ok(Address::Web(WebAddress { name: file_name(&url), url })),
            Err(source) => Err(AddressError::Url(source)),
        })
    }

    /// It as it may be shown in messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Address::Web(web) => longshore_http::redacted(&web.url),
            Address::Git(git) => git.shown(),
        }
    }
}

impl GitAddress {
    fn read(text: &str) -> Option<Result<GitAddress, AddressError>> {
        let parts = match scheme(text) {
            Some(scheme) => url_parts(text, &scheme)?,
            None => scp_parts(text)?,
        };
        let mut address = GitAddress { remote: parts.remote, ..GitAddress::default() };
        if let Some(fragment) = parts.fragment.filter(|fragment| !fragment.is_empty()) {
            let (reference, folder) = fragment.split_once(':').unwrap_or((&fragment, ""));
            address.reference = Some(reference.to_owned()).filter(|reference| !reference.is_empty());
            address.folder = clean(folder);
        }
        let read = address.read_query(&parts.query).and_then(|()| address.check());
        Some(read.map(|()| address))
    }

    /// It as it may be shown in messages.
    pub(crate) fn shown(&self) -> String {
        without_credentials(&self.remote)
    }

    fn read_query(&mut self, query: &[(String, String)]) -> Result<(), AddressError> {
        let (mut tag, mut branch) = (None, None);
        for (index, (name, value)) in query.iter().enumerate() {
            if query[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(AddressError::Twice(name.clone()));
            }
            let is_switch = matches!(name.as_str(), "submodules" | "keep-git-dir" | "fetch-by-commit");
            if value.is_empty() && !is_switch {
                return Err(AddressError::Empty(name.clone()));
            }
            match name.as_str() {
                "ref" => self.set_reference(value.clone())?,
                "tag" => tag = Some(qualified("refs/tags/", value)),
                "branch" => branch = Some(qualified("refs/heads/", value)),
                "subdir" => self.set_folder(value)?,
                "checksum" | "commit" => self.checksum = Some(value.clone()),
                "keep-git-dir" => self.keep_git_folder = Some(switch(name, value)?),
                "submodules" => self.skip_submodules = !switch(name, value)?,
                "fetch-by-commit" => self.by_commit = switch(name, value)?,
                "mtime" if value == "commit" => self.commit_time = true,
                "mtime" if value == "checkout" => self.commit_time = false,
                "mtime" => return Err(AddressError::value(name, value, "`checkout` or `commit`")),
                _ => return Err(AddressError::Unknown(name.clone())),
            }
        }
        match (tag, branch) {
            (Some(tag), Some(branch)) => Err(AddressError::Conflict { first: tag, second: branch }),
            (Some(reference), None) | (None, Some(reference)) => self.set_reference(reference),
            (None, None) => Ok(()),
        }
    }

    fn set_reference(&mut self, reference: String) -> Result<(), AddressError> {
        match &self.reference {
            Some(first) if *first != reference => {
                Err(AddressError::Conflict { first: first.clone(), second: reference })
            }
            _ => {
                self.reference = Some(reference);
                Ok(())
            }
        }
    }

    fn set_folder(&mut self, folder: &str) -> Result<(), AddressError> {
        let folder = clean(folder);
        if !self.folder.is_empty() && self.folder != folder {
            return Err(AddressError::Conflict { first: self.folder.clone(), second: folder });
        }
        self.folder = folder;
        Ok(())
    }

    /// What git would take for an option, or cannot be a commit.
    fn check(&self) -> Result<(), AddressError> {
        let reference = self.reference.as_deref().unwrap_or_default();
        if reference.starts_with('-') || reference.chars().any(char::is_control) {
            return Err(AddressError::value("ref", reference, "a branch, a tag or a commit"));
        }
        match self.checksum.as_deref() {
            Some(checksum) => check_commit(checksum),
            None => Ok(()),
        }
    }
}

/// Whether a text can be the beginning of a commit's name. Errors: it cannot.
pub(crate) fn check_commit(checksum: &str) -> Result<(), AddressError> {
    let is_commit = !checksum.is_empty() && checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit {
        Ok(())
    } else {
        Err(AddressError::value("checksum", checksum, "the hexadecimal digits of a commit"))
    }
}

/// Whether a reference is a whole commit name, in SHA-1 or SHA-256.
pub(crate) fn is_commit(reference: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(reference.len(), 40 | 64) && reference.bytes().all(is_digit)
}

struct Parts {
    remote: String,
    query: Vec<(String, String)>,
    fragment: Option<String>,
}

/// What stands before `://`, in lower case.
fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then(|| scheme.to_ascii_lowercase())
}

fn url_parts(text: &str, scheme: &str) -> Option<Parts> {
    if !matches!(scheme, "http" | "https" | "ssh" | "git") {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let (rest, fragment) = cut(text, '#');
    let (remote, _) = cut(rest, '?');
    if matches!(scheme, "http" | "https") && !percent_decoded(url.path()).ends_with(".git") {
        return None;
    }
    Some(Parts { remote: remote.to_owned(), query: pairs(&url), fragment: fragment.map(percent_decoded) })
}

/// `user@host:path`, as ssh and scp have it.
fn scp_parts(text: &str) -> Option<Parts> {
    let (user, rest) = text.split_once('@')?;
    let (host, rest) = rest.split_once(':')?;
    let is_word = |word: &str, more: &[u8]| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    if !is_word(user, b"-_") || !is_word(host, b"-.") || rest.contains('\n') {
        return None;
    }
    // A question mark behind the number sign is the fragment's.
    let (before, fragment) = cut(rest, '#');
    let (path, query) = cut(before, '?');
    let query = match query {
        Some(query) => pairs(&Url::parse(&format!("ssh://host/?{query}")).ok()?),
        None => Vec::new(),
    };
    Some(Parts { remote: format!("{user}@{host}:{path}"), query, fragment: fragment.map(str::to_owned) })
}

fn pairs(url: &Url) -> Vec<(String, String)> {
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn qualified(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// A switch of a query: its name alone turns it on. The words are those of Go's `strconv.ParseBool`.
fn switch(name: &str, value: &str) -> Result<bool, AddressError> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(AddressError::value(name, value, "`true` or `false`")),
    }
}

/// A folder without slashes around it, `.` and `..`.
fn clean(folder: &str) -> String {
    crate::tree::below_root(std::path::Path::new(folder)).to_string_lossy().into_owned()
}

/// The last name of a URL's path.
fn file_name(url: &Url) -> String {
    let path = percent_decoded(url.path());
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if matches!(name, "" | "." | "..") { UNNAMED.to_owned() } else { name.to_owned() }
}

fn percent_decoded(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let pair = (digit(bytes.get(index + 1)), digit(bytes.get(index + 2)));
        let value = match pair {
            (Some(high), Some(low)) if *byte == b'%' => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        decoded.push(value.unwrap_or(*byte));
        index += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
