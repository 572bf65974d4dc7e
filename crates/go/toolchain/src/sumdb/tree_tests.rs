use std::convert::Infallible;

use super::*;

/// Changes a tile's bytes.
type Corrupt = dyn Fn(Tile, &mut Vec<u8>);

/// A log in memory that can lie.
pub(crate) struct Log {
    pub(crate) records: Vec<Vec<u8>>,
    /// The hashes of all complete nodes, level by level.
    levels: Vec<Vec<Hash>>,
    /// Changes the bytes of tiles as they are served.
    corrupt: Box<Corrupt>,
    served: Vec<String>,
    believed: Vec<String>,
}

impl Log {
    fn new(size: u64) -> Log {
        Log::of((0..size).map(|number| format!("record {number}\n").into_bytes()).collect())
    }

    pub(crate) fn of(records: Vec<Vec<u8>>) -> Log {
        let mut levels = vec![records.iter().map(|record| Hash::of_record(record)).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let pairs = below.chunks_exact(2).map(|pair| Hash::of_node(pair[0], pair[1]));
            levels.push(pairs.collect());
        }
        Log { records, levels, corrupt: Box::new(|_, _| {}), served: Vec::new(), believed: Vec::new() }
    }

    fn head(&self) -> Head {
        self.head_at(self.records.len())
    }

    pub(crate) fn head_at(&self, size: usize) -> Head {
        Head { size: size as u64, root: self.root_of(0, size) }
    }

    /// The definition of RFC 6962, section 2.1: split at the largest power of two below the length.
    fn root_of(&self, start: usize, end: usize) -> Hash {
        let length = end - start;
        if length == 0 {
            return Hash::of_nothing();
        }
        if length.is_power_of_two() && start.is_multiple_of(length) {
            return self.levels[length.trailing_zeros() as usize][start / length];
        }
        let split = start + (length.next_power_of_two() / 2);
        Hash::of_node(self.root_of(start, split), self.root_of(split, end))
    }

    /// A tile as the log's server would have it.
    pub(crate) fn tile(&self, level: u32, number: u64, width: u64) -> Option<Vec<u8>> {
        let nodes = self.levels.get((HEIGHT * level) as usize)?;
        let start = usize::try_from(number * WIDTH).unwrap();
        let hashes = nodes.get(start..start + usize::try_from(width).unwrap())?;
        Some(hashes.iter().flat_map(|hash| hash.0).collect())
    }
}

impl Tiles for Log {
    type Error = Infallible;

    fn read(&mut self, tile: Tile) -> Result<Vec<u8>, Infallible> {
        self.served.push(tile.path());
        let mut bytes = self.tile(tile.level, tile.number, tile.width).expect("a tile of the tree");
        (self.corrupt)(tile, &mut bytes);
        Ok(bytes)
    }

    fn believed(&mut self, tile: Tile, bytes: &[u8]) {
        assert_eq!(bytes, self.tile(tile.level, tile.number, tile.width).unwrap(), "{}", tile.path());
        self.believed.push(tile.path());
    }
}

#[test]
fn every_record_and_every_earlier_root_is_proved_in_small_trees() {
    for size in 0..=40 {
        let mut log = Log::new(size);
        let head = log.head();
        let roots: Vec<_> = (0..=log.records.len()).map(|end| log.root_of(0, end)).collect();
        let records: Vec<_> = log.records.iter().map(|record| Hash::of_record(record)).collect();
        let mut tree = Tree::open(head, &mut log).unwrap();
        for (number, record) in records.iter().enumerate() {
            assert_eq!(tree.record(number as u64), Ok(*record), "record {number} of {size}");
        }
        for (earlier, root) in roots.iter().enumerate() {
            assert_eq!(tree.root_at(earlier as u64), Ok(*root), "root {earlier} of {size}");
        }
        assert_eq!(tree.record(size), Err(ProofError::Outside));
        assert_eq!(tree.root_at(size + 1), Err(ProofError::Outside));
    }
}

