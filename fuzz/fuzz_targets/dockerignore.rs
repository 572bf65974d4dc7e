//! Any bytes are rules or are refused, and a walk that leaves out what it may loses nothing. The last line is the path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore_dockerfile::{IgnoreRules, paths, wildcard};

fuzz_target!(|source: &[u8]| {
    let (rules, path) = match source.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => source.split_at(end),
        None => (source, &b"\na/b"[..]),
    };
    let path = paths::clean(&format!("/{}", String::from_utf8_lossy(&path[1..])));
    let path = path.trim_start_matches('/');
    let _ = wildcard::matches(&String::from_utf8_lossy(rules), path);
    let Ok(rules) = IgnoreRules::parse(rules) else { return };
    let is_out = rules.matches(path);
    for (end, _) in path.match_indices('/') {
        let folder = &path[..end];
        assert!(is_out || !rules.matches(folder) || rules.may_reinclude_below(folder), "{path} in {folder}");
    }
});
