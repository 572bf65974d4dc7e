//! Large images of random bytes, as OCI layouts: written with the system's programs, so that no side measures its own work.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::recreate;
use crate::command::{Result, command, context, output, write};

/// Writes a layout with one image, tagged `1`, of `layers` layers of `mebibytes` MiB each, uncompressed.
pub(crate) fn random_layout(folder: &Path, layers: usize, mebibytes: u64) -> Result<PathBuf> {
    recreate(&folder.join("blobs/sha256"))?;
    let (mut descriptors, mut diff_ids) = (Vec::new(), Vec::new());
    for index in 0..layers {
        let content = folder.join(format!("content-{index}"));
        random_file(&content, mebibytes)?;
        let tar = folder.join("layer.tar");
        let mut archive = command("tar");
        archive.args(["--owner=0", "--group=0", "--mtime=@0", "-cf"]).arg(&tar).arg("-C").arg(folder);
        output(archive.arg(format!("content-{index}")))?;
        fs::remove_file(&content).map_err(context("cannot remove the content"))?;
        let (digest, size) = take_in(folder, &tar)?;
        descriptors.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{size}}}"#
        ));
        diff_ids.push(format!(r#""{digest}""#));
    }
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    );
    let (config, config_size) = take_in_text(folder, &config)?;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{}]}}"#,
        descriptors.join(",")
    );
    let (manifest, manifest_size) = take_in_text(folder, &manifest)?;
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{manifest}","size":{manifest_size},"annotations":{{"org.opencontainers.image.ref.name":"1"}}}}]}}"#
    );
    write(&folder.join("index.json"), &index)?;
    write(&folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(folder.to_owned())
}

fn random_file(path: &Path, mebibytes: u64) -> Result<()> {
    let failed = |error| format!("cannot write {}: {error}", path.display());
    let source = File::open("/dev/urandom").map_err(failed)?;
    let mut target = File::create(path).map_err(failed)?;
    std::io::copy(&mut std::io::Read::take(source, mebibytes << 20), &mut target).map(drop).map_err(failed)
}

fn take_in_text(folder: &Path, text: &str) -> Result<(String, u64)> {
    let path = folder.join("blob.json");
    write(&path, text)?;
    take_in(folder, &path)
}

/// Moves a file to the name of its digest; returns the digest and the size in bytes.
fn take_in(folder: &Path, path: &Path) -> Result<(String, u64)> {
    let line = output(command("sha256sum").arg(path))?;
    let hex = line.split_whitespace().next().unwrap_or_default().to_owned();
    let size = fs::metadata(path).map_err(context("cannot measure a blob"))?.len();
    fs::rename(path, folder.join("blobs/sha256").join(&hex)).map_err(context("cannot name a blob"))?;
    Ok((format!("sha256:{hex}"), size))
}
