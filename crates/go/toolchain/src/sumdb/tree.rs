//! The log of the checksum database: a hash tree over its records, as in RFC 6962 section 2.1.
//!
//! A node covers a power of two of records. The tree of any number of records is made of the largest nodes that fit, left to right
//! ("peaks"), joined from the right. Two things follow from a signed root: that a record is in the log, and that a smaller tree was
//! its beginning, so that nothing was changed since.
//!
//! Hashes are served in tiles (<https://research.swtch.com/tlog#tiling_a_log>): 256 neighbours of one level, every eighth level.
//! A tile is believed once it leads to the root: the ones that hold the peaks by computing the root from them, any other because its
//! own root stands in a tile above that is believed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Levels of a tile: its width is two to this power.
const HEIGHT: u32 = 8;
const WIDTH: u64 = 1 << HEIGHT;
/// A tile's size on the wire, if it is full.
pub(crate) const TILE_BYTES: usize = 32 << HEIGHT;
/// More records than a log will ever have; larger numbers are nonsense, and would overflow.
const MOST_RECORDS: u64 = 1 << 48;

/// A node of the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&STANDARD.encode(self.0))
    }
}

impl Hash {
    /// The hash of a record.
    pub(crate) fn of_record(record: &[u8]) -> Hash {
        Hash(Sha256::new().chain_update([0]).chain_update(record).finalize().into())
    }

    /// The hash of a node above two others.
    pub(crate) fn of_node(left: Hash, right: Hash) -> Hash {
        Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    fn of_nothing() -> Hash {
        Hash(Sha256::digest([]).into())
    }
}

/// A tree's size in records, and its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl Head {
    /// Reads the text of a tree's note: a title, the size, the root, and lines of a later time.
    pub(crate) fn parse(text: &str) -> Option<Head> {
        let mut lines = text.strip_prefix("go.sum database tree\n")?.split('\n');
        let (size, root) = (lines.next()?, lines.next()?);
        lines.next()?;
        let number: u64 = size.parse().ok()?;
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        (number <= MOST_RECORDS && number.to_string() == size)
            .then_some(Head { size: number, root: Hash(root) })
    }
}

/// A tile's place: its level (in steps of eight), its number there, and how many hashes it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    level: u32,
    number: u64,
    width: u64,
}

impl Tile {
    /// Whether it will never change.
    pub(crate) fn is_full(self) -> bool {
        self.width == WIDTH
    }

    /// The tile that this one will be when it is full.
    pub(crate) fn full(self) -> Tile {
        Tile { width: WIDTH, ..self }
    }

    /// Its size in bytes.
    pub(crate) fn size(self) -> usize {
        usize::try_from(self.width).map_or(TILE_BYTES, |width| width * 32)
    }

    /// Its path on a server: groups of three digits, all but the last marked by an `x`, and a partial tile's width.
    pub(crate) fn path(self) -> String {
        let mut number = format!("{:03}", self.number % 1000);
        let mut rest = self.number / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        let partial = if self.is_full() { String::new() } else { format!(".p/{}", self.width) };
        format!("tile/{HEIGHT}/{}/{number}{partial}", self.level)
    }

    /// The tile of a tree that holds a node at its lowest place.
    fn holding(level: u32, index: u64, size: u64) -> Tile {
        let (level, within) = (level / HEIGHT, level % HEIGHT);
        let number = (index << within) >> HEIGHT;
        let there = size >> (HEIGHT * level);
        Tile { level, number, width: (there - number * WIDTH).min(WIDTH) }
    }
}

/// Where tiles come from.
pub(crate) trait Tiles {
    /// What can go wrong.
    type Error;

    /// The bytes of a tile, unbelieved, of exactly its size.
    fn read(&mut self, tile: Tile) -> Result<Vec<u8>, Self::Error>;

    /// Takes note of a tile that proved to be the log's.
    fn believed(&mut self, tile: Tile, bytes: &[u8]);
}

/// A question to a log could not be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProofError<Error> {
    /// A tile could not be had.
    Tile(Error),
    /// Tiles do not lead to the signed root.
    Inconsistent(String),
    /// The question is about records that the tree does not have.
    Outside,
}

/// A tree that answers questions by tiles, each of them proved.
pub(crate) struct Tree<'a, Source: Tiles> {
    head: Head,
    source: &'a mut Source,
    believed: HashMap<Tile, Vec<u8>>,
}

