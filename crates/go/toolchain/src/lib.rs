//! Finds the Go toolchain a module asks for, or fetches and verifies it.
