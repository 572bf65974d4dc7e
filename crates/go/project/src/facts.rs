//! What detection finds: plain values with the places where they were read, in the form that `plan --format json` shows.

use std::path::PathBuf;

use longshore_golang::{GoVersion, ToolchainLine, ToolchainLines};
use serde::Serialize;

/// Where something was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Evidence {
    /// The file, relative to the project's root, with `/` between its parts.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
}

/// A value and where it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Where it was read.
    pub evidence: Evidence,
}

/// What a project is: one module, or a workspace of several.
#[derive(Debug, Clone, Serialize)]
pub struct Project {
    /// The absolute folder of go.work or go.mod.
    pub root: PathBuf,
    /// Whether go.work or go.mod rules.
    pub kind: RootKind,
    /// The folder that was asked about, relative to the root; `.` for the root itself.
    pub start: String,
    /// The `go` line of go.work, or of go.mod.
    pub go: Option<Fact<GoVersion>>,
    /// The `toolchain` line of go.work, or of go.mod.
    pub toolchain: Option<Fact<ToolchainLine>>,
    /// The vendor folder's modules.txt, where there is one.
    pub vendor: Option<Vendor>,
    /// The modules: one, or those that go.work uses, in its order.
    pub modules: Vec<Module>,
    /// Every main package, by import path.
    pub mains: Vec<Main>,
    /// What was odd, but did not stop the detection.
    pub diagnostics: Vec<Diagnostic>,
}

/// Which file is the root of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootKind {
    /// A go.mod.
    Module,
    /// A go.work.
    Workspace,
}

/// A vendor folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vendor {
    /// Its folder, relative to the root.
    pub dir: String,
    /// How many modules it holds packages of.
    pub modules: usize,
}

/// A module.
#[derive(Debug, Clone, Serialize)]
pub struct Module {
    /// The module's path.
    pub path: String,
    /// Its folder, relative to the root; `.` for the root itself.
    pub dir: String,
    /// The message of a deprecated module.
    pub deprecated: Option<String>,
    /// The `go` line.
    pub go: Option<Fact<GoVersion>>,
    /// The `toolchain` line.
    pub toolchain: Option<Fact<ToolchainLine>>,
    /// Modules that folders on this machine replace.
    pub replaced: Vec<LocalReplacement>,
    /// Requirements that the given GOPRIVATE covers.
    pub private: Vec<Requirement>,
    /// Number of requirements.
    pub requirements: usize,
    /// The required modules that are known to need cgo, used or not.
    pub cgo: Vec<CgoNeed>,
}

/// A module that a folder replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LocalReplacement {
    /// The replaced module's path.
    pub path: String,
    /// The folder, relative to the root or absolute, as the file writes it.
    pub dir: String,
    /// Whether the folder lies outside the project's root, where an upload of the root would lose it.
    pub outside: bool,
    /// The `replace` line.
    pub evidence: Evidence,
}

/// A required module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requirement {
    /// Its path.
    pub path: String,
    /// The version.
    pub version: String,
    /// The `require` line.
    pub evidence: Evidence,
}

/// A main package and what its program does, as far as its source and that of the packages it imports from this project tell.
#[derive(Debug, Clone, Serialize)]
pub struct Main {
    /// The import path.
    pub import_path: String,
    /// The file that `go build` would write.
    pub name: String,
    /// The folder, relative to the root; `.` for the root itself.
    pub dir: String,
    /// The path of the module that it belongs to.
    pub module: String,
    /// The Go files that a build for the platform takes, by name.
    pub files: Vec<String>,
    /// Import paths of the project's own packages that it reaches, itself included.
    pub packages: Vec<String>,
    /// What the program does.
    #[serde(flatten)]
    pub facts: Facts,
}

