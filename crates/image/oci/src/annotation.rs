/// Name of a reference: the tag of a manifest in an image layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Human-readable title.
pub const TITLE: &str = "org.opencontainers.image.title";
/// Version of the packaged software.
pub const VERSION: &str = "org.opencontainers.image.version";
/// Source control revision of the packaged software.
pub const REVISION: &str = "org.opencontainers.image.revision";
/// URL of the source code.
pub const SOURCE: &str = "org.opencontainers.image.source";
/// RFC 3339 date of the image.
pub const CREATED: &str = "org.opencontainers.image.created";
/// Reference of the image this one is based on.
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// Digest of the image this one is based on.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// Full name of an image in containerd's layouts, which some tools write beside [`REF_NAME`].
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
