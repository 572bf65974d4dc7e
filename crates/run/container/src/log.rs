//! A container's log: a JSON object a line, as Docker's `json-file` driver keeps it, in files that are changed by size and count.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use longshore_runtime::{LogLine, LogSettings, LogStream};
use serde::{Deserialize, Serialize};

use crate::error::ContainerError;
use crate::folder::Container;

/// Bytes of a file before the next is begun, where nothing is said.
const MAX_SIZE: u64 = 10 << 20;
/// Files that are kept, where nothing is said.
const MAX_FILES: u32 = 3;
/// Longest part of a line that is one entry; Docker's.
const LONGEST: usize = 16 << 10;

/// One line, or a part of a long one.
#[derive(Debug, Serialize, Deserialize)]
struct Entry<'t> {
    log: std::borrow::Cow<'t, str>,
    stream: LogStream,
    time: Timestamp,
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
    /// Bytes that could not be kept.
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
        let mut entries = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = LONGEST.saturating_sub(self.partial[index].len());
            let end = rest.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
            let (head, tail) = rest.split_at(end.unwrap_or(room.min(rest.len())));
            self.partial[index].extend_from_slice(head);
            rest = tail;
            if end.is_some() || self.partial[index].len() >= LONGEST {
                let line = std::mem::take(&mut self.partial[index]);
                self.add(&mut entries, stream, &line);
            }
        }
        self.write(&entries);
    }

    /// Writes what is left of lines that were not ended.
    pub(crate) fn flush(&mut self) {
        let mut entries = Vec::new();
        for (index, stream) in [LogStream::Stdout, LogStream::Stderr].into_iter().enumerate() {
            let partial = std::mem::take(&mut self.partial[index]);
            if !partial.is_empty() {
                self.add(&mut entries, stream, &partial);
            }
        }
        self.write(&entries);
    }

    /// Adds an entry to those that are written at once; what no file has room for beside it is written now.
    fn add(&mut self, entries: &mut Vec<u8>, stream: LogStream, bytes: &[u8]) {
        let before = entries.len();
        let entry = Entry { log: String::from_utf8_lossy(bytes), stream, time: Timestamp::now() };
        // Writing JSON to memory fails for maps with odd keys only.
        if serde_json::to_writer(&mut *entries, &entry).is_err() {
            entries.truncate(before);
            return;
        }
        entries.push(b'\n');
        if before > 0 && self.size + entries.len() as u64 > self.max_size {
            self.write(entries.get(..before).unwrap_or_default());
            entries.drain(..before);
        }
    }

    fn write(&mut self, entries: &[u8]) {
        if entries.is_empty() {
            return;
        }
        if self.size > 0 && self.size + entries.len() as u64 > self.max_size {
            self.rotate();
        }
        let written = self.file.is_some() || self.reopen().is_ok();
        let before = self.size;
        let written = written && self.file.as_mut().is_some_and(|file| file.write_all(entries).is_ok());
        if written {
            self.size += entries.len() as u64;
        } else {
            self.lost += entries.len() as u64;
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

/// The file of this age: 0 is the present one.
fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 { path.to_owned() } else { path.with_extension(number.to_string()) }
}

/// All that is kept of a container's output, oldest first.
pub fn read_log(container: &Container) -> Result<Vec<LogLine>, ContainerError> {
    let mut lines = Vec::new();
    LogFollower::new(container).read(&mut |line| lines.push(line))?;
    Ok(lines)
}

/// Reads a log that grows.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    present: Option<File>,
    partial: Vec<u8>,
}

impl LogFollower {
    /// Begins with the oldest line that is kept.
    pub fn new(container: &Container) -> LogFollower {
        LogFollower { path: container.path("log"), present: None, partial: Vec::new() }
    }

    /// Hands on the lines that have come since it was last called.
    ///
    /// Errors: the log cannot be read.
    pub fn read(&mut self, take: &mut dyn FnMut(LogLine)) -> Result<(), ContainerError> {
        let problem = |error| ContainerError::at("read", &self.path)(error);
        let Some(present) = &mut self.present else {
            let mut older: Vec<u32> = self.older();
            older.sort_unstable_by(|one, two| two.cmp(one));
            for number in older {
                let path = numbered(&self.path, number);
                // One that was removed meanwhile is too old.
                if let Ok(file) = File::open(&path) {
                    drain(&mut BufReader::new(file), &mut Vec::new(), take).map_err(problem)?;
                }
            }
            return self.read_present(take);
        };
        drain(&mut BufReader::new(&mut *present), &mut self.partial, take).map_err(problem)?;
        let is_same = {
            use std::os::unix::fs::MetadataExt;
            let inode = |about: io::Result<fs::Metadata>| about.ok().map(|about| (about.dev(), about.ino()));
            inode(fs::metadata(&self.path)) == inode(present.metadata())
        };
        // Another file has its name: the rest of this one was read just now.
        if is_same { Ok(()) } else { self.read_present(take) }
    }

    fn older(&self) -> Vec<u32> {
        let Some(Ok(entries)) = self.path.parent().map(fs::read_dir) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| name.to_str()?.strip_prefix("log.")?.parse().ok()).collect()
    }

    fn read_present(&mut self, take: &mut dyn FnMut(LogLine)) -> Result<(), ContainerError> {
        let problem = |error| ContainerError::at("read", &self.path)(error);
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(problem(error)),
            Ok(mut file) => {
                self.partial.clear();
                drain(&mut BufReader::new(&mut file), &mut self.partial, take).map_err(problem)?;
                self.present = Some(file);
                Ok(())
            }
        }
    }
}

/// A time as logs have it: RFC 3339, in UTC.
pub fn timestamp(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "-".to_owned(), |time| time.to_string())
}

fn system_time(time: Timestamp) -> SystemTime {
    let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(nanoseconds)
}

/// Reads entries to the end; half a line stays in `partial`.
fn drain(from: &mut impl BufRead, partial: &mut Vec<u8>, take: &mut dyn FnMut(LogLine)) -> io::Result<()> {
    loop {
        from.by_ref().take(1 << 20).read_until(b'\n', partial)?;
        if partial.last() != Some(&b'\n') {
            // A line longer than any that is written here is not one of ours.
            if partial.len() >= 1 << 20 {
                partial.clear();
                continue;
            }
            return Ok(());
        }
        // A line that was spoiled by a power failure tells nothing.
        if let Ok(entry) = serde_json::from_slice::<Entry<'_>>(partial) {
            take(LogLine {
                time: system_time(entry.time),
                stream: entry.stream,
                text: entry.log.into_owned().into_bytes(),
            });
        }
        partial.clear();
    }
}

#[cfg(test)]
mod tests {
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
        let mut follower = LogFollower { path: folder.join("log"), present: None, partial: Vec::new() };
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

    #[test]
    fn a_follower_goes_on_over_a_change_of_files() {
        let settings = LogSettings { max_size: Some(200), max_files: Some(3) };
        let (folder, mut writer) = written(&[(LogStream::Stdout, b"0\n")], &settings);
        let mut follower =
            LogFollower { path: folder.path().join("log"), present: None, partial: Vec::new() };
        let mut seen = Vec::new();
        for number in 1..8 {
            follower.read(&mut |line| seen.push(line.text)).unwrap();
            writer.take(LogStream::Stdout, format!("{number}\n").as_bytes());
        }
        follower.read(&mut |line| seen.push(line.text)).unwrap();
        let expected: Vec<Vec<u8>> = (0..8).map(|number| format!("{number}\n").into_bytes()).collect();
        assert_eq!(seen, expected);
    }
}