/// What a program does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Ports it listens on.
    pub ports: Vec<Port>,
    /// HTTP routes it serves.
    pub routes: Vec<Route>,
    /// gRPC services it registers.
    pub grpc_services: Vec<Fact<String>>,
    /// Environment variables it reads.
    pub environment: Vec<EnvironmentVariable>,
    /// A sub-command or flag that checks the health of a running instance.
    pub health_command: Option<HealthCommand>,
    /// Signals it handles, by Go's names: `SIGTERM`, `SIGINT`.
    pub signals: Vec<Fact<String>>,
    /// Uses of time zones: the zone's name where it is written in the source.
    pub time_zones: Vec<Fact<Option<String>>>,
    /// Where the time zone database is linked in (`time/tzdata`).
    pub tzdata: Option<Evidence>,
    /// Uses of TLS as a client, which need CA certificates: what is used.
    pub tls_clients: Vec<Fact<String>>,
    /// Programs it starts: the program's name where it is written in the source.
    pub commands: Vec<Fact<Option<String>>>,
    /// Uses of temporary files or folders: the function.
    pub temporary_files: Vec<Fact<String>>,
    /// What needs cgo.
    pub cgo: Vec<CgoNeed>,
    /// Uses of plug-ins, which need cgo and a dynamic binary.
    pub plugins: Vec<Evidence>,
    /// Files that are built into the binary.
    pub embeds: Vec<Embed>,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port that a program listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The number: as written, or the default where it is configurable. None if only running the program would tell.
    pub number: Option<u16>,
    /// The transport protocol.
    pub protocol: Protocol,
    /// The host part of the address; empty for all interfaces.
    pub host: String,
    /// Environment variables that take part in it.
    pub environment: Vec<String>,
    /// Whether it speaks TLS by itself.
    pub tls: bool,
    /// Whether only this machine can reach it: the host is a loopback address.
    pub loopback: bool,
    /// Where it listens.
    pub evidence: Evidence,
}

/// An HTTP route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The method; none for all of them.
    pub method: Option<String>,
    /// The path as the framework writes it, prefixes of groups included.
    pub path: String,
    /// The host that the route is limited to.
    pub host: Option<String>,
    /// What serves it.
    pub framework: Framework,
    /// What a path tells about health, such as `/readyz`.
    pub health: Option<HealthKind>,
    /// Where it is registered.
    pub evidence: Evidence,
}

/// What serves a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framework {
    /// The standard library's net/http.
    NetHttp,
    /// github.com/gin-gonic/gin.
    Gin,
    /// github.com/labstack/echo.
    Echo,
    /// github.com/go-chi/chi.
    Chi,
    /// github.com/gofiber/fiber.
    Fiber,
    /// github.com/gorilla/mux.
    Gorilla,
    /// google.golang.org/grpc.
    Grpc,
}

/// What a health endpoint says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthKind {
    /// The program works (`/health`, `/healthz`).
    Health,
    /// The program is alive (`/livez`).
    Liveness,
    /// The program can take requests (`/readyz`).
    Readiness,
    /// The program has started (`/startupz`).
    Startup,
}

/// An environment variable that a program reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: String,
    /// The value that stands in for it, where the source writes one.
    pub default: Option<String>,
    /// Where it is read.
    pub evidence: Evidence,
}

/// How to ask a program about its own health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCommand {
    /// The arguments: `["health"]`, `["-healthcheck"]`.
    pub arguments: Vec<String>,
    /// Where they are looked at.
    pub evidence: Evidence,
}

/// Something that needs cgo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CgoNeed {
    /// The import path, or the module's path.
    pub package: String,
    /// Whether the program builds without cgo too, with something else in its place.
    pub optional: bool,
    /// Why, for a person.
    pub reason: String,
    /// Where it is imported or required.
    pub evidence: Evidence,
}

/// A `//go:embed` pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Embed {
    /// The pattern as written.
    pub pattern: String,
    /// The files that it matches, relative to the package's folder; the first thousand.
    pub files: Vec<String>,
    /// How many files it matches.
    pub count: usize,
    /// Where it stands.
    pub evidence: Evidence,
}

/// Something odd that did not stop the detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What is odd, for a person.
    pub message: String,
    /// Where.
    pub evidence: Evidence,
}

impl Project {
    /// The lines that decide the toolchain: those of go.work in a workspace, those of go.mod otherwise.
    pub fn toolchain_lines(&self) -> ToolchainLines {
        ToolchainLines {
            go: self.go.as_ref().map(|go| go.value.clone()),
            toolchain: self.toolchain.as_ref().map(|toolchain| toolchain.value.clone()),
        }
    }

    /// The main packages in the folder that was asked about and below it.
    pub fn mains_under_start(&self) -> impl Iterator<Item = &Main> {
        self.mains.iter().filter(|main| {
            self.start == "."
                || main.dir == self.start
                || main.dir.strip_prefix(&self.start).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}
