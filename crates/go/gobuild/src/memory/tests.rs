use std::time::Duration;

use longshore_files::{FileInstant, Stat};

use super::record::Seen;
use super::*;

/// A folder with a file, a listing and an absence in a record, all older than any granularity.
struct Sample {
    folder: tempfile::TempDir,
    memory: Memory,
    key: Key,
}

impl Sample {
    fn new() -> Sample {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        put(&source.join("a.go"), "package a");
        put(&source.join("notes.txt"), "notes");
        std::thread::sleep(Duration::from_millis(60));
        let memory = Memory::new(folder.path().join("memory"));
        let sample = Sample { memory, key: Key::of([b"k".as_slice()]), folder };
        sample.record().unwrap();
        sample
    }

    fn source(&self, name: &str) -> PathBuf {
        self.folder.path().join("source").join(name)
    }

    fn record(&self) -> Result<(), String> {
        let mut watch = Watch::since(FileInstant::now());
        watch.folder_with_files(&self.folder.path().join("source"), &Filter::GoSources);
        watch.file(&self.source("go.work"));
        watch.presence(&self.source("vendor"));
        let record = watch.into_record(b"value".to_vec())?;
        assert_eq!(Record::decode(&record.encode()), Some(record.clone()));
        self.memory.remember(&self.key, &record).map_err(|error| error.to_string())
    }

    fn recall(&self) -> Result<Vec<u8>, String> {
        match self.memory.recall(&self.key) {
            Recalled::Valid(value) => Ok(value),
            Recalled::Nothing(why) | Recalled::Edited(_, why) => Err(why),
        }
    }
}

