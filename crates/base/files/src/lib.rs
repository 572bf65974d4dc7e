//! Atomic writes, file locks and opens that cannot leave a folder.
