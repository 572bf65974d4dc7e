//! Media types of manifests, configs and layers, and what they say.

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, not compressed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The empty JSON object that stands where an artifact has no config.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker manifest list.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image manifest, schema 1: recognised in order to be refused clearly.
pub const DOCKER_MANIFEST_V1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker image manifest, schema 1 with signatures: recognised in order to be refused clearly.
pub const DOCKER_MANIFEST_V1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer, not compressed.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker layer, zstd, as some engines write it.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// Docker layer that must be fetched from elsewhere.
pub const DOCKER_FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Plain tar.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Whether `media_type` names a list of manifests.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_INDEX)
}

/// Whether `media_type` names the manifest of one image.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Whether `media_type` names an image's config.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// Compression of a layer by its media type; `None` where the type names no file-system layer.
pub fn layer_compression(media_type: &str) -> Option<Compression> {
    match media_type {
        OCI_LAYER | DOCKER_LAYER => Some(Compression::None),
        "application/vnd.oci.image.layer.nondistributable.v1.tar" => Some(Compression::None),
        OCI_LAYER_GZIP | DOCKER_LAYER_GZIP | DOCKER_FOREIGN_LAYER => Some(Compression::Gzip),
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip" => Some(Compression::Gzip),
        OCI_LAYER_ZSTD | DOCKER_LAYER_ZSTD => Some(Compression::Zstd),
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

/// Which family of media types an image is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ImageFormat {
    /// Docker's schema 2, whose config holds a health check.
    Docker,
    /// OCI image-spec.
    #[default]
    Oci,
}

impl ImageFormat {
    /// Media type of an image's manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            ImageFormat::Docker => DOCKER_MANIFEST,
            ImageFormat::Oci => OCI_MANIFEST,
        }
    }

    /// Media type of a list of manifests.
    pub fn index(self) -> &'static str {
        match self {
            ImageFormat::Docker => DOCKER_INDEX,
            ImageFormat::Oci => OCI_INDEX,
        }
    }

    /// Media type of an image's config.
    pub fn config(self) -> &'static str {
        match self {
            ImageFormat::Docker => DOCKER_CONFIG,
            ImageFormat::Oci => OCI_CONFIG,
        }
    }

    /// Media type of a layer compressed in the given way.
    pub fn layer(self, compression: Compression) -> &'static str {
        match (self, compression) {
            (ImageFormat::Docker, Compression::None) => DOCKER_LAYER,
            (ImageFormat::Docker, Compression::Gzip) => DOCKER_LAYER_GZIP,
            (ImageFormat::Docker, Compression::Zstd) => DOCKER_LAYER_ZSTD,
            (ImageFormat::Oci, Compression::None) => OCI_LAYER,
            (ImageFormat::Oci, Compression::Gzip) => OCI_LAYER_GZIP,
            (ImageFormat::Oci, Compression::Zstd) => OCI_LAYER_ZSTD,
        }
    }

    /// The format that a manifest's or an index's media type belongs to.
    pub fn of(media_type: &str) -> Option<ImageFormat> {
        match media_type {
            OCI_MANIFEST | OCI_INDEX => Some(ImageFormat::Oci),
            DOCKER_MANIFEST | DOCKER_INDEX => Some(ImageFormat::Docker),
            _ => None,
        }
    }
}