impl<'a, Source: Tiles> Tree<'a, Source> {
    /// Fetches the tiles that hold the peaks and checks that they give the head's root.
    pub(crate) fn open(head: Head, source: &'a mut Source) -> Result<Self, ProofError<Source::Error>> {
        let mut tiles: HashMap<Tile, Vec<u8>> = HashMap::new();
        let mut root = None;
        for (level, index) in peaks(head.size).into_iter().rev() {
            let tile = Tile::holding(level, index, head.size);
            let bytes = match tiles.entry(tile) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => place.insert(read(source, tile)?),
            };
            let peak = node_in(tile, bytes, level, index);
            root = Some(root.map_or(peak, |right| Hash::of_node(peak, right)));
        }
        if root.unwrap_or_else(Hash::of_nothing) != head.root {
            return Err(ProofError::Inconsistent(format!("the tree of {} records", head.size)));
        }
        for (tile, bytes) in &tiles {
            source.believed(*tile, bytes);
        }
        Ok(Tree { head, source, believed: tiles })
    }

    /// The hash of a record, proved to be in the tree.
    pub(crate) fn record(&mut self, number: u64) -> Result<Hash, ProofError<Source::Error>> {
        if number >= self.head.size {
            return Err(ProofError::Outside);
        }
        self.node(0, number)
    }

    /// The root that the tree had when it held `size` records.
    pub(crate) fn root_at(&mut self, size: u64) -> Result<Hash, ProofError<Source::Error>> {
        if size > self.head.size {
            return Err(ProofError::Outside);
        }
        let mut root = None;
        for (level, index) in peaks(size).into_iter().rev() {
            let peak = self.node(level, index)?;
            root = Some(root.map_or(peak, |right| Hash::of_node(peak, right)));
        }
        Ok(root.unwrap_or_else(Hash::of_nothing))
    }

    fn node(&mut self, level: u32, index: u64) -> Result<Hash, ProofError<Source::Error>> {
        let tile = Tile::holding(level, index, self.head.size);
        self.believe(tile)?;
        Ok(node_in(tile, &self.believed[&tile], level, index))
    }

    /// Makes sure that a tile is proved, and those above it that this takes. A tile that is not full holds a peak.
    fn believe(&mut self, tile: Tile) -> Result<(), ProofError<Source::Error>> {
        if self.believed.contains_key(&tile) {
            return Ok(());
        }
        let bytes = read(self.source, tile)?;
        let level = (tile.level + 1) * HEIGHT;
        let expected = self.node(level, tile.number)?;
        if fold(&bytes) != expected {
            return Err(ProofError::Inconsistent(tile.path()));
        }
        self.source.believed(tile, &bytes);
        self.believed.insert(tile, bytes);
        Ok(())
    }
}

fn read<Source: Tiles>(source: &mut Source, tile: Tile) -> Result<Vec<u8>, ProofError<Source::Error>> {
    let bytes = source.read(tile).map_err(ProofError::Tile)?;
    if bytes.len() == tile.size() { Ok(bytes) } else { Err(ProofError::Inconsistent(tile.path())) }
}

/// The largest nodes that make up a tree, left to right: level and index of each.
fn peaks(size: u64) -> Vec<(u32, u64)> {
    let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
    // Left of a peak lie the records that the higher bits of the size count.
    levels.map(|level| (level, (size >> level) - 1)).collect()
}

/// A node's hash, computed from the hashes of a tile that lie below it.
fn node_in(tile: Tile, bytes: &[u8], level: u32, index: u64) -> Hash {
    let within = level - tile.level * HEIGHT;
    let start =
        usize::try_from((index << within) - tile.number * WIDTH).unwrap_or(usize::MAX).saturating_mul(32);
    let count = 32usize << within;
    bytes.get(start..start.saturating_add(count)).map_or_else(Hash::of_nothing, fold)
}

/// The root over a power of two of hashes.
fn fold(bytes: &[u8]) -> Hash {
    match <[u8; 32]>::try_from(bytes) {
        Ok(hash) => Hash(hash),
        Err(_) => {
            let (left, right) = bytes.split_at(bytes.len() / 2);
            Hash::of_node(fold(left), fold(right))
        }
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
pub(crate) mod tests;
