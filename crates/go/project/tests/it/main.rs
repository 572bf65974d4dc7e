//! Detection on modules that are written to a folder, and held against `go list` where Go is installed.

mod golist;
mod hostile;
mod modules;
mod programs;
mod tree;
