//! The Go toolchain that a module asks for: found on the machine, or fetched and proved to be the one that everybody gets.
//!
//! go.mod's lines are minimums, so an installed Go that is new enough is used. Otherwise the exact release is fetched as what it
//! is to Go itself, a module: `golang.org/toolchain` at `v0.0.1-go1.26.8.linux-amd64`, through the environment's GOPROXY. Its
//! hash must be the one that the checksum database holds, and the database must prove that its answer is part of the one
//! append-only log that it showed before: nobody, the proxy and the database included, can give this machine a compiler of its own
//! without being seen. Offline, the hash in longshore.lock takes the database's place.
//!
//! The rules are Go's (`cmd/go/internal/{toolchain,modfetch}` of Go 1.26, <https://go.dev/doc/toolchain>,
//! <https://go.dev/design/25530-sumdb>); where this room departs from them, the place says why.

mod archive;
mod environment;
mod error;
mod fetch;
mod installed;
mod netrc;
mod proxies;
mod remote;
mod request;
mod shelf;
mod sumdb;
mod toolchains;

pub use archive::ArchiveError;
pub use environment::GoEnvironment;
pub use error::{HashSource, ToolchainError, ToolchainErrorKind, Wanted, WantedBy};
pub use installed::Installed;
pub use proxies::ProxyListError;
pub use remote::RemoteError;
pub use request::{ModuleVersion, Pin, Source, Toolchain, ToolchainRequest};
pub use shelf::{CachedToolchain, Lease};
pub use sumdb::{DatabaseError, DatabaseErrorKind, KeyError, NoteError, SettingError};
pub use toolchains::{Choice, ToolchainSettings, Toolchains};
