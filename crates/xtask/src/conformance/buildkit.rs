//! buildkitd and buildctl, compiled from the Go module proxy at the version that stands here.
//!
//! Debian's BuildKit is too old for heredocs and the newer flags, and BuildKit's own binaries are not on a registry that
//! checks them as Go's checksum database does.

use std::path::{Path, PathBuf};

use crate::command::{Result, command, context, find, run, write};

/// What is recorded from.
pub(crate) const VERSION: &str = "v0.34.2";
const MODULE: &str = "github.com/moby/buildkit";

/// Where the programs are.
pub(super) struct BuildKit {
    pub(super) buildkitd: PathBuf,
    pub(super) buildctl: PathBuf,
}

impl BuildKit {
    /// Compiles what is not there yet, in the user's cache folder; the first time takes some minutes.
    pub(super) fn install() -> Result<BuildKit> {
        let home = std::env::var_os("HOME").ok_or("HOME is not set")?;
        let cache =
            std::env::var_os("XDG_CACHE_HOME").map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from);
        let folder = cache.join("longshore-peers").join(format!("buildkit-{VERSION}"));
        let bin = folder.join("bin");
        let (buildkitd, buildctl) = (bin.join("buildkitd"), bin.join("buildctl"));
        if !(buildkitd.is_file() && buildctl.is_file()) {
            compile(&folder, &bin)?;
        }
        Ok(BuildKit { buildkitd, buildctl })
    }
}

fn compile(folder: &Path, bin: &Path) -> Result<()> {
    let go = find("go").ok_or("go is not installed")?;
    let module = folder.join("module");
    std::fs::create_dir_all(&module).map_err(context(format!("cannot create {}", module.display())))?;
    write(&module.join("go.mod"), format!("module peer\n\ngo 1.25\n\nrequire {MODULE} {VERSION}\n"))?;
    // What is imported is what `go mod tidy` finds the checksums of.
    let imports = format!("import (\n\t_ \"{MODULE}/cmd/buildctl\"\n\t_ \"{MODULE}/cmd/buildkitd\"\n)\n");
    write(&module.join("peers.go"), format!("//go:build peers\n\npackage peer\n\n{imports}"))?;
    if !run(command(&go).args(["mod", "tidy"]).current_dir(&module))? {
        return Err(format!("the modules of {MODULE} cannot be fetched"));
    }
    let mut build = command(&go);
    build
        .args(["build", "-ldflags"])
        .arg(format!("-s -w -X {MODULE}/version.Version={VERSION}"))
        .arg("-o")
        .arg(bin)
        .args([format!("{MODULE}/cmd/buildkitd"), format!("{MODULE}/cmd/buildctl")])
        .env("CGO_ENABLED", "0")
        .current_dir(&module);
    std::fs::create_dir_all(bin).map_err(context(format!("cannot create {}", bin.display())))?;
    if run(&mut build)? { Ok(()) } else { Err(format!("{MODULE} does not compile")) }
}
