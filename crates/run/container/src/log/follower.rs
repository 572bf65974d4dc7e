//! Reading a log while it grows and its files change.
//!
//! Files are told apart by what they are, not by their names, which change. One that is held open cannot be lost: each look takes hold of all
//! files that are younger than the one that is being read, and each is read to its end before the next.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use longshore_runtime::LogLine;

use super::{Entry, numbered};
use crate::error::ContainerError;
use crate::folder::Container;

/// A line longer than any that is written here is not one of ours.
const LONGEST: u64 = 1 << 20;
/// How often the files are looked at again, should they change meanwhile.
const LOOKS: usize = 1000;

/// Reads a log that grows.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    /// The file that is being read, and those that came after it.
    files: VecDeque<Reading>,
    has_missed: bool,
}

/// A file that is read to somewhere.
#[derive(Debug)]
struct Reading {
    file: File,
    id: FileId,
    /// Where the first line begins that is not read.
    position: u64,
}

/// Device and inode.
type FileId = (u64, u64);

impl LogFollower {
    /// Begins with the oldest line that is kept.
    pub fn new(container: &Container) -> LogFollower {
        LogFollower::at(container.path("log"))
    }

    pub(super) fn at(path: PathBuf) -> LogFollower {
        LogFollower { path, files: VecDeque::new(), has_missed: false }
    }

    /// Whether files may have come and gone without being read: the log is written faster than it is read, and is kept too short.
    pub fn has_missed(&self) -> bool {
        self.has_missed
    }

    /// Hands on the lines that have come since it was last called.
    ///
    /// Errors: the log cannot be read.
    pub fn read(&mut self, take: &mut dyn FnMut(LogLine)) -> Result<(), ContainerError> {
        self.read_files(take).map_err(|error| ContainerError::at("read", &self.path)(error))
    }

    fn read_files(&mut self, take: &mut dyn FnMut(LogLine)) -> io::Result<()> {
        loop {
            while let Some(reading) = self.files.front_mut() {
                reading.drain(take)?;
                if self.files.len() == 1 {
                    break;
                }
                self.files.pop_front();
            }
            if let Some(last) = self.files.front_mut() {
                if id_of(&self.path)? == Some(last.id) {
                    return Ok(());
                }
                // It is not written to any more; this is what came before its name was taken.
                last.drain(take)?;
            }
            let younger = self.younger()?;
            if younger.is_empty() {
                return Ok(());
            }
            self.files = younger;
        }
    }

    /// The files that came after the one that is being read, oldest first.
    fn younger(&mut self) -> io::Result<VecDeque<Reading>> {
        let mut files = self.look()?;
        if let Some(last) = self.files.back() {
            match files.iter().position(|reading| reading.id == last.id) {
                Some(index) => drop(files.drain(..=index)),
                None => self.has_missed |= !files.is_empty(),
            }
        }
        Ok(files)
    }

    /// All files, oldest first.
    ///
    /// They are opened from the youngest to the oldest, since names change in that direction: none can slip by, and one that is met
    /// twice counts where it was met last. While the youngest is the same before and after, each has taken one step at most, so they stay in order.
    fn look(&self) -> io::Result<VecDeque<Reading>> {
        let mut files = VecDeque::new();
        for _ in 0..LOOKS {
            let youngest = id_of(&self.path)?;
            files.clear();
            for number in self.numbers()? {
                let Some(reading) = Reading::open(&numbered(&self.path, number))? else { continue };
                files.retain(|known: &Reading| known.id != reading.id);
                files.push_front(reading);
            }
            if youngest.is_some() && youngest == id_of(&self.path)? {
                break;
            }
        }
        Ok(files)
    }

    /// The ages that files have, and may have by the time that they are opened.
    fn numbers(&self) -> io::Result<Vec<u32>> {
        let Some(folder) = self.path.parent() else { return Ok(vec![0]) };
        let mut numbers = vec![0, 1];
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(numbers),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("log.")?.parse::<u32>().ok());
            numbers.extend(number.into_iter().flat_map(|number| [number, number.saturating_add(1)]));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}

/// What the file of this name is; `None` where there is none.
fn id_of(path: &Path) -> io::Result<Option<FileId>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        about => about.map(|about| Some((about.dev(), about.ino()))),
    }
}