#[test]
fn trees_of_several_levels_of_tiles_are_proved_at_their_seams() {
    for size in [255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_000] {
        let mut log = Log::new(size);
        let head = log.head();
        let numbers = [0, 1, 254, 255, 256, 511, 65_534, 65_535, 65_536, size - 1];
        for number in numbers.into_iter().filter(|number| *number < size) {
            let at = usize::try_from(number).unwrap();
            let (record, root) = (Hash::of_record(&log.records[at]), log.root_of(0, at));
            let mut tree = Tree::open(head, &mut log).unwrap();
            assert_eq!(tree.record(number), Ok(record), "record {number} of {size}");
            assert_eq!(tree.root_at(number), Ok(root), "root {number} of {size}");
        }
    }
}

#[test]
fn few_tiles_are_read_and_each_once() {
    let mut log = Log::new(66_000);
    let head = log.head();
    Tree::open(head, &mut log).unwrap().record(70).unwrap();
    log.served.sort();
    let expected =
        ["tile/8/0/000", "tile/8/0/257.p/208", "tile/8/1/000", "tile/8/1/001.p/1", "tile/8/2/000.p/1"];
    assert_eq!(log.served, expected);
    log.believed.sort();
    assert_eq!(log.believed, expected);
}

#[test]
fn a_changed_tile_is_refused_wherever_it_is_changed() {
    let head = Log::new(600).head();
    for path in ["tile/8/0/000", "tile/8/0/002.p/88", "tile/8/1/000.p/2"] {
        for at in [0, 31, 63] {
            let mut log = Log::new(600);
            log.corrupt = Box::new(move |tile, bytes| {
                if tile.path() == path {
                    bytes[at] ^= 1;
                }
            });
            let answer = Tree::open(head, &mut log).and_then(|mut tree| tree.record(5));
            assert!(matches!(answer, Err(ProofError::Inconsistent(_))), "{path} at {at}: {answer:?}");
            assert!(!log.believed.contains(&path.to_owned()), "{path}");
        }
        let mut log = Log::new(600);
        log.corrupt =
            Box::new(move |tile, bytes| bytes.truncate(if tile.path() == path { 32 } else { bytes.len() }));
        let answer = Tree::open(head, &mut log).and_then(|mut tree| tree.record(5));
        assert_eq!(answer, Err(ProofError::Inconsistent(path.into())));
    }
}

#[test]
fn tiles_have_the_paths_that_servers_use() {
    let cases = [
        (Tile { level: 0, number: 0, width: 256 }, "tile/8/0/000"),
        (Tile { level: 1, number: 67, width: 3 }, "tile/8/1/067.p/3"),
        (Tile { level: 0, number: 999, width: 256 }, "tile/8/0/999"),
        (Tile { level: 0, number: 1000, width: 256 }, "tile/8/0/x001/000"),
        (Tile { level: 2, number: 123_456_789, width: 1 }, "tile/8/2/x123/x456/789.p/1"),
    ];
    for (tile, path) in cases {
        assert_eq!(tile.path(), path);
    }
}

#[test]
fn heads_are_read_strictly() {
    let root = "czPocWFmMwQrSENohgEPvFiqA+2i/3lRZhHbxtma2UQ=";
    let head = Head::parse(&format!("go.sum database tree\n66332798\n{root}\n")).unwrap();
    assert_eq!((head.size, head.root.to_string().as_str()), (66_332_798, root));
    assert!(Head::parse(&format!("go.sum database tree\n1\n{root}\nlater lines\n")).is_some());
    let bad = [
        String::new(),
        "go.sum database tree\n".into(),
        format!("go.sum database tree v2\n1\n{root}\n"),
        format!("go.sum database tree\n01\n{root}\n"),
        format!("go.sum database tree\n-1\n{root}\n"),
        format!("go.sum database tree\n+1\n{root}\n"),
        format!("go.sum database tree\n9223372036854775807\n{root}\n"),
        format!("go.sum database tree\n1\n{root}"),
        "go.sum database tree\n1\nAAAA\n".into(),
    ];
    for text in bad {
        assert_eq!(Head::parse(&text), None, "{text:?}");
    }
}
