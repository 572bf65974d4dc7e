//! What a test needs of the machine, and the reason it gives when it has to do without.

use std::ffi::OsStr;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Something that a machine may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// A program on the PATH (or in /usr/sbin, where Debian keeps dockerd), such as `skopeo`.
    Program(&'static str),
    /// A `go` on the PATH that starts.
    Go,
    /// A C compiler, for cgo.
    CCompiler,
    /// User id 0.
    Root,
    /// The Go module proxy: `proxy.golang.org` accepts connections.
    ModuleProxy,
    /// What it takes to start containers with dockerd by hand: root, dockerd, containerd, runc and a Docker client.
    Containers,
    /// An image of a real distribution, such as `golang:1.21-alpine`: `cargo xtask bases` makes it.
    Distribution(&'static str),
    /// What it takes to start buildkitd: root, runc, and the programs that `cargo xtask conformance record` compiles.
    BuildKit,
    /// What it takes to run a program as a user who is not root: root, setpriv and user namespaces.
    OrdinaryUser,
}

/// Why a test did not run. As an error it ends a test of a [`crate::Suite`] as skipped instead of failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("skipped, because {0}")]
pub struct Skip(pub String);

impl Requirement {
    /// Whether the machine has it.
    ///
    /// Errors: the reason why not, as the end of a sentence: "skopeo is not installed".
    pub fn check(self) -> Result<(), Skip> {
        match self {
            Requirement::Program(name) => program(name).map(drop),
            Requirement::Go => go(),
            Requirement::CCompiler => program("gcc").or_else(|_| program("cc")).map(drop),
            Requirement::Root => root(),
            Requirement::ModuleProxy => module_proxy(),
            Requirement::Containers => containers(),
            Requirement::Distribution(name) => crate::distributions::check(name),
            Requirement::BuildKit => crate::buildkit::check(),
            Requirement::OrdinaryUser => ordinary_user(),
        }
    }

    /// Checks several, and names the first that is not met.
    pub fn check_all(requirements: &[Requirement]) -> Result<(), Skip> {
        requirements.iter().try_for_each(|requirement| requirement.check())
    }
}

/// The path of a program that a test runs as a peer.
///
/// Errors: a [`Skip`] when it is not installed.
pub fn program(name: &str) -> Result<PathBuf, Skip> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A user's PATH often leaves out the folders where Debian puts dockerd and runc.
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| Skip(format!("{name} is not installed")))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

fn starts(program: &Path, arguments: &[&str]) -> bool {
    let arguments = arguments.iter().map(OsStr::new);
    let outputs = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    outputs.is_ok_and(|output| output.status.success())
}

fn go() -> Result<(), Skip> {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let path = program("go")?;
    if *WORKS.get_or_init(|| starts(&path, &["version"])) {
        return Ok(());
    }
    Err(Skip(format!("{} does not start", path.display())))
}

fn root() -> Result<(), Skip> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Skip("it takes root".into())),
    }
}

fn module_proxy() -> Result<(), Skip> {
    static ANSWERS: OnceLock<Result<(), Skip>> = OnceLock::new();
    let connect = || {
        let unreachable =
            |error: std::io::Error| Skip(format!("proxy.golang.org cannot be reached: {error}"));
        let address = ("proxy.golang.org", 443)
            .to_socket_addrs()
            .map_err(unreachable)?
            .next()
            .ok_or_else(|| Skip("proxy.golang.org has no address".into()))?;
        TcpStream::connect_timeout(&address, Duration::from_secs(5)).map(drop).map_err(unreachable)
    };
    ANSWERS.get_or_init(connect).clone()
}

fn ordinary_user() -> Result<(), Skip> {
    root()?;
    let setpriv = program("setpriv")?;
    program("unshare")?;
    let user = crate::binary::ORDINARY_USER.to_string();
    let test = ["--reuid", &user, "--regid", &user, "--clear-groups", "unshare", "--user", "--mount", "true"];
    match starts(&setpriv, &test) {
        true => Ok(()),
        false => Err(Skip("users who are not root may not make user namespaces".into())),
    }
}

fn containers() -> Result<(), Skip> {
    root()?;
    ["dockerd", "containerd", "runc", "docker"].iter().try_for_each(|name| program(name).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let reason = Requirement::Program("no-such-program").check().unwrap_err();
        assert_eq!(reason.to_string(), "skipped, because no-such-program is not installed");
        let all =
            Requirement::check_all(&[Requirement::Program("sh"), Requirement::Program("no-such-program")]);
        assert_eq!(all, Err(Skip("no-such-program is not installed".into())));
    }

    #[test]
    fn a_program_is_found_where_the_shell_finds_it() {
        let found = program("sh").unwrap();
        assert!(found.is_absolute() && found.ends_with("sh"), "{}", found.display());
    }
}
