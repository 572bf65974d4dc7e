//! What a Go module is, read from its source without running Go.
