//! Dockerfile to image: solver, cache, steps.
