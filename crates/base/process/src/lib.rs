//! Child processes: output, limits and the end of the whole group.
