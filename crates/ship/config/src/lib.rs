//! longshore.toml and longshore.lock.
