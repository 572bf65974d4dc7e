//! Images in the store and in layouts.

use std::path::Path;

use longshore_image::Layout;
use longshore_oci::media_type::{self, ImageFormat};
use longshore_oci::{Descriptor, ImageConfig, Index, Manifest, Platform};
use longshore_testkit::{Folder, Longshore, Requirement, Stop, Suite, TestResult, run as run_program};

use crate::run::{check, user};
use crate::schema;

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("an_empty_store_lists_nothing", &[], empty_store)
        .test("a_layout_is_shown_with_all_that_its_images_say", &[], show)
        .test("what_is_not_there_is_named_with_what_is", &[], not_there)
        .test("images_of_the_store_are_listed_and_removed", &[], list_and_remove)
        .test("pruning_removes_what_nothing_needs", &[], prune)
        .test("an_image_goes_round_by_every_form_and_keeps_its_digest", &[], round_trip)
        .test("what_is_saved_is_loaded_by_name", &[], save_and_load)
        .test("validate_lists_violations_and_ends_with_3", &[], validate)
        .test("diff_says_what_differs_and_ends_with_3", &[], diff)
        .test("skopeo_reads_what_is_saved", &[Requirement::Program("skopeo")], skopeo)
        .test("a_hostile_archive_is_refused", &[], hostile_archive)
        .test("a_store_that_is_a_file_is_an_error", &[], store_is_a_file)
}

/// A small image for `platform`, written into `layout`; its layer is no real one, which nothing here opens.
fn small_image(layout: &Layout, platform: &str) -> Result<Descriptor, Stop> {
    let platform: Platform = platform.parse()?;
    let write = |media_type: &str, bytes: &[u8]| -> Result<Descriptor, Stop> {
        let descriptor = Descriptor::of(media_type, bytes);
        layout.write_bytes(&descriptor, bytes)?;
        Ok(descriptor)
    };
    let layer = write(media_type::OCI_LAYER, &[0; 1024])?;
    let mut config = ImageConfig::new(&platform);
    config.created = Some("2026-11-24T00:00:00Z".to_owned());
    config.config = serde_json::from_str(
        r#"{"User":"65532:65532","ExposedPorts":{"8080/tcp":{}},"Env":["TZ=UTC","EVIL=\u001b[2J"],
            "Entrypoint":["/app/hello"],"Healthcheck":{"Test":["CMD","/app/hello","health"],"Interval":30000000000,"Retries":3},
            "Labels":{"com.example.team":"core"},"StopSignal":"SIGTERM"}"#,
    )?;
    config.rootfs.diff_ids.push(layer.digest.clone());
    config.history = serde_json::from_str(
        r#"[{"created":"2026-11-24T00:00:00Z","created_by":"longshore build"},{"created_by":"ENV TZ=UTC","empty_layer":true}]"#,
    )?;
    let config = write(media_type::OCI_CONFIG, &serde_json::to_vec(&config)?)?;
    let manifest = serde_json::to_vec(&Manifest::new(ImageFormat::Oci, config, vec![layer]))?;
    let mut descriptor = write(media_type::OCI_MANIFEST, &manifest)?;
    descriptor.platform = Some(platform);
    Ok(descriptor)
}

/// A layout with an image for two platforms called `dev`, and one for one platform without a name.
fn layout(folder: &Path) -> Result<Layout, Stop> {
    let layout = Layout::create(folder)?;
    let (amd64, arm64) = (small_image(&layout, "linux/amd64")?, small_image(&layout, "linux/arm64")?);
    let index = serde_json::to_vec(&Index::new(ImageFormat::Oci, vec![amd64.clone(), arm64]))?;
    let descriptor = Descriptor::of(media_type::OCI_INDEX, &index);
    layout.write_bytes(&descriptor, &index)?;
    layout.tag(Some("hello:dev"), &descriptor)?;
    layout.tag(None, &amd64)?;
    Ok(layout)
}

/// A user whose store holds what [`layout`] makes.
fn user_with_images() -> Result<Longshore, Stop> {
    let user = user()?;
    user.run(["image", "ls"])?.succeeded()?;
    layout(&user.store().join("images"))?;
    Ok(user)
}

fn empty_store() -> TestResult {
    check(&user()?, ["image", "ls"], "image-ls-empty")?;
    check(&user()?, ["cache", "ls"], "cache-ls-empty")?;
    check(&user()?, ["cache", "prune"], "cache-prune-empty")?;
    Ok(())
}

