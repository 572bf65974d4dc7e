//! Ids and names for containers that nobody named.

use std::fs::File;
use std::io::Read;

use crate::error::ContainerError;

const MOODS: [&str; 32] = [
    "able", "brave", "brisk", "calm", "clear", "deft", "eager", "fair", "firm", "fond", "fresh", "glad",
    "grand", "hardy", "keen", "kind", "light", "lively", "merry", "mild", "neat", "plain", "proud", "quick",
    "quiet", "ready", "sober", "steady", "stout", "sunny", "swift", "warm",
];
const THINGS: [&str; 32] = [
    "anchor", "barge", "beacon", "berth", "bollard", "buoy", "cargo", "chart", "coast", "crane", "cutter",
    "deck", "dock", "ferry", "gull", "harbour", "hawser", "helm", "hull", "jetty", "keel", "lantern", "mast",
    "mole", "pier", "pilot", "quay", "rudder", "sail", "tide", "wharf", "winch",
];

/// A new id of 64 hexadecimal digits, and a name that goes with it.
pub(crate) fn new_id() -> Result<(String, String), ContainerError> {
    let mut bytes = [0; 32];
    let source = "/dev/urandom";
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(ContainerError::at("read", source))?;
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let word = |words: &[&'static str; 32], byte: u8| words[usize::from(byte % 32)];
    let name = format!("{}_{}_{}", word(&MOODS, bytes[0]), word(&THINGS, bytes[1]), &id[60..]);
    Ok((id, name))
}
