//! One isolated process, by the best means that the machine allows.

mod root;

pub use root::Root;
