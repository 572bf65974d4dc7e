//! Development tasks of longshore.

fn main() {}
