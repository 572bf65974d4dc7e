//! A blob that is read by a decoder that may give up, and to its end all the same.

use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::GzDecoder;
use longshore_events::Events;
use longshore_oci::{Descriptor, Digester};

use crate::content::{BlobReader, ContentErrorKind};
use crate::handle::Image;
use crate::validate::{Findings, chain};

struct Blob {
    reader: BlobReader,
    digester: Digester,
    size: u64,
    failure: Option<String>,
    events: Events,
}

/// A blob's bytes, hashed and counted as they pass. Clones read on where the others stand.
#[derive(Clone)]
pub(super) struct SharedBlob(Arc<Mutex<Blob>>);

impl SharedBlob {
    pub(super) fn open(
        image: &Image,
        descriptor: &Descriptor,
        events: &Events,
        findings: &mut Findings,
    ) -> Option<Self> {
        match image.content().open(descriptor) {
            Ok(reader) => {
                let digester = Digester::new(descriptor.digest.algorithm());
                let blob = Blob { reader, digester, size: 0, failure: None, events: events.clone() };
                Some(SharedBlob(Arc::new(Mutex::new(blob))))
            }
            Err(error) => {
                let missing = matches!(error.kind, ContentErrorKind::NotFound);
                findings.error(if missing { "blob-missing" } else { "blob-unreadable" }, "", chain(&error));
                None
            }
        }
    }

    /// Reads what nobody has read, and compares the whole with what the descriptor says.
    pub(super) fn finish(mut self, descriptor: &Descriptor, findings: &mut Findings) {
        // A failure is kept in the blob.
        let _ = io::copy(&mut self, &mut io::sink());
        let blob = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &blob.failure {
            return findings.error("blob-unreadable", "", format!("cannot read it: {failure}"));
        }
        if blob.size != descriptor.size {
            let message = format!("it has {} bytes, and its descriptor says {}", blob.size, descriptor.size);
            findings.error("blob-size", "", message);
        }
        let actual = blob.digester.clone().finish();
        if actual != descriptor.digest {
            findings.error("blob-digest", "", format!("its bytes have the digest {actual}"));
        }
    }
}

impl Read for SharedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut blob = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blob.events.check().map_err(io::Error::other)?;
        match blob.reader.read(buffer) {
            Ok(count) => {
                blob.digester.update(&buffer[..count]);
                blob.size += count as u64;
                Ok(count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    blob.failure.get_or_insert_with(|| chain(&error));
                }
                Err(error)
            }
        }
    }
}

/// Gzip members, one after the other, up to bytes that begin no member. RFC 1952, 2.2.
pub(super) struct GzipMembers<R> {
    member: Option<GzDecoder<R>>,
    garbage: Arc<AtomicBool>,
}

impl<R: BufRead> GzipMembers<R> {
    /// `garbage` becomes true once such bytes are met.
    pub(super) fn new(reader: R, garbage: Arc<AtomicBool>) -> Self {
        GzipMembers { member: Some(GzDecoder::new(reader)), garbage }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(member) = &mut self.member else { return Ok(0) };
            let count = member.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let Some(mut reader) = self.member.take().map(GzDecoder::into_inner) else { return Ok(0) };
            match reader.fill_buf()? {
                [] => return Ok(0),
                [0x1f] | [0x1f, 0x8b, ..] => self.member = Some(GzDecoder::new(reader)),
                _ => {
                    self.garbage.store(true, Ordering::Relaxed);
                    return Ok(0);
                }
            }
        }
    }
}
