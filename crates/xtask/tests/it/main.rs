//! The rules of the house, checked on the house.

#![expect(clippy::expect_used, reason = "a test that cannot read the repository has failed")]

mod sources;
mod walls;

use std::path::Path;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/xtask is two folders deep")
}
