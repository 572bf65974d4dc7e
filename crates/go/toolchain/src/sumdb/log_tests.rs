use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::*;
use crate::sumdb::note::tests::key;
use crate::sumdb::setting::Setting;
use crate::sumdb::tree::tests::Log;

const MODULE: &str = "golang.org/toolchain";

/// A server that answers from a table, and remembers what it was asked.
#[derive(Default, Clone)]
struct Table {
    answers: HashMap<String, Vec<u8>>,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Server for Table {
    fn read(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        self.asked.borrow_mut().push(path.to_owned());
        let answer = self.answers.get(path).filter(|answer| answer.len() as u64 <= limit);
        answer.cloned().ok_or_else(|| RemoteError::Missing { place: path.to_owned() })
    }
}

fn line(version: &str) -> String {
    format!("{MODULE} {version} h1:{version}=\n{MODULE} {version}/go.mod h1:mod=\n")
}

fn log_of(versions: &[String]) -> Log {
    Log::of(versions.iter().map(|version| line(version).into_bytes()).collect())
}

fn sign_head(log: &Log, size: usize, seed: u8) -> String {
    let head = log.head_at(size);
    key("db", seed).1(&format!("go.sum database tree\n{}\n{}\n", head.size, head.root))
}

/// The answers of a database with this history, one record of each version, that shows the head it had at `size`.
fn database_at(versions: &[String], size: usize) -> Table {
    let log = log_of(versions);
    let note = sign_head(&log, size, 1);
    let mut table = Table::default();
    for (number, version) in versions[..size].iter().enumerate() {
        let answer = format!("{number}\n{}\n{note}", line(version));
        table.answers.insert(format!("lookup/{MODULE}@{version}"), answer.into_bytes());
    }
    for level in 0..2 {
        for number in 0..3 {
            for width in 1..=256 {
                let Some(bytes) = log.tile(level, number, width) else { break };
                let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
                table.answers.insert(format!("tile/8/{level}/{number:03}{partial}"), bytes);
            }
        }
    }
    table
}

fn database(versions: &[String]) -> Table {
    database_at(versions, versions.len())
}

fn versions(count: usize, start: &str) -> Vec<String> {
    (0..count).map(|number| format!("{start}{number}")).collect()
}

fn lookup(table: &Table, version: &str, folder: &Path) -> Result<String, DatabaseErrorKind> {
    let verifier: Verifier = key("db", 1).0.parse().unwrap();
    let mut database = Database::new(&verifier, folder, table.clone());
    database.lookup(MODULE, version, &Events::silent()).map_err(|error| error.kind)
}

fn kept_size(folder: &Path) -> u64 {
    let note = fs::read_to_string(folder.join("db/latest")).unwrap();
    note.lines().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_growing_log_is_followed_and_its_newest_head_kept() {
    let folder = tempfile::tempdir().unwrap();
    let all = versions(700, "v");
    for size in [300, 1, 299, 301, 700, 300] {
        let table = database_at(&all, size);
        let version = &all[size - 1];
        assert_eq!(lookup(&table, version, folder.path()).unwrap(), format!("h1:{version}="), "{size}");
    }
    assert_eq!(kept_size(folder.path()), 700);
    assert!(folder.path().join("db/tile/8/0/001").exists(), "full tiles are kept");
    assert!(!folder.path().join("db/tile/8/0/002.p").exists(), "partial tiles are not");
}

#[test]
fn a_second_history_is_called_a_fork_whichever_is_longer() {
    let first = versions(300, "v");
    let mut second = first.clone();
    second[7] = "evil".into();
    for (earlier, later) in [(300, 300), (299, 300), (300, 299), (8, 300), (300, 8), (257, 300)] {
        let folder = tempfile::tempdir().unwrap();
        lookup(&database_at(&first, earlier), "v1", folder.path()).unwrap();
        let mut table = database_at(&second, later);
        let answer = lookup(&table, "v1", folder.path());
        // Who shows a longer history can prove it; who shows a shorter one is held to the longer that is known.
        if earlier > later {
            assert!(matches!(answer, Err(DatabaseErrorKind::Proof(_))), "{earlier} {later}: {answer:?}");
            let tiles = database(&first).answers.into_iter().filter(|(path, _)| path.starts_with("tile"));
            table.answers.extend(tiles);
        }
        let answer = lookup(&table, "v1", folder.path());
        let Err(DatabaseErrorKind::Fork { older, newer }) = answer else {
            panic!("{earlier} {later}: {answer:?}")
        };
        let size = |note: &str| note.lines().nth(1).unwrap().parse::<usize>().unwrap();
        assert_eq!((size(&older), size(&newer)), (earlier.min(later), earlier.max(later)));
        assert_eq!(kept_size(folder.path()), earlier as u64, "the kept head stays");
    }
}

#[test]
fn every_change_of_an_answer_is_noticed() {
    let all = versions(300, "v");
    let good = database(&all);
    let path = format!("lookup/{MODULE}@v1");
    let length = good.answers[&path].len();
    for at in 0..length {
        let mut table = good.clone();
        table.answers.get_mut(&path).unwrap()[at] ^= 1;
        let folder = tempfile::tempdir().unwrap();
        assert!(lookup(&table, "v1", folder.path()).is_err(), "byte {at}");
        assert!(!folder.path().join("db/latest").exists(), "byte {at}");
    }
    for tile in ["tile/8/0/000", "tile/8/0/001.p/44", "tile/8/1/000.p/1"] {
        for at in [0, 40, 1000] {
            let mut table = good.clone();
            let bytes = table.answers.get_mut(tile).unwrap();
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte ^= 1;
            let folder = tempfile::tempdir().unwrap();
            let answer = lookup(&table, "v1", folder.path());
            assert!(matches!(answer, Err(DatabaseErrorKind::Proof(_))), "{tile} {at}: {answer:?}");
        }
    }
}

#[test]
fn lies_are_told_apart() {
    let all = versions(300, "v");
    let path = format!("lookup/{MODULE}@v1");
    let answer = |text: String| {
        let mut table = database(&all);
        table.answers.insert(path.clone(), text.into_bytes());
        let folder = tempfile::tempdir().unwrap();
        lookup(&table, "v1", folder.path()).unwrap_err().to_string()
    };
    let log = log_of(&all);
    let (note, other_key) = (sign_head(&log, 300, 1), sign_head(&log, 300, 2));
    let changed = line("v1").replace("h1:v1=", "h1:evil=");
    let cases = [
        (format!("1\n{}\n{other_key}", line("v1")), "its answer cannot be trusted"),
        (format!("1\n{changed}\n{note}"), "its answer is not what stands in its log"),
        (format!("2\n{}\n{note}", line("v1")), "its answer is not what stands in its log"),
        (
            format!("300\n{}\n{note}", line("v1")),
            "its answer is malformed: its record lies outside of its tree",
        ),
        (
            format!("1\n{}\n{note}", line("v2")),
            "its answer is malformed: it has no hash of what was asked for",
        ),
        (
            format!("1\n{0}{0}\n{note}", line("v1")),
            "its answer is malformed: it has no hash of what was asked for",
        ),
        ("1\nno note\n".into(), "its answer is malformed: it is no record of a log"),
        ("-1\nx\n\n".into(), "its answer is malformed: it is no record of a log"),
        (String::new(), "its answer is malformed: it is no record of a log"),
    ];
    for (text, expected) in cases {
        assert_eq!(answer(text.clone()), expected, "{text}");
    }
}

#[test]
fn what_is_missing_and_what_is_damaged_here_is_no_attack() {
    let all = versions(600, "v");
    let folder = tempfile::tempdir().unwrap();
    let table = database(&all);
    assert!(matches!(lookup(&table, "v9999", folder.path()), Err(DatabaseErrorKind::Unknown)));
    let mut without = table.clone();
    without.answers.retain(|path, _| !path.starts_with("tile/8/0"));
    let answer = lookup(&without, "v1", folder.path()).unwrap_err();
    assert!(answer.is_unreachable(), "{answer:?}");
    lookup(&table, "v1", folder.path()).unwrap();
    let tile = folder.path().join("db/tile/8/0/000");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[0] ^= 1;
    write_atomic(&tile, &bytes).unwrap();
    assert_eq!(lookup(&table, "v1", folder.path()).unwrap(), "h1:v1=");
    assert_ne!(fs::read(&tile).unwrap(), bytes, "the damaged tile was fetched anew");
    write_atomic(&folder.path().join("db/latest"), b"damaged").unwrap();
    assert!(matches!(lookup(&table, "v1", folder.path()), Err(DatabaseErrorKind::Kept { .. })));
}

#[test]
fn a_tile_that_became_full_stands_for_the_part_that_it_was() {
    let all = versions(600, "v");
    let mut table = database_at(&all, 500);
    table.answers.remove("tile/8/0/001.p/244");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(lookup(&table, "v300", folder.path()).unwrap(), "h1:v300=");
}

/// Answers that sum.golang.org gave; `tests/data/sumdb/record.py` records them.
struct Recorded(Rc<RefCell<Vec<String>>>);

impl Server for Recorded {
    fn read(&mut self, path: &str, _: u64) -> Result<Vec<u8>, RemoteError> {
        self.0.borrow_mut().push(path.to_owned());
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sumdb").join(path);
        fs::read(&file).map_err(|_| RemoteError::Missing { place: path.to_owned() })
    }
}

#[test]
fn the_real_database_is_believed() {
    let setting = Setting::parse("sum.golang.org").unwrap();
    let hashes = [
        ("v0.0.1-go1.21.5.linux-amd64", "h1:WrOAQjg8QgkRG8F6tTB3APHUS0CF7cQrK47RKYikzvo="),
        ("v0.0.1-go1.26.8.linux-amd64", "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM="),
    ];
    for order in [[0, 1, 0], [1, 0, 1]] {
        let folder = tempfile::tempdir().unwrap();
        for at in order {
            let (version, hash) = hashes[at];
            let asked = Rc::new(RefCell::new(Vec::new()));
            let mut database = Database::new(&setting.verifier, folder.path(), Recorded(asked.clone()));
            assert_eq!(database.lookup(MODULE, version, &Events::silent()).unwrap(), hash, "{version}");
            assert!(asked.borrow().len() < 25, "{:?}", asked.borrow());
        }
        let note = fs::read_to_string(folder.path().join("sum.golang.org/latest")).unwrap();
        assert_eq!(note.lines().nth(1), Some("66332798"));
    }
}
