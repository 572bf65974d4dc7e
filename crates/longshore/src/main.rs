//! From a Go module to a small, hardened, reproducible container image, with no daemon and no root.

fn main() {}
