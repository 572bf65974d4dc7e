//! OCI registries and their credentials.
