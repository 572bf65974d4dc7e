//! Entries → tar → hash → compression → hash → writer, in one pass and with bounded memory.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use longshore_oci::media_type::{Compression, ImageFormat};
use longshore_oci::{Algorithm, Descriptor, Digest, Digester};
use tar::{EntryType, Header};

use crate::layer::compress::Compressor;
use crate::layer::{Entry, EntryKind, GzipWriter, Layer, Timestamps};

/// A layer that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {} into a layer", path.display())]
pub struct LayerError {
    /// Path of the entry in the image.
    pub path: PathBuf,
    /// What went wrong.
    #[source]
    pub kind: LayerErrorKind,
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerErrorKind {
    /// The path is absolute, empty, or has `..` in it.
    #[error("its path must be relative to the image's root, without `..`")]
    Path,
    /// The content has another length than the entry says: the file changed while it was read.
    #[error("it has {actual} bytes, and {expected} were expected: it changed while it was read")]
    Size {
        /// Bytes that the entry says.
        expected: u64,
        /// Bytes that came, or one more than expected where more would have come.
        actual: u64,
    },
    /// The content could not be read, or the layer not written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Pipeline<W> = HashingWriter<Compressor<HashingWriter<W>>>;

/// Writes a layer to `W`, gzip-compressed unless told otherwise.
pub struct LayerBuilder<W: Write> {
    tar: tar::Builder<Pipeline<W>>,
    timestamps: Timestamps,
}

impl<W: Write> std::fmt::Debug for LayerBuilder<W> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LayerBuilder").field("timestamps", &self.timestamps).finish_non_exhaustive()
    }
}

impl<W: Write> LayerBuilder<W> {
    /// A layer that goes to `writer`, gzip-compressed.
    pub fn new(writer: W, timestamps: Timestamps) -> Self {
        LayerBuilder::over(Compressor::Gzip(GzipWriter::new(HashingWriter::new(writer))), timestamps)
    }

    /// A layer that goes to `writer`, compressed in the given way. Errors: the compressor cannot be set up.
    pub fn compressed(writer: W, timestamps: Timestamps, compression: Compression) -> io::Result<Self> {
        let writer = HashingWriter::new(writer);
        let compressor = match compression {
            Compression::None => Compressor::None(writer),
            Compression::Gzip => Compressor::Gzip(GzipWriter::new(writer)),
            Compression::Zstd => Compressor::zstd(writer)?,
        };
        Ok(LayerBuilder::over(compressor, timestamps))
    }

    fn over(compressor: Compressor<HashingWriter<W>>, timestamps: Timestamps) -> Self {
        LayerBuilder { tar: tar::Builder::new(HashingWriter::new(compressor)), timestamps }
    }

    /// Adds an entry; `content` is read for files only, and must have exactly the size that the entry says.
    ///
    /// Errors: the path could leave the image's root, the content has another size, or reading or writing failed.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), LayerError> {
        self.write_entry(entry, content).map_err(|kind| LayerError { path: entry.path.clone(), kind })
    }

    /// Adds an entry that has no content.
    pub fn append_empty(&mut self, entry: &Entry) -> Result<(), LayerError> {
        self.append(entry, &mut io::empty())
    }

    fn write_entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), LayerErrorKind> {
        if !is_inside(&entry.path) {
            return Err(LayerErrorKind::Path);
        }
        let mut header = Header::new_ustar();
        header.set_mode(entry.mode);
        header.set_uid(entry.uid);
        header.set_gid(entry.gid);
        header.set_mtime(self.timestamps.apply(entry.mtime));
        header.set_size(0);
        let mut records = Records::default();
        let mut path = entry.path.as_os_str().as_bytes().to_vec();
        match &entry.kind {
            EntryKind::File { size } => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*size);
            }
            EntryKind::Directory => {
                header.set_entry_type(EntryType::Directory);
                path.push(b'/');
            }
            EntryKind::Symlink { target } => {
                header.set_entry_type(EntryType::Symlink);
                records.set_link(&mut header, target)?;
            }
            EntryKind::Hardlink { target } if !is_inside(target) => return Err(LayerErrorKind::Path),
            EntryKind::Hardlink { target } => {
                header.set_entry_type(EntryType::Link);
                records.set_link(&mut header, target)?;
            }
            EntryKind::CharacterDevice { major, minor } => {
                set_device(&mut header, EntryType::Char, *major, *minor)?;
            }
            EntryKind::BlockDevice { major, minor } => {
                set_device(&mut header, EntryType::Block, *major, *minor)?;
            }
            EntryKind::Fifo => header.set_entry_type(EntryType::Fifo),
        }
        records.set_path(&mut header, &path)?;
        for (name, value) in &entry.xattrs {
            records.0.push((format!("SCHILY.xattr.{name}"), value.clone()));
        }
        self.write_records(&records)?;
        header.set_cksum();
        self.write_data(&header, content)
    }

    fn write_records(&mut self, records: &Records) -> io::Result<()> {
        if records.0.is_empty() {
            return Ok(());
        }
        self.tar.append_pax_extensions(records.0.iter().map(|(key, value)| (key.as_str(), value.as_slice())))
    }

    fn write_data(&mut self, header: &Header, content: &mut dyn Read) -> Result<(), LayerErrorKind> {
        let expected = header.size()?;
        let mut counted = Counted { inner: content.take(expected), count: 0 };
        self.tar.append(header, &mut counted)?;
        let (rest, mut actual) = (counted.inner.into_inner(), counted.count);
        if actual == expected && header.entry_type() == EntryType::Regular {
            actual += rest.read(&mut [0])? as u64;
        }
        if actual == expected { Ok(()) } else { Err(LayerErrorKind::Size { expected, actual }) }
    }

    /// Ends the tar and the compressed stream. Returns the layer, its media type that of `format`, and the writer.
    pub fn finish(self, format: ImageFormat) -> io::Result<(Layer, W)> {
        let plain = self.tar.into_inner()?;
        let diff_id = plain.digester.finish();
        let compression = plain.inner.kind();
        let compressed = plain.inner.finish()?;
        let digest: Digest = compressed.digester.finish();
        let descriptor = Descriptor::new(format.layer(compression), digest, compressed.count);
        Ok((Layer { descriptor, diff_id }, compressed.inner))
    }
}

