//! ADD of files from web servers.
//!
//! A file is identified by its SHA-256, so that a step is known again wherever the file came from. What was fetched stays in the store
//! by that name; a record for each address says what it held last and by which tag to ask whether it still does. So an unchanged file
//! costs one request and no body, and one with a checksum that is in the store none at all. Mode 0600 and the time of `Last-Modified`
//! (1970 where the server names none) are BuildKit's (`source/http`).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use longshore_events::{Events, Task, TaskKind};
use longshore_files::{AtomicFile, FileError, create_folders, write_unsynced};
use longshore_http::header::{ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use longshore_http::{Bytes, Client, Download, Request, StatusCode, Transfer, block_on};
use longshore_oci::{Algorithm, Digest, Digester};
use longshore_store::Store;
use serde::{Deserialize, Serialize};

use super::address::WebAddress;
use super::error::FetchError;
use super::used;
use crate::key::{Key, KeyWriter};
use crate::tree::SingleFile;

/// Kind of the store's cache items that hold what was fetched, each named by its digest.
const KIND: &str = "web";

/// A tag or date that is longer is no help, and not kept.
const MAX_HEADER: usize = 4096;

/// What an address held when it was last asked.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    digest: Digest,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// Files from web servers, and what is known of them.
pub(crate) struct Web<'a> {
    pub(crate) store: &'a Store,
    /// None where the network is to be left alone.
    pub(crate) http: Option<&'a Client>,
    pub(crate) events: &'a Events,
}

