//! OCI and Docker manifests, configs, descriptors, references, digests and platforms.
