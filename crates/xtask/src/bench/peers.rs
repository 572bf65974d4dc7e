//! The programs that longshore is measured against. ko and crane come from the Go module proxy, at versions that stand here.

use std::path::{Path, PathBuf};

use crate::command::{Result, command, find, output, run};
use crate::conformance::buildkit::VERSION as BUILDKIT;

const KO: (&str, &str) = ("github.com/google/ko", "v0.19.1");
const CRANE: (&str, &str) = ("github.com/google/go-containerregistry/cmd/crane", "v0.22.1");

/// Where each peer is.
pub(crate) struct Peers {
    pub(crate) go: PathBuf,
    pub(crate) ko: PathBuf,
    pub(crate) crane: PathBuf,
    pub(crate) skopeo: PathBuf,
}

impl Peers {
    /// Finds Go and skopeo, and installs ko and crane below `folder` unless they are there.
    pub(crate) fn install(folder: &Path) -> Result<Peers> {
        let need = |program: &str| find(program).ok_or_else(|| format!("{program} is not installed"));
        let (go, skopeo) = (need("go")?, need("skopeo")?);
        let ko = install(&go, folder, KO)?;
        let crane = install(&go, folder, CRANE)?;
        Ok(Peers { go, ko, crane, skopeo })
    }

    /// Each peer's version, for the report.
    pub(crate) fn versions(&self) -> Result<String> {
        let go = output(command(&self.go).arg("version"))?;
        let go = go.split_whitespace().nth(2).unwrap_or("go").to_owned();
        let skopeo = output(command(&self.skopeo).arg("--version"))?;
        let registry = output(command("docker-registry").arg("--version"))?;
        let registry = registry.split_whitespace().last().unwrap_or_default().to_owned();
        let buildah = match find("buildah") {
            Some(buildah) => output(command(buildah).arg("--version"))?,
            None => "no buildah".to_owned(),
        };
        // "buildah version 1.28.2 (image-spec 1.1.0-rc2, runtime-spec 1.0.2-dev)"
        let buildah = buildah.split(" (").next().unwrap_or_default().trim();
        Ok(format!(
            "{go}, ko {}, crane {}, {}, docker-registry {registry}, BuildKit {BUILDKIT}, {buildah}",
            KO.1,
            CRANE.1,
            skopeo.trim()
        ))
    }
}

fn install(go: &Path, folder: &Path, (package, version): (&str, &str)) -> Result<PathBuf> {
    let folder = folder.join(version);
    let program = folder.join(package.rsplit('/').next().unwrap_or(package));
    if program.is_file() {
        return Ok(program);
    }
    let mut install = command(go);
    install.args(["install", &format!("{package}@{version}")]).env("GOBIN", &folder).env("CGO_ENABLED", "0");
    if run(&mut install)? { Ok(program) } else { Err(format!("{package} could not be installed")) }
}
