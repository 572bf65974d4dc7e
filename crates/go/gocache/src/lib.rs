//! Go's caches for the steps of a Dockerfile.
