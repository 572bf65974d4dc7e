//! The local store: an OCI layout with an index, leases and pruning.