fn put(path: &Path, text: &str) {
    fs::OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

#[test]
fn what_did_not_change_is_recalled_and_what_matters_not_is_not_looked_at() {
    let sample = Sample::new();
    assert_eq!(sample.recall().unwrap(), b"value");
    put(&sample.source("notes.txt"), "other notes");
    put(&sample.source("README.md"), "new");
    fs::create_dir(sample.source("subfolder")).unwrap();
    assert_eq!(sample.recall().unwrap(), b"value");
    assert_eq!(sample.recall().unwrap(), b"value");
}

#[test]
fn a_touched_file_is_recalled_and_its_stat_is_learnt() {
    let sample = Sample::new();
    let path = sample.memory.path(&sample.key);
    let before = Record::decode(&fs::read(&path).unwrap()).unwrap();
    let source = fs::File::options().write(true).open(sample.source("a.go")).unwrap();
    source.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
    assert_eq!(sample.recall().unwrap(), b"value");
    let after = Record::decode(&fs::read(&path).unwrap()).unwrap();
    assert_ne!(before.entries, after.entries);
    assert_eq!(sample.recall().unwrap(), b"value");
}

#[test]
fn every_change_that_matters_is_noticed() {
    type Change = fn(&Sample);
    let cases: [(&str, Change, &str); 8] = [
        ("same size, new content", |s| put(&s.source("a.go"), "package b"), "a.go changed"),
        ("removed", |s| fs::remove_file(s.source("a.go")).unwrap(), "source has other files"),
        ("added", |s| put(&s.source("b.go"), ""), "source has other files"),
        ("added assembly", |s| put(&s.source("b.s"), ""), "source has other files"),
        ("a go.work appears", |s| put(&s.source("go.work"), ""), "go.work is new"),
        ("vendor appears", |s| fs::create_dir(s.source("vendor")).unwrap(), "vendor is new"),
        (
            "renamed over",
            |s| {
                put(&s.source("new"), "package c");
                fs::rename(s.source("new"), s.source("a.go")).unwrap();
            },
            "a.go changed",
        ),
        (
            "a link in its place",
            |s| {
                fs::rename(s.source("a.go"), s.source("moved")).unwrap();
                std::os::unix::fs::symlink("moved", s.source("a.go")).unwrap();
            },
            "source has other files",
        ),
    ];
    for (name, change, expected) in cases {
        let sample = Sample::new();
        change(&sample);
        let why = sample.recall().unwrap_err();
        assert!(why.ends_with(expected), "{name}: {why}");
    }
}

#[test]
fn a_change_that_hides_its_stamp_is_noticed() {
    let sample = Sample::new();
    let path = sample.source("a.go");
    let stamp = fs::metadata(&path).unwrap().modified().unwrap();
    put(&path, "package x");
    fs::File::options().write(true).open(&path).unwrap().set_modified(stamp).unwrap();
    assert!(sample.recall().unwrap_err().ends_with("a.go changed"));
}

#[test]
fn a_file_modified_just_before_is_hashed_until_it_is_old() {
    let sample = Sample::new();
    let memory_path = sample.memory.path(&sample.key);
    put(&sample.source("a.go"), "package 1");
    // The record of a reading in the same tick as the change: its stat alone would prove nothing.
    let mut record = Record::decode(&fs::read(&memory_path).unwrap()).unwrap();
    for entry in &mut record.entries {
        if let Seen::File { stat, hash, .. } = &mut entry.seen {
            *stat = Stat::of(&entry.path).unwrap();
            *hash = *blake3::hash(b"package 0").as_bytes();
            record.taken = FileInstant(stat.stamp());
        }
    }
    write(&memory_path, &record).unwrap();
    assert!(sample.recall().unwrap_err().ends_with("a.go changed"));
}

#[test]
fn a_change_while_the_work_runs_leaves_no_record() {
    let sample = Sample::new();
    let began = FileInstant::now();
    std::thread::sleep(Duration::from_millis(30));
    put(&sample.source("a.go"), "package z");
    let mut watch = Watch::since(began);
    watch.file(&sample.source("a.go"));
    let why = watch.into_record(Vec::new()).unwrap_err();
    assert!(why.ends_with("a.go changed while it was built"), "{why}");
}

#[test]
fn damaged_records_are_not_used() {
    let sample = Sample::new();
    let path = sample.memory.path(&sample.key);
    let good = fs::read(&path).unwrap();
    for cut in (0..good.len()).step_by(7) {
        assert_eq!(Record::decode(&good[..cut]), None, "cut at {cut}");
    }
    for flip in (0..good.len()).step_by(5) {
        let mut bad = good.clone();
        bad[flip] ^= 1;
        assert_eq!(Record::decode(&bad), None, "flipped at {flip}");
    }
    put(&path, "");
    assert!(sample.recall().unwrap_err().ends_with("is damaged"));
}

#[test]
fn an_edit_below_the_imports_keeps_the_list_of_inputs() {
    let sample = Sample::new();
    for (text, keeps) in [("package a\n\nfunc f() {}\n", false), ("package a\n\nfunc g() { f() }\n", true)] {
        put(&sample.source("a.go"), text);
        let edited = matches!(sample.memory.recall(&sample.key), Recalled::Edited(..));
        assert_eq!(edited, keeps, "{text}");
        std::thread::sleep(Duration::from_millis(60));
        sample.record().unwrap();
    }
    put(&sample.source("a.go"), "package a\n\nfunc h() {}\n");
    let Recalled::Edited(record, _) = sample.memory.recall(&sample.key) else { panic!("not an edit") };
    std::thread::sleep(Duration::from_millis(30));
    let mut watch = Watch::since(FileInstant::now());
    watch.renew(&record);
    let renewed = watch.into_record(b"new".to_vec()).unwrap();
    assert_eq!(renewed.entries.len(), record.entries.len());
    sample.memory.remember(&sample.key, &renewed).unwrap();
    assert_eq!(sample.recall().unwrap(), b"new");
    put(&sample.source("b.go"), "package a\n");
    let mut watch = Watch::since(FileInstant::now());
    watch.renew(&record);
    assert!(watch.into_record(Vec::new()).is_err(), "a new file is no edit");
}
