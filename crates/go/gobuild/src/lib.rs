//! From a Go package to an image.
