//! Archives, both ways.

use std::path::Path;

use longshore_events::Events;
use longshore_image::archive::{Archive, SavedImage, save_archive};
use longshore_image::validate::validate_layout;
use longshore_image::{Image, Layout, copy, mutate};
use longshore_oci::media_type::ImageFormat;
use longshore_oci::{Digest, Platform, StringMap};
use longshore_testkit::{Folder, Requirement, Stop, Suite, TestResult, program, run};

use crate::sample::{draft, layout, peer, platform, skopeo, store};

const SKOPEO: &[Requirement] = &[Requirement::Program("skopeo")];
const UMOCI: &[Requirement] = &[Requirement::Program("umoci"), Requirement::Root];
const PODMAN: &[Requirement] = &[Requirement::Program("podman"), Requirement::Root];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("skopeo_reads_both_sides_of_an_archive", SKOPEO, skopeo_reads)
        .test("skopeo_reads_an_archive_in_dockers_format", SKOPEO, skopeo_reads_docker_format)
        .test("skopeo_finds_one_of_several_images_by_its_name", SKOPEO, skopeo_several)
        .test("skopeo_reads_every_platform_of_an_archive", SKOPEO, skopeo_index)
        .test("archives_by_skopeo_are_read", SKOPEO, skopeo_writes)
        .test("umoci_unpacks_a_layout", UMOCI, umoci_unpacks)
        .test("podman_loads_an_archive_and_its_archives_are_read", PODMAN, podman)
}

fn save(image: &Image, names: &[&str], path: &Path) -> TestResult {
    let names = names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    let saved = [SavedImage { image: image.clone(), names }];
    Ok(save_archive(&saved, &platform(), path, &Events::silent())?)
}

fn config_digest(image: &Image) -> Result<Digest, Stop> {
    Ok(image.manifest()?.config.digest)
}

/// The only image of the layout that a peer wrote.
fn only_image(layout: &Layout) -> Result<Image, Stop> {
    match layout.entries()?.as_slice() {
        [entry] => Ok(layout.image(&entry.descriptor)),
        entries => Err(Stop::failed(format!("{} images in the layout", entries.len()))),
    }
}

/// Copies every blob, and finds nothing wrong with the whole.
fn read_whole(image: &Image, folder: &Path) -> TestResult {
    let mut layout = Layout::create(folder)?;
    copy(image, &mut layout, &Events::silent())?;
    layout.tag(None, image.descriptor())?;
    assert_eq!(validate_layout(folder, &Events::silent())?, []);
    Ok(())
}

fn skopeo_reads() -> TestResult {
    let folder = Folder::new()?;
    let (_, image) = layout(&folder.join("layout"), ImageFormat::Oci)?;
    let path = folder.join("a.tar");
    save(&image, &["app:dev"], &path)?;
    for (side, target) in [("oci-archive", "from-oci"), ("docker-archive", "from-docker")] {
        let (from, to) = (format!("{side}:{}", path.display()), folder.join(target));
        skopeo(&["copy", &from, &format!("oci:{}", to.display())])?;
        let copied = only_image(&Layout::open(&to)?)?;
        assert_eq!(config_digest(&copied)?, config_digest(&image)?, "{side}");
        if side == "oci-archive" {
            assert_eq!(copied.digest(), image.digest());
        }
    }
    let listed = skopeo(&["list-tags", &format!("docker-archive:{}", path.display())])?;
    assert!(
        listed.stdout.contains("docker.io/library/app:dev") || listed.stdout.contains("\"app:dev\""),
        "{}",
        listed.stdout
    );
    Ok(())
}

fn skopeo_reads_docker_format() -> TestResult {
    let folder = Folder::new()?;
    let (_, image) = layout(&folder.join("layout"), ImageFormat::Docker)?;
    let path = folder.join("a.tar");
    save(&image, &["app:dev"], &path)?;
    for side in ["oci-archive", "docker-archive"] {
        let ran = skopeo(&["inspect", "--config", "--raw", &format!("{side}:{}", path.display())])?;
        assert_eq!(Digest::of(ran.stdout.as_bytes()), config_digest(&image)?, "{side}");
    }
    Ok(())
}

fn skopeo_several() -> TestResult {
    let folder = Folder::new()?;
    let (layout, first) = layout(&folder.join("layout"), ImageFormat::Oci)?;
    let mut other = draft(&layout, "amd64")?;
    other.config.config.user = "0".to_owned();
    let second = store(&layout, &other.finish(ImageFormat::Oci)?)?;
    let path = folder.join("a.tar");
    let saved = [(&first, "one:1"), (&second, "localhost:5000/me/two:2")];
    let images = saved
        .iter()
        .map(|(image, name)| Ok(SavedImage { image: (*image).clone(), names: vec![name.parse()?] }))
        .collect::<Result<Vec<_>, Stop>>()?;
    save_archive(&images, &platform(), &path, &Events::silent())?;
    for (image, name) in saved {
        for from in [format!("docker-archive:{}:{name}", path.display()), {
            let tag = name.rsplit(':').next().unwrap_or(name);
            format!("oci-archive:{}:{tag}", path.display())
        }] {
            let ran = skopeo(&["inspect", "--config", "--raw", &from])?;
            assert_eq!(Digest::of(ran.stdout.as_bytes()), config_digest(image)?, "{from}");
        }
    }
    Ok(())
}

