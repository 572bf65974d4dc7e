//! What longshore remembers: small values by key, in one transactional file.
//!
//! redb in its multi-writer mode, so that several processes may read and write at once. Everything here can be made again: a file
//! that is damaged is put aside and begun anew, which costs a rebuild and nothing else.

use std::path::{Path, PathBuf};

use longshore_files::FileError;
use redb::{
    Builder, ConcurrencyMode, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, TableError,
};

/// Pages kept in memory, in bytes. Records are read once or twice in a process.
const CACHE: usize = 4 * 1024 * 1024;

/// A table: values by key, both bytes.
type Table<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// The records could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the records in {}", path.display())]
pub struct RecordsError {
    /// What was being done: "read", "write".
    pub action: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the database said.
    #[source]
    pub source: Box<redb::Error>,
}

impl RecordsError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match &*self.source {
            redb::Error::Io(error) => {
                FileError { action: "use", path: self.path.clone(), source: error.kind().into() }.hint()
            }
            _ => Some(format!(
                "the file can be deleted: it holds only what longshore can find out again ({})",
                self.path.display()
            )),
        }
    }
}

/// Values by table and key. Cheap to make: nothing is opened before the first read or write.
#[derive(Debug, Clone)]
pub struct Records {
    path: PathBuf,
}

impl Records {
    pub(crate) fn new(path: PathBuf) -> Self {
        Records { path }
    }

    /// The file that holds the records.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of `key`, if there is one.
    pub fn read(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, RecordsError> {
        self.with_database("read", |database| {
            let transaction = database.begin_read()?;
            match transaction.open_table(Table::new(table)) {
                Ok(table) => Ok(table.get(key)?.map(|value| value.value().to_vec())),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Every key and value of a table, by key.
    pub fn list(&self, table: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>, RecordsError> {
        self.with_database("read", |database| {
            let transaction = database.begin_read()?;
            let table = match transaction.open_table(Table::new(table)) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let pair = |entry: Result<
                (redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>),
                StorageError,
            >| {
                entry
                    .map(|(key, value)| (key.value().to_vec(), value.value().to_vec()))
                    .map_err(redb::Error::from)
            };
            table.iter()?.map(pair).collect()
        })
    }

    /// Sets the value of `key`.
    pub fn write(&self, table: &str, key: &[u8], value: &[u8]) -> Result<(), RecordsError> {
        self.change(table, |open| open.insert(key, value).map(|_| ()))
    }

    /// Removes `keys`; those that are not there are no error.
    pub fn remove(&self, table: &str, keys: &[Vec<u8>]) -> Result<(), RecordsError> {
        self.change(table, |open| {
            for key in keys {
                open.remove(key.as_slice())?;
            }
            Ok(())
        })
    }

    fn change(
        &self,
        table: &str,
        change: impl Fn(&mut redb::Table<'_, &'static [u8], &'static [u8]>) -> Result<(), StorageError>,
    ) -> Result<(), RecordsError> {
        self.with_database("write", |database| {
            let transaction = database.begin_write()?;
            change(&mut transaction.open_table(Table::new(table))?)?;
            transaction.commit()?;
            Ok(())
        })
    }

    fn with_database<T>(
        &self,
        action: &'static str,
        work: impl Fn(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, RecordsError> {
        let attempt = || work(&self.open()?);
        let outcome = match attempt() {
            Err(error) if is_damage(&error) => {
                self.put_aside().map_err(|error| self.error(action, error))?;
                attempt()
            }
            other => other,
        };
        outcome.map_err(|error| self.error(action, error))
    }

    fn open(&self) -> Result<Database, redb::Error> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE).set_concurrency_mode(ConcurrencyMode::MultiWriter);
        builder.create(&self.path).map_err(|error: DatabaseError| error.into())
    }

    /// Renames the damaged file, for whoever wants to look at it; the one put aside before is replaced.
    fn put_aside(&self) -> Result<(), redb::Error> {
        match std::fs::rename(&self.path, self.path.with_extension("damaged")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn error(&self, action: &'static str, source: redb::Error) -> RecordsError {
        RecordsError { action, path: self.path.clone(), source: Box::new(source) }
    }
}

/// Whether the file itself is at fault: altered, or no database at all.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => true,
        redb::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(folder: &tempfile::TempDir) -> Records {
        Records::new(folder.path().join("index.redb"))
    }

    #[test]
    fn what_is_written_is_read_and_tables_are_apart() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        assert_eq!(records.read("a", b"k").unwrap(), None);
        records.write("a", b"k", b"1").unwrap();
        records.write("a", b"l", b"2").unwrap();
        records.write("b", b"k", b"3").unwrap();
        assert_eq!(records.read("a", b"k").unwrap(), Some(b"1".to_vec()));
        assert_eq!(
            records.list("a").unwrap(),
            [(b"k".to_vec(), b"1".to_vec()), (b"l".to_vec(), b"2".to_vec())]
        );
        records.remove("a", &[b"k".to_vec(), b"absent".to_vec()]).unwrap();
        assert_eq!(records.list("a").unwrap().len(), 1);
        assert_eq!(records.read("b", b"k").unwrap(), Some(b"3".to_vec()));
    }

    #[test]
    fn a_file_that_is_no_database_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let records = records(&folder);
        longshore_files::write_atomic(records.path(), &[b'x'; 10_000]).unwrap();
        assert_eq!(records.read("a", b"k").unwrap(), None);
        records.write("a", b"k", b"1").unwrap();
        assert_eq!(records.read("a", b"k").unwrap(), Some(b"1".to_vec()));
        assert!(folder.path().join("index.damaged").exists());
    }

    #[test]
    fn many_writers_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let records = records(&folder);
                scope.spawn(move || {
                    for number in 0..8_u8 {
                        records.write("a", &[writer, number], &[number]).unwrap();
                    }
                });
            }
        });
        assert_eq!(records(&folder).list("a").unwrap().len(), 32);
    }
}
