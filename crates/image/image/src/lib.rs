//! The image, its sources and sinks, layers, mutation, validation and comparison.