fn show() -> TestResult {
    let folder = Folder::new()?;
    layout(&folder.join("layout"))?;
    let user = user()?.inside(folder.path());
    check(&user, ["image", "show", "oci:layout:hello:dev"], "image-show")?;
    check(
        &user,
        ["image", "show", "oci:layout:hello:dev", "--platform", "linux/arm64"],
        "image-show-platform",
    )?;
    check(&user, ["image", "history", "oci:layout:hello:dev", "--platform", "linux/amd64"], "image-history")?;
    for (name, arguments) in [("image-show", ["image", "show"]), ("image-history", ["image", "history"])] {
        let arguments = arguments.iter().chain(&["oci:layout:hello:dev", "--format", "json"]);
        schema::check(name, &user.run(arguments)?.succeeded()?.stdout)?;
    }
    let raw = user.run(["image", "show", "oci:layout:hello:dev", "--raw"])?.succeeded()?.stdout;
    let index: Index = serde_json::from_str(&raw)?;
    assert_eq!(index.manifests.len(), 2);
    Ok(())
}

fn not_there() -> TestResult {
    let folder = Folder::new()?;
    layout(&folder.join("layout"))?;
    let user = user_with_images()?.inside(folder.path());
    check(&user, ["image", "show", "oci:layout"], "layout-ambiguous")?;
    check(&user, ["image", "show", "oci:layout:prod"], "layout-no-such-name")?;
    check(&user, ["image", "show", "oci:layout:hello:dev", "--platform", "linux/s390x"], "no-such-platform")?;
    check(&user, ["image", "show", "oci:nowhere"], "no-layout")?;
    check(&user, ["image", "show", "hello:prod"], "no-such-image")?;
    check(&user, ["image", "rm", "hello:prod"], "rm-no-such-image")?;
    Ok(())
}

fn list_and_remove() -> TestResult {
    let user = user_with_images()?;
    check(&user, ["image", "ls"], "image-ls")?;
    schema::check("image-ls", &user.run(["image", "ls", "--format", "json"])?.succeeded()?.stdout)?;
    let digests = user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout;
    assert_eq!(digests.lines().count(), 2, "{digests}");
    check(&user, ["image", "rm", "hello:dev"], "image-rm")?;
    let digest = digests.lines().last().unwrap_or_default();
    user.run(["image", "show", &digest[.."sha256:".len() + 12]])?.succeeded()?;
    let removed = user.run(["image", "rm", digest, "--format", "json"])?.succeeded()?.stdout;
    schema::check("image-rm", &removed)?;
    assert_eq!(user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout, "");
    Ok(())
}

fn prune() -> TestResult {
    let user = user_with_images()?;
    schema::check("cache-ls", &user.run(["cache", "ls", "--format", "json"])?.succeeded()?.stdout)?;
    check(&user, ["cache", "prune", "--dry-run"], "cache-prune-dry-run")?;
    assert_eq!(user.run(["image", "ls", "--quiet"])?.succeeded()?.stdout.lines().count(), 2);
    let pruned = user.run(["cache", "prune", "--format", "json"])?.succeeded()?.stdout;
    schema::check("cache-prune", &pruned)?;
    check(&user, ["image", "ls"], "image-ls-pruned")?;
    user.run(["cache", "prune", "--max-size", "0", "--named"])?.succeeded()?;
    assert_eq!(user.run(["cache", "ls"])?.succeeded()?.stdout, "KIND  NAME  SIZE  USED\ntotal 0 B\n");
    Ok(())
}

fn store_is_a_file() -> TestResult {
    let folder = Folder::new()?;
    let file = folder.write("file", "")?;
    let user = user()?.with_store(&file.join("store"));
    check(&user, ["image", "ls"], "store-is-a-file")?;
    Ok(())
}

fn round_trip() -> TestResult {
    let folder = Folder::new()?;
    let user = user_with_images()?.inside(folder.path());
    let digest = user
        .run(["image", "ls", "--quiet"])?
        .succeeded()?
        .stdout
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    let stops = [
        "hello:dev",
        "oci:layout:x",
        "oci-archive:a.tar",
        "docker-archive:b.tar:hello:again",
        "oci:layout:y",
        "hello:back",
    ];
    for step in stops.windows(2) {
        let ran = user.run(["image", "copy", step[0], step[1], "--progress", "quiet"])?;
        assert_eq!((ran.stdout.trim_end(), ran.stderr.as_str()), (digest.as_str(), ""), "{step:?}");
    }
    let ran = user.run(["image", "copy", "oci:layout:x", "arm", "--platform", "linux/arm64"])?.succeeded()?;
    assert_ne!(ran.stdout.trim_end(), digest);
    check(&user, ["image", "copy", "hello:dev", "oci:layout:"], "copy-no-tag")?;
    Ok(())
}