impl Web<'_> {
    /// What an address holds now. It is in the store then.
    pub(crate) fn ask(&self, address: &WebAddress) -> Result<Digest, FetchError> {
        let record = self.record(address).filter(|record| self.content(&record.digest).is_file());
        self.get(address, record)
    }

    /// The file whose digest is `digest`, from the store or else from its address.
    pub(crate) fn file(
        &self,
        address: &WebAddress,
        digest: &Digest,
        is_pinned: bool,
    ) -> Result<SingleFile, FetchError> {
        if let Some(file) = self.stored(address, digest)? {
            return Ok(file);
        }
        let found = self.get(address, None)?;
        let (before, after) = (digest.to_string(), found.to_string());
        if found != *digest {
            return Err(if is_pinned {
                FetchError::Checksum { expected: before, found: after }
            } else {
                FetchError::Changed { before, after }
            });
        }
        self.stored(address, digest)?.ok_or(FetchError::Changed { before, after })
    }

    /// Fetches what an address holds, unless it is what `record` says.
    fn get(&self, address: &WebAddress, record: Option<Record>) -> Result<Digest, FetchError> {
        let client = self.http.ok_or(FetchError::Offline)?;
        let mut request = Request::get(address.url.clone());
        if let Some(record) = &record {
            if let Some(etag) = &record.etag {
                request = request.text_header(IF_NONE_MATCH, etag);
            }
            if let Some(time) = &record.last_modified {
                request = request.text_header(IF_MODIFIED_SINCE, time);
            }
        }
        let folder = self.store.temporary_folder();
        let mut file = AtomicFile::create_in(&folder)?;
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut transfer = Transfer::new(u64::MAX);
        let task = self.events.task(TaskKind::Download, longshore_http::redacted(&address.url));
        let mut received = 0;
        let mut receive = |bytes: Bytes| {
            received += bytes.len() as u64;
            digester.update(&bytes);
            task.progress(received, None);
            file.write_all(&bytes)
        };
        let outcome = block_on(client.download(&request, &mut transfer, &mut receive, self.events))?;
        match (outcome, record) {
            (Download::Complete(_), _) => {
                self.keep(address, file, (digester.finish(), transfer.headers()), task)
            }
            (Download::Refused(response), Some(record)) if response.status() == StatusCode::NOT_MODIFIED => {
                task.cached("it did not change");
                Ok(record.digest)
            }
            (Download::Refused(response), _) => {
                Err(FetchError::Status { status: response.status().as_u16() })
            }
        }
    }

    /// Gives what was fetched its name in the store, and notes what the server said about it.
    fn keep(
        &self,
        address: &WebAddress,
        file: AtomicFile,
        (digest, headers): (Digest, &HeaderMap),
        task: Task,
    ) -> Result<Digest, FetchError> {
        let text = |name| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.filter(|value| value.len() <= MAX_HEADER).map(str::to_owned)
        };
        let record = Record { digest: digest.clone(), etag: text(ETAG), last_modified: text(LAST_MODIFIED) };
        let path = self.content(&digest);
        create_folders(&self.item(&digest))?;
        file.commit_unsynced(&path)?;
        used(&self.item(&digest))?;
        self.note(address, &record)?;
        task.done("");
        Ok(digest)
    }

    /// A file in the store, unless it is damaged.
    fn stored(&self, address: &WebAddress, digest: &Digest) -> Result<Option<SingleFile>, FetchError> {
        let path = self.content(digest);
        let mut content = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::of("open", &path)(error).into()),
        };
        if self.digest_of(&mut content).map_err(FileError::of("read", &path))? != Some(digest.clone()) {
            self.events.check()?;
            return Ok(None);
        }
        used(&self.item(digest))?;
        let about = content.metadata().map_err(FileError::of("look at", &path))?;
        let (name, time) = (OsString::from(&address.name), self.time(address, digest));
        Ok(Some(SingleFile::fetched(name, (content, about.len()), time, digest)))
    }

    /// The time that the server gave a file, in seconds since 1970. Files from elsewhere with the same content have their own.
    fn time(&self, address: &WebAddress, digest: &Digest) -> i64 {
        let record = self.record(address).filter(|record| record.digest == *digest);
        record.and_then(|record| http_date(record.last_modified.as_deref()?)).unwrap_or(0)
    }

    /// Digest of a file; nothing where the work was asked to stop.
    fn digest_of(&self, file: &mut File) -> io::Result<Option<Digest>> {
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut buffer = vec![0; 128 * 1024];
        loop {
            if self.events.is_cancelled() {
                return Ok(None);
            }
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Some(digester.finish())),
                Ok(count) => digester.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn item(&self, digest: &Digest) -> PathBuf {
        self.store.cache_folder(KIND).join(digest.encoded())
    }

    fn content(&self, digest: &Digest) -> PathBuf {
        self.item(digest).join("content")
    }

    fn record_path(&self, address: &WebAddress) -> PathBuf {
        let key = KeyWriter::new("address").text(address.url.as_str()).finish();
        self.store.cache_folder("dockerfile").join("addresses").join(key.hex())
    }

    /// What is recorded of an address. A damaged record counts as absent: it can be made again.
    fn record(&self, address: &WebAddress) -> Option<Record> {
        let bytes = fs::read(self.record_path(address)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn note(&self, address: &WebAddress, record: &Record) -> Result<(), FetchError> {
        let path = self.record_path(address);
        let bytes =
            serde_json::to_vec(record).map_err(io::Error::other).map_err(FileError::of("write", &path))?;
        create_folders(&self.store.cache_folder("dockerfile").join("addresses"))?;
        Ok(write_unsynced(&path, &bytes)?)
    }
}

/// The identity of a file under its name.
pub(crate) fn identity(address: &WebAddress, digest: &Digest) -> Key {
    KeyWriter::new("web").text(&address.name).text(&digest.to_string()).finish()
}

/// Seconds since 1970 of a date as HTTP has it (RFC 9110, section 5.6.7): `Wed, 21 Oct 2015 07:28:00 GMT`.
fn http_date(text: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp().as_second()).filter(|seconds| *seconds >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read_and_others_are_not() {
        for (text, expected) in [
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(1_445_412_480)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 01 Jan 1920 00:00:00 GMT", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(http_date(text), expected, "{text}");
        }
    }
}