/// Extended header records of one entry: what a ustar header has no room for. POSIX.1-2001, pax.
#[derive(Default)]
struct Records(Vec<(String, Vec<u8>)>);

impl Records {
    fn set_path(&mut self, header: &mut Header, path: &[u8]) -> io::Result<()> {
        let os = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        if header.set_path(os(path)).is_err() {
            self.0.push(("path".to_owned(), path.to_vec()));
            header.set_path(os(&tail(path)))?;
        }
        Ok(())
    }

    fn set_link(&mut self, header: &mut Header, target: &Path) -> io::Result<()> {
        let bytes = target.as_os_str().as_bytes();
        // `set_link_name` would rewrite the target; it must stay as it is.
        if header.set_link_name_literal(bytes).is_err() {
            self.0.push(("linkpath".to_owned(), bytes.to_vec()));
            header.set_link_name_literal(tail(bytes))?;
        }
        Ok(())
    }
}

fn set_device(header: &mut Header, kind: EntryType, major: u32, minor: u32) -> io::Result<()> {
    header.set_entry_type(kind);
    header.set_device_major(major)?;
    header.set_device_minor(minor)
}

/// What a reader without pax support sees of a name that is too long: its end, which tells most.
fn tail(name: &[u8]) -> Vec<u8> {
    let start = name.len().saturating_sub(99);
    let end = &name[start..];
    end.strip_prefix(b"/").unwrap_or(end).to_vec()
}

fn is_inside(path: &Path) -> bool {
    !path.as_os_str().is_empty()
        && path.components().all(|component| matches!(component, Component::Normal(_)))
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

struct HashingWriter<W> {
    inner: W,
    digester: Digester,
    count: u64,
}

impl<W> HashingWriter<W> {
    fn new(inner: W) -> Self {
        HashingWriter { inner, digester: Digester::new(Algorithm::Sha256), count: 0 }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.digester.update(&bytes[..count]);
        self.count += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(entries: &[(Entry, &[u8])]) -> (Layer, Vec<u8>) {
        let mut builder = LayerBuilder::new(Vec::new(), Timestamps::Fixed(0));
        for (entry, content) in entries {
            builder.append(entry, &mut &content[..]).unwrap();
        }
        builder.finish(ImageFormat::Oci).unwrap()
    }

    #[test]
    fn a_known_layer_has_the_known_digest() {
        let binary: Vec<u8> = (0..3_000_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let (layer, _) = build(&[
            (Entry::directory("app", 0o755), b""),
            (Entry::file("app/server", 0o555, binary.len() as u64), &binary),
            (Entry::symlink("app/link", "../etc/x"), b""),
            (Entry::directory("tmp", 0o1777).owned_by(65532, 65532), b""),
        ]);
        // A promise to users: these change only together with `FORMAT`.
        assert_eq!(
            layer.diff_id.to_string(),
            "sha256:140a848bb033baee72130853429ef3a5772c3384371b59663e86e54d1526b99d"
        );
        assert_eq!(
            layer.descriptor.digest.to_string(),
            "sha256:36d8219d869e167c7c19482eceaba5b8eecbf4788295a15a02e3f273c3f3272f"
        );
    }

    #[test]
    fn what_is_written_is_read_back_also_with_long_names_and_attributes() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(180));
        let mut capable = Entry::file("capable", 0o755, 1);
        capable.xattrs.insert("security.capability".to_owned(), vec![1, 0, 0, 2]);
        let link = Entry {
            kind: EntryKind::Hardlink { target: long.clone().into() },
            ..Entry::file("hard", 0o644, 0)
        };
        let soft = Entry::symlink("soft", format!("/{}", "t".repeat(300)));
        let (layer, bytes) =
            build(&[(Entry::file(&long, 0o644, 3), b"abc"), (capable, b"x"), (link, b""), (soft, b"")]);
        assert_eq!(Digest::of(&bytes), layer.descriptor.digest);
        let mut plain = Vec::new();
        crate::layer::decompress(io::Cursor::new(bytes), Compression::Gzip)
            .unwrap()
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(Digest::of(&plain), layer.diff_id);
        let mut seen = Vec::new();
        for entry in tar::Archive::new(&plain[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let target = entry.link_name_bytes().map(|name| name.len());
            let records = entry.pax_extensions().unwrap().map_or(0, Iterator::count);
            seen.push((path, target, records));
        }
        assert_eq!(
            seen,
            [
                (long, None, 1),
                ("capable".into(), None, 1),
                ("hard".into(), Some(301), 1),
                ("soft".into(), Some(301), 1)
            ]
        );
    }

    #[test]
    fn paths_that_leave_the_root_and_files_that_change_are_refused() {
        let mut builder = LayerBuilder::new(Vec::new(), Timestamps::Fixed(0));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "."] {
            assert!(builder.append_empty(&Entry::directory(bad, 0o755)).is_err(), "{bad}");
        }
        for (content, actual) in [(&b"ab"[..], 2), (b"abcd", 4)] {
            let error = builder.append(&Entry::file("f", 0o644, 3), &mut &content[..]).unwrap_err();
            assert!(
                matches!(error.kind, LayerErrorKind::Size { expected: 3, actual: found } if found == actual),
                "{error:?}"
            );
        }
    }
}