fn skopeo_index() -> TestResult {
    let folder = Folder::new()?;
    let layout = Layout::create(&folder.join("layout"))?;
    let images = ["amd64", "arm64"]
        .map(|architecture| Ok::<_, Stop>(draft(&layout, architecture)?.finish(ImageFormat::Oci)?));
    let images = images.into_iter().collect::<Result<Vec<_>, _>>()?;
    let index = mutate::index(&images, StringMap::new(), ImageFormat::Oci)?;
    let image = store(&layout, &index)?;
    let path = folder.join("a.tar");
    save(&image, &["app:dev"], &path)?;
    for architecture in ["amd64", "arm64"] {
        let from = format!("oci-archive:{}", path.display());
        let ran = skopeo(&["--override-arch", architecture, "inspect", "--config", "--raw", &from])?;
        let wanted = image.select(&Platform::new("linux", architecture, None))?;
        assert_eq!(Digest::of(ran.stdout.as_bytes()), config_digest(&wanted)?, "{architecture}");
    }
    // Docker's side holds the image for the platform asked for.
    let ran = skopeo(&["inspect", "--config", "--raw", &format!("docker-archive:{}", path.display())])?;
    assert_eq!(Digest::of(ran.stdout.as_bytes()), config_digest(&image.select(&platform())?)?);
    Ok(())
}

fn skopeo_writes() -> TestResult {
    let folder = Folder::new()?;
    let source = folder.join("layout");
    let (_, image) = layout(&source, ImageFormat::Oci)?;
    let from = format!("oci:{}:dev", source.display());
    for (side, name, names) in [
        ("docker-archive", "app:dev", vec!["docker.io/library/app:dev"]),
        ("oci-archive", "some-name", vec!["some-name"]),
        ("oci-archive", "", vec![]),
    ] {
        let path = folder.join(format!("{side}{}.tar", name.len()));
        let suffix = if name.is_empty() { String::new() } else { format!(":{name}") };
        skopeo(&["copy", &from, &format!("{side}:{}{suffix}", path.display())])?;
        let archive = Archive::open(&path, folder.path(), &Events::silent())?;
        let [entry] = archive.entries() else { return Err(Stop::failed(format!("{archive:?}"))) };
        assert_eq!(entry.names, names, "{side}");
        let read = archive.image(entry, &Events::silent())?;
        assert_eq!(config_digest(&read)?, config_digest(&image)?, "{side}");
        read_whole(&read, &folder.join("read"))?;
    }
    Ok(())
}

fn umoci_unpacks() -> TestResult {
    let folder = Folder::new()?;
    let source = folder.join("layout");
    layout(&source, ImageFormat::Oci)?;
    let bundle = folder.join("bundle");
    let from = format!("{}:dev", source.display());
    peer("umoci", &["unpack", "--image", &from, &bundle.display().to_string()])?;
    let mut listing = Vec::new();
    for name in ["app", "etc", "tmp"] {
        let ran = peer(
            "find",
            &[&bundle.join("rootfs").join(name).display().to_string(), "-printf", "%y %m %U %n %P %l\n"],
        )?;
        let mut lines: Vec<_> = ran
            .stdout
            .lines()
            .filter(|line| !line.contains("long"))
            .map(|line| format!("{name}: {}", line.trim_end()))
            .collect();
        lines.sort();
        listing.extend(lines);
    }
    assert_eq!(
        listing,
        [
            "app: d 755 0 3",
            "app: f 555 0 2 same",
            "app: f 555 0 2 server",
            "app: l 777 0 1 link server",
            "etc: d 755 0 2",
            "etc: f 640 65532 1 new",
            "tmp: d 1777 0 2",
        ]
    );
    Ok(())
}

fn podman() -> TestResult {
    let folder = Folder::new()?;
    let (_, image) = layout(&folder.join("layout"), ImageFormat::Oci)?;
    let path = folder.join("a.tar");
    save(&image, &["localhost/app:dev"], &path)?;
    let root = folder.join("root").display().to_string();
    let runroot = folder.join("run").display().to_string();
    let podman = |arguments: &[&str]| -> Result<String, Stop> {
        let mut command = std::process::Command::new(program("podman")?);
        command.args(["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"]).args(arguments);
        Ok(run(&mut command, std::time::Duration::from_secs(120))?.succeeded()?.stdout)
    };
    podman(&["load", "--input", &path.display().to_string()])?;
    let id = podman(&["inspect", "--type", "image", "--format", "{{.Id}}", "localhost/app:dev"])?;
    assert_eq!(id.trim(), config_digest(&image)?.encoded());
    for format in ["docker-archive", "oci-archive"] {
        let saved = folder.join(format);
        podman(&["save", "--format", format, "--output", &saved.display().to_string(), "localhost/app:dev"])?;
        let archive = Archive::open(&saved, folder.path(), &Events::silent())?;
        let [entry] = archive.entries() else { return Err(Stop::failed(format!("{archive:?}"))) };
        assert_eq!(entry.names, ["localhost/app:dev"], "{format}");
        let read = archive.image(entry, &Events::silent())?;
        assert_eq!(read.config()?.rootfs.diff_ids, image.config()?.rootfs.diff_ids, "{format}");
        read_whole(&read, &folder.join(format!("{format}-read")))?;
    }
    Ok(())
}
