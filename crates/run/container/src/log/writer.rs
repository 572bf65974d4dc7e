//! Writing a log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use longshore_runtime::{LogSettings, LogStream};

use super::{Entry, numbered};

/// Bytes of a file before the next is begun, where nothing is said.
const MAX_SIZE: u64 = 10 << 20;
/// Files that are kept, where nothing is said.
const MAX_FILES: u32 = 3;
/// Longest part of a line that is one entry; Docker's.
const LONGEST: usize = 16 << 10;

/// Entries that are written at once, and how many bytes of output are in them.
#[derive(Default)]
struct Batch {
    entries: Vec<u8>,
    output: u64,
}

/// Writes a log. What cannot be written, on a full disk say, is counted and left out: a container does not stop for that.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    max_size: u64,
    max_files: u32,
    partial: [Vec<u8>; 2],
    /// Bytes of output that could not be kept.
    pub(crate) lost: u64,
}

impl LogWriter {
    /// Goes on with the log at `path`.
    pub(crate) fn open(path: PathBuf, settings: &LogSettings) -> LogWriter {
        let mut writer = LogWriter {
            path,
            file: None,
            size: 0,
            max_size: settings.max_size.unwrap_or(MAX_SIZE).max(1),
            max_files: settings.max_files.unwrap_or(MAX_FILES).max(1),
            partial: [Vec::new(), Vec::new()],
            lost: 0,
        };
        // What cannot be opened now is tried again when something is to be written.
        let _ = writer.reopen();
        writer
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    /// Takes what a stream wrote.
    pub(crate) fn take(&mut self, stream: LogStream, bytes: &[u8]) {
        let index = usize::from(stream == LogStream::Stderr);
        let mut batch = Batch::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LONGEST.saturating_sub(self.partial[index].len());
            let end = rest.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
            let (head, tail) = rest.split_at(end.unwrap_or(room.min(rest.len())));
            self.partial[index].extend_from_slice(head);
            rest = tail;
            if end.is_some() || self.partial[index].len() >= LONGEST {
                let line = std::mem::take(&mut self.partial[index]);
                self.add(&mut batch, stream, &line);
            }
        }
        self.write(&batch);
    }

    /// Writes what is left of lines that were not ended.
    pub(crate) fn flush(&mut self) {
        let mut batch = Batch::default();
        for (index, stream) in [LogStream::Stdout, LogStream::Stderr].into_iter().enumerate() {
            let partial = std::mem::take(&mut self.partial[index]);
            if !partial.is_empty() {
                self.add(&mut batch, stream, &partial);
            }
        }
        self.write(&batch);
    }

    /// Adds an entry to those that are written at once; what no file has room for beside it is written now.
    fn add(&mut self, batch: &mut Batch, stream: LogStream, bytes: &[u8]) {
        let mut entry = Vec::with_capacity(bytes.len() + 96);
        let content = Entry { log: String::from_utf8_lossy(bytes), stream, time: Timestamp::now() };
        // Writing JSON to memory fails for maps with odd keys only.
        if serde_json::to_writer(&mut entry, &content).is_err() {
            self.lost += bytes.len() as u64;
            return;
        }
        entry.push(b'\n');
        let size = self.size + (batch.entries.len() + entry.len()) as u64;
        if !batch.entries.is_empty() && size > self.max_size {
            self.write(&std::mem::take(batch));
        }
        batch.entries.append(&mut entry);
        batch.output += bytes.len() as u64;
    }

    fn write(&mut self, batch: &Batch) {
        let size = batch.entries.len() as u64;
        if size == 0 {
            return;
        }
        if self.size > 0 && self.size + size > self.max_size {
            self.rotate();
        }
        let is_open = self.file.is_some() || self.reopen().is_ok();
        let before = self.size;
        if is_open && self.file.as_mut().is_some_and(|file| file.write_all(&batch.entries).is_ok()) {
            self.size += size;
        } else {
            self.lost += batch.output;
            // Half a line would spoil the next.
            if let Some(file) = &self.file {
                let _ = file.set_len(before);
            }
        }
    }

    fn rotate(&mut self) {
        self.file = None;
        let older = |number: u32| numbered(&self.path, number);
        if self.max_files == 1 {
            let _ = fs::remove_file(&self.path);
        } else {
            for number in (1..self.max_files).rev() {
                let _ = fs::rename(older(number - 1), older(number));
            }
        }
        // Where that failed, the present file goes on growing.
        let _ = self.reopen();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::LogFollower;
    use super::*;

    fn written(chunks: &[(LogStream, &[u8])], settings: &LogSettings) -> (tempfile::TempDir, LogWriter) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(folder.path().join("log"), settings);
        for (stream, bytes) in chunks {
            writer.take(*stream, bytes);
        }
        writer.flush();
        (folder, writer)
    }

    fn texts(folder: &Path) -> Vec<String> {
        let mut follower = LogFollower::at(folder.join("log"));
        let mut texts = Vec::new();
        follower.read(&mut |line| texts.push(String::from_utf8(line.text).unwrap())).unwrap();
        texts
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let (out, err) = (LogStream::Stdout, LogStream::Stderr);
        let long = vec![b'x'; LONGEST + 1];
        let chunks: [(LogStream, &[u8]); 5] =
            [(out, b"a\nb"), (err, b"e\n"), (out, b"c\n\n"), (out, &long), (err, b"\xff\n")];
        let (folder, _) = written(&chunks, &LogSettings::default());
        let long = "x".repeat(LONGEST);
        assert_eq!(texts(folder.path()), ["a\n", "e\n", "bc\n", "\n", &long, "\u{fffd}\n", "x"]);
    }

    #[test]
    fn files_are_changed_by_size_and_count() {
        let settings = LogSettings { max_size: Some(200), max_files: Some(2) };
        let lines: Vec<String> = (0..10).map(|number| format!("line {number}\n")).collect();
        let chunks: Vec<(LogStream, &[u8])> =
            lines.iter().map(|line| (LogStream::Stdout, line.as_bytes())).collect();
        let (folder, _) = written(&chunks, &settings);
        // Two entries of about 80 bytes are in a file.
        assert_eq!(texts(folder.path()), lines[6..]);
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["log", "log.1"]);
    }
}
