//! Modules that are known to need cgo, or to use it where it is on.
//!
//! Their sources are not read – they may not even be on this machine – so a build with cgo off would only fail, or behave
//! otherwise, late. The list names what services really use; a module that is missing here is found by the compiler.

/// A module that uses cgo.
pub(crate) struct CgoModule {
    /// The module's path, or the package's where only one of a module's uses cgo; versions of it are covered.
    pub path: &'static str,
    /// Whether a build without cgo works too.
    pub optional: bool,
    /// What it binds to.
    pub binds: &'static str,
}

const fn needs(path: &'static str, binds: &'static str) -> CgoModule {
    CgoModule { path, optional: false, binds }
}

const fn may_use(path: &'static str, binds: &'static str) -> CgoModule {
    CgoModule { path, optional: true, binds }
}

const KNOWN: [CgoModule; 45] = [
    needs("github.com/mattn/go-sqlite3", "compiles SQLite; without cgo every query fails at run time"),
    needs("github.com/mutecomm/go-sqlcipher", "compiles SQLCipher"),
    needs("crawshaw.io/sqlite", "compiles SQLite"),
    needs("github.com/confluentinc/confluent-kafka-go", "links librdkafka"),
    needs("github.com/h2non/bimg", "links libvips"),
    needs("github.com/davidbyttow/govips", "links libvips"),
    needs("gopkg.in/gographics/imagick.v2", "links ImageMagick"),
    needs("gopkg.in/gographics/imagick.v3", "links ImageMagick"),
    needs("github.com/libgit2/git2go", "links libgit2"),
    needs("github.com/tecbot/gorocksdb", "links RocksDB"),
    needs("github.com/linxGnu/grocksdb", "links RocksDB"),
    needs("github.com/DataDog/zstd", "compiles zstd"),
    needs("github.com/valyala/gozstd", "links zstd"),
    needs("github.com/godror/godror", "compiles ODPI-C"),
    needs("github.com/mattn/go-oci8", "links Oracle's client"),
    needs("github.com/alexbrainman/odbc", "links unixODBC"),
    needs("github.com/marcboeker/go-duckdb", "links DuckDB"),
    needs("github.com/duckdb/duckdb-go", "links DuckDB"),
    needs("github.com/miekg/pkcs11", "loads PKCS #11 modules"),
    needs("github.com/ThalesGroup/crypto11", "loads PKCS #11 modules"),
    needs("github.com/google/gopacket/pcap", "links libpcap"),
    needs("github.com/gopacket/gopacket/pcap", "links libpcap"),
    needs("github.com/pebbe/zmq4", "links ZeroMQ"),
    needs("github.com/zeromq/goczmq", "links CZMQ"),
    needs("github.com/smacker/go-tree-sitter", "compiles tree-sitter"),
    needs("github.com/tree-sitter/go-tree-sitter", "compiles tree-sitter"),
    needs("rogchap.com/v8go", "links V8"),
    needs("github.com/wasmerio/wasmer-go", "links Wasmer"),
    needs("github.com/bytecodealliance/wasmtime-go", "links Wasmtime"),
    needs("github.com/chai2010/webp", "compiles libwebp"),
    needs("github.com/kolesa-team/go-webp", "links libwebp"),
    needs("github.com/otiai10/gosseract", "links Tesseract"),
    needs("gocv.io/x/gocv", "links OpenCV"),
    needs("github.com/google/gousb", "links libusb"),
    needs("github.com/karalabe/hid", "compiles hidapi"),
    needs("github.com/coreos/go-systemd/sdjournal", "loads libsystemd"),
    needs("github.com/coreos/go-systemd/v22/sdjournal", "loads libsystemd"),
    needs("github.com/ibm-messaging/mq-golang", "links IBM MQ's client"),
    needs("github.com/veandco/go-sdl2", "links SDL"),
    needs("github.com/go-gl/gl", "links OpenGL"),
    may_use("github.com/DataDog/dd-trace-go", "its application security needs cgo on some platforms"),
    may_use("gopkg.in/DataDog/dd-trace-go.v1", "its application security needs cgo on some platforms"),
    may_use("github.com/ethereum/go-ethereum", "has C and Go versions of secp256k1"),
    may_use("github.com/containers/storage", "uses libdevmapper and libbtrfs where cgo is on"),
    may_use("github.com/shirou/gopsutil", "uses cgo on some platforms"),
];

/// The known module that an import path or a module path belongs to.
pub(crate) fn known(path: &str) -> Option<&'static CgoModule> {
    KNOWN.iter().find(|module| {
        path.strip_prefix(module.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_with_versions_and_packages() {
        let table = [
            ("github.com/mattn/go-sqlite3", Some(false)),
            ("github.com/confluentinc/confluent-kafka-go/v2/kafka", Some(false)),
            ("github.com/shirou/gopsutil/v4", Some(true)),
            ("github.com/mattn/go-sqlite3x", None),
            ("github.com/google/gopacket", None),
        ];
        for (path, optional) in table {
            assert_eq!(known(path).map(|module| module.optional), optional, "{path}");
        }
    }
}