impl Reading {
    fn open(path: &Path) -> io::Result<Option<Reading>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let about = file.metadata()?;
        Ok(Some(Reading { file, id: (about.dev(), about.ino()), position: 0 }))
    }

    /// Reads to the end. Half a line is read again next time: it may be taken back, where a full disk kept its other half out.
    fn drain(&mut self, take: &mut dyn FnMut(LogLine)) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.position))?;
        let mut from = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = from.by_ref().take(LONGEST).read_until(b'\n', &mut line)? as u64;
            if line.last() != Some(&b'\n') && count < LONGEST {
                return Ok(());
            }
            self.position += count;
            // A line that was spoiled by a power failure tells nothing.
            if let Ok(entry) = serde_json::from_slice::<Entry<'_>>(&line) {
                take(LogLine {
                    time: system_time(entry.time),
                    stream: entry.stream,
                    text: entry.log.into_owned().into_bytes(),
                });
            }
        }
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    let nanoseconds = u64::try_from(time.as_nanosecond()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering};

    use longshore_runtime::{LogSettings, LogStream};
    use longshore_testkit::Random;

    use super::super::LogWriter;
    use super::*;

    /// Entries of these tests have 80 to 90 bytes: two are in a file.
    const TWO_LINES: u64 = 190;

    fn writer(path: &Path, max_files: u32) -> LogWriter {
        let settings = LogSettings { max_size: Some(TWO_LINES), max_files: Some(max_files) };
        LogWriter::open(path.to_owned(), &settings)
    }

    fn write(writer: &mut LogWriter, number: u64) {
        writer.take(LogStream::Stdout, format!("{number}\n").as_bytes());
    }

    fn number(line: &LogLine) -> u64 {
        std::str::from_utf8(&line.text).unwrap().trim().parse().unwrap()
    }

    /// However many files came in between, as long as they are kept.
    #[test]
    fn every_line_is_read_once_however_many_files_came_meanwhile() {
        for seed in 0..40 {
            let mut random = Random(seed);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            let max_files = 2 + random.below(5);
            let mut writer = writer(&path, u32::try_from(max_files).unwrap());
            let mut follower = LogFollower::at(path);
            let (mut written, mut seen) = (0, Vec::new());
            for _ in 0..60 {
                // The file that was read last may be full, and one is begun with each second line.
                for _ in 0..random.below(2 * max_files - 1) {
                    write(&mut writer, written);
                    written += 1;
                }
                follower.read(&mut |line| seen.push(number(&line))).unwrap();
            }
            assert!(written > 30, "seed {seed}");
            assert_eq!(seen, (0..written).collect::<Vec<_>>(), "seed {seed}");
            assert!(!follower.has_missed(), "seed {seed}");
        }
    }

    /// The same while both are at it, at whatever moment of a change.
    #[test]
    fn every_line_is_read_once_while_it_is_written() {
        const LINES: u64 = 2_000;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writer = writer(&path, 6);
        let mut follower = LogFollower::at(path);
        let read = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for line in 0..LINES {
                    // What is not read yet is in files that are kept.
                    while line - read.load(Ordering::SeqCst) > 8 {
                        std::thread::yield_now();
                    }
                    write(&mut writer, line);
                }
            });
            let mut expected = 0;
            while expected < LINES {
                let take = &mut |line: LogLine| {
                    assert_eq!(number(&line), expected);
                    expected += 1;
                };
                follower.read(take).unwrap();
                read.store(expected, Ordering::SeqCst);
            }
        });
        assert!(!follower.has_missed());
    }

    #[test]
    fn lines_that_went_unread_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writer = writer(&path, 2);
        let mut follower = LogFollower::at(path);
        let mut seen = Vec::new();
        write(&mut writer, 0);
        follower.read(&mut |line| seen.push(number(&line))).unwrap();
        for line in 1..10 {
            write(&mut writer, line);
        }
        follower.read(&mut |line| seen.push(number(&line))).unwrap();
        // The first file is gone, but was held.
        assert_eq!(seen, [0, 1, 6, 7, 8, 9]);
        assert!(follower.has_missed());
    }

    #[test]
    fn half_a_line_that_is_taken_back_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writer = writer(&path, 2);
        write(&mut writer, 0);
        let mut follower = LogFollower::at(path.clone());
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let whole = file.metadata().unwrap().len();
        file.write_all(b"{\"log\":\"nev").unwrap();
        let mut seen = Vec::new();
        follower.read(&mut |line| seen.push(number(&line))).unwrap();
        file.set_len(whole).unwrap();
        write(&mut writer, 1);
        follower.read(&mut |line| seen.push(number(&line))).unwrap();
        assert_eq!(seen, [0, 1]);
    }
}