fn save_and_load() -> TestResult {
    let folder = Folder::new()?;
    let user = user_with_images()?.inside(folder.path());
    check(&user, ["image", "save", "hello:dev", "-o", "saved.tar"], "image-save")?;
    let other = crate::run::user()?.inside(folder.path());
    check(&other, ["image", "load", "-i", "saved.tar", "--progress", "quiet"], "image-load")?;
    let mut command = user.command(["image", "save", "hello:dev", "--progress", "quiet"]);
    let streamed = command.output()?;
    assert!(streamed.status.success());
    assert_eq!(streamed.stdout, std::fs::read(folder.join("saved.tar"))?);
    let mut load = other.command(["image", "load", "--format", "json", "--progress", "quiet"]);
    let loaded = load.stdin(std::fs::File::open(folder.join("saved.tar"))?).output()?;
    schema::check("image-load", &String::from_utf8_lossy(&loaded.stdout))
}

fn skopeo() -> TestResult {
    let folder = Folder::new()?;
    let user = user_with_images()?.inside(folder.path());
    user.run(["image", "save", "hello:dev", "-o", "saved.tar"])?.succeeded()?;
    let mut command = std::process::Command::new("skopeo");
    let location = format!("oci-archive:{}", folder.join("saved.tar").display());
    let ran = run_program(command.args(["inspect", "--raw", &location]), std::time::Duration::from_secs(60))?;
    let index: Index = serde_json::from_str(&ran.succeeded()?.stdout)?;
    assert_eq!(index.manifests.len(), 2);
    Ok(())
}

fn hostile_archive() -> TestResult {
    let folder = Folder::new()?;
    folder.write("noise.tar", [0x5a; 4096])?;
    folder.write("empty.tar", [0; 1024])?;
    let user = user()?.inside(folder.path());
    check(&user, ["image", "load", "-i", "noise.tar"], "load-noise")?;
    check(&user, ["image", "load", "-i", "empty.tar"], "load-empty")?;
    check(&user, ["image", "load", "-i", "missing.tar"], "load-missing")?;
    Ok(())
}

fn validate() -> TestResult {
    let folder = Folder::new()?;
    let made = layout(&folder.join("layout"))?;
    let user = user()?.inside(folder.path());
    check(&user, ["image", "validate", "oci:layout"], "image-validate")?;
    let json = user.run(["image", "validate", "oci:layout:hello:dev", "--format", "json"])?;
    schema::check("image-validate", &json.stdout)?;
    // One flipped bit in the layer.
    let path = made.blob_path(&Descriptor::of(media_type::OCI_LAYER, &[0; 1024]).digest);
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    std::io::Write::write_all(&mut file, &[1])?;
    check(&user, ["image", "validate", "oci:layout:hello:dev"], "image-validate-flipped")?;
    check(&user, ["image", "validate", "nothing"], "image-validate-nothing")?;
    assert_eq!(user.run(["image", "validate"])?.status.code(), Some(0));
    Ok(())
}

fn diff() -> TestResult {
    let folder = Folder::new()?;
    layout(&folder.join("layout"))?;
    let user = user()?.inside(folder.path());
    let same = ["image", "diff", "oci:layout:hello:dev", "oci:layout:hello:dev", "--platform", "linux/amd64"];
    check(&user, same, "image-diff-same")?;
    for (name, platform) in [("amd", "linux/amd64"), ("arm", "linux/arm64")] {
        let to = format!("oci:{name}");
        user.run(["image", "copy", "oci:layout:hello:dev", &to, "--platform", platform])?.succeeded()?;
    }
    check(&user, ["image", "diff", "oci:amd", "oci:arm"], "image-diff")?;
    let json = user.run(["image", "diff", "oci:amd", "oci:arm", "--format", "json"])?.expect_code(3)?;
    schema::check("image-diff", &json.stdout)?;
    check(&user, ["image", "diff", "oci:amd", "oci:nowhere"], "image-diff-nowhere")?;
    Ok(())
}
