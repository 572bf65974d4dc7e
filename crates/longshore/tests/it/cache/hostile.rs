//! Caches that are not what they say: each is warned of, and the build is as if it had not been named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use longshore_files::write_atomic;
use longshore_oci::media_type::{OCI_LAYER, OCI_MANIFEST};
use longshore_oci::{Descriptor, Digest};
use longshore_testkit::{BuildKit, Folder, Requirement, Stop, Suite, TestResult, run};
use serde_json::{Value, json};

use super::{STEPS, build, from, items, project, to};
use crate::conformance::bases;
use crate::run::user;

pub(super) fn add(suite: Suite) -> Suite {
    suite
        .test("cache::records_that_cannot_be_read_are_warned_of", &[], records)
        .test("cache::layers_that_are_not_what_they_should_be_are_made_here", &[], layers)
        .test("cache::a_layer_is_looked_at_whichever_cache_it_comes_from", &[], later)
        .test("cache::a_layer_that_climbs_out_stays_inside", &[], climbing)
        .test("cache::what_is_no_cache_is_told_apart", &[], others)
        .test("cache::what_buildkit_wrote_is_told_apart", &[Requirement::BuildKit], buildkit)
}

const LIMIT: Duration = Duration::from_secs(60);

/// A cache in a folder, with its documents to be changed.
struct Cache {
    folder: PathBuf,
    manifest: Value,
    records: Value,
}

fn json_of(path: &Path) -> Result<Value, Stop> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

impl Cache {
    fn open(folder: &Path) -> Result<Cache, Stop> {
        let folder = folder.to_owned();
        let index = json_of(&folder.join("index.json"))?;
        let blob = |value: &Value| json_of(&blob(&folder, value["digest"].as_str().unwrap_or_default()));
        let manifest = blob(&index["manifests"][0])?;
        let records = blob(&manifest["config"])?;
        Ok(Cache { folder, manifest, records })
    }

    fn write(&self, media_type: &str, bytes: &[u8]) -> Result<Value, Stop> {
        let descriptor = Descriptor::of(media_type, bytes);
        write_atomic(&blob(&self.folder, &descriptor.digest.to_string()), bytes)?;
        Ok(serde_json::to_value(descriptor)?)
    }

    /// Writes the documents as they are now.
    fn save(&mut self) -> TestResult {
        let media_type = self.manifest["config"]["mediaType"].as_str().unwrap_or_default().to_owned();
        self.manifest["config"] = self.write(&media_type, &serde_json::to_vec(&self.records)?)?;
        self.save_manifest()
    }

    fn save_manifest(&self) -> TestResult {
        let root = self.write(OCI_MANIFEST, &serde_json::to_vec(&self.manifest)?)?;
        let index = json!({"schemaVersion": 2, "manifests": [root]});
        Ok(write_atomic(&self.folder.join("index.json"), &serde_json::to_vec(&index)?)?)
    }

    /// Records that name a layer.
    fn with_layers(&mut self) -> Vec<&mut Value> {
        let steps = self.records["steps"].as_array_mut().into_iter().flatten();
        steps.filter(|step| step["layer"].is_object()).collect()
    }

    fn layer_blobs(&self) -> Vec<PathBuf> {
        let layers = self.manifest["layers"].as_array().into_iter().flatten();
        layers.map(|layer| blob(&self.folder, layer["digest"].as_str().unwrap_or_default())).collect()
    }
}

fn blob(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs").join(digest.replace(':', "/"))
}

/// A project with a cache of all of it.
fn cached() -> Result<(Folder, Folder, PathBuf), Stop> {
    let (folder, caches) = (project()?, Folder::new()?);
    let cache = caches.join("max");
    build(&user()?, &folder, &["--cache-to", &to(&cache, "max")])?;
    Ok((folder, caches, cache))
}

/// A build with the cache does what it would have done without it, warns once, and leaves a store in which nothing is wrong.
fn is_refused(folder: &Folder, cache: &Path, warning: &str, done: usize) -> TestResult {
    let user = user()?;
    let built = build(&user, folder, &["--cache-from", &from(cache)])?;
    assert_eq!((built.done, built.steps), (done, Some(STEPS.0)), "{warning}: {}", built.stderr);
    let lines: Vec<&str> = built.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(lines.len(), 1, "{warning}: {lines:?}");
    assert!(lines[0].contains(warning), "{warning}: {lines:?}");
    user.run(["image", "validate"])?.succeeded()?;
    let again = build(&user, folder, &[])?;
    assert_eq!((again.digest, again.done), (built.digest, 0), "{warning}: {}", again.stderr);
    Ok(())
}

fn records() -> TestResult {
    type Change = fn(&mut Cache);
    let changes: [(&str, Change); 6] = [
        ("its records are of version 2, and only version 1 is known", |cache| {
            cache.records["version"] = json!(2);
        }),
        ("a record names layer 99, and the number of layers is 7", |cache| {
            cache.with_layers()[0]["layer"]["index"] = json!(99);
        }),
        ("its records cannot be read: ", |cache| {
            cache.records["steps"][0]["key"] = json!("../../../etc/passwd");
        }),
        ("its records cannot be read: ", |cache| cache.records = json!([])),
        ("it has 30000 contents, and at most 20000 are read", |cache| {
            let content = json!({"key": "0".repeat(64), "content": "1".repeat(64)});
            cache.records["contents"] = vec![content; 30_000].into();
        }),
        ("a record names a layer of the type `text/plain`, which is no layer's", |cache| {
            for layer in cache.manifest["layers"].as_array_mut().into_iter().flatten() {
                layer["mediaType"] = json!("text/plain");
            }
        }),
    ];
    for (warning, change) in changes {
        let (folder, _caches, path) = cached()?;
        let mut cache = Cache::open(&path)?;
        change(&mut cache);
        cache.save()?;
        is_refused(&folder, &path, &format!("the cache {} is not used: {warning}", path.display()), STEPS.0)?;
    }
    // A million records, and one that ends early.
    let (folder, _caches, path) = cached()?;
    let mut cache = Cache::open(&path)?;
    let whole = serde_json::to_vec(&cache.records)?;
    let digest = cache.manifest["config"]["digest"].as_str().unwrap_or_default().to_owned();
    write_atomic(&blob(&path, &digest), &whole[..whole.len() / 2])?;
    is_refused(&folder, &path, "it ends after", STEPS.0)?;
    cache.manifest["config"]["size"] = json!(160_000_000);
    cache.save_manifest()?;
    is_refused(&folder, &path, "it has 160000000 bytes, and at most 16777216 are read", STEPS.0)
}

fn layers() -> TestResult {
    type Change = fn(&mut Cache) -> TestResult;
    let changes: [(&str, Change); 5] = [
        ("it is not there", |cache| {
            // A pipe that nobody writes to, and what has no end.
            for (number, layer) in cache.layer_blobs().iter().enumerate() {
                fs::remove_file(layer)?;
                match number % 2 {
                    0 => drop(run(Command::new("mkfifo").arg(layer), LIMIT)?.succeeded()?),
                    _ => std::os::unix::fs::symlink("/dev/zero", layer)?,
                }
            }
            Ok(())
        }),
        ("it is not there", |cache| {
            cache.layer_blobs().iter().try_for_each(|layer| Ok(fs::remove_file(layer)?))
        }),
        ("its bytes have the digest", |cache| {
            for layer in cache.layer_blobs() {
                let mut bytes = fs::read(&layer)?;
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0xff;
                write_atomic(&layer, &bytes)?;
            }
            Ok(())
        }),
        ("it ends after", |cache| {
            cache.layer_blobs().iter().try_for_each(|layer| {
                let bytes = fs::read(layer)?;
                Ok(write_atomic(layer, &bytes[..bytes.len() - 1])?)
            })
        }),
        ("and the records say sha256:", |cache| {
            let other = Digest::of(b"another tar").to_string();
            cache.with_layers().into_iter().for_each(|step| step["layer"]["diffId"] = json!(other));
            cache.save()
        }),
    ];
    for (warning, change) in changes {
        for (edited, done) in [(false, STEPS.0), (true, STEPS.0)] {
            let (folder, _caches, path) = cached()?;
            change(&mut Cache::open(&path)?)?;
            if edited {
                folder.write("main.go", "package main // edited\n")?;
            }
            is_refused(&folder, &path, warning, done)?;
        }
    }
    Ok(())
}

/// What was found to be right of a cache's layers is not believed of what stands there later.
fn later() -> TestResult {
    let (folder, _caches, path) = cached()?;
    let importer = user()?;
    let flags = ["--cache-from", &from(&path)];
    assert_eq!(build(&importer, &folder, &flags)?.done, 0);
    let mut cache = Cache::open(&path)?;
    let other = Digest::of(b"another tar").to_string();
    cache.with_layers().into_iter().for_each(|step| step["layer"]["diffId"] = json!(other));
    cache.save()?;
    // A step that stands on nothing: no layer of the image is unpacked for it.
    folder.write("Dockerfile", format!("{}COPY --link go.mod /last\n", super::DOCKERFILE))?;
    let built = build(&importer, &folder, &flags)?;
    assert!(built.stderr.contains("and the records say sha256:"), "{}", built.stderr);
    assert_eq!(built.done, 1, "{}", built.stderr);
    importer.run(["image", "validate"])?.succeeded()?;
    Ok(())
}

/// A tar with one file, as no writer of layers would write it.
fn tar(path: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put =
        |place: usize, text: &str| header[place..place + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = [&header, content].concat();
    tar.resize(512 * 4, 0);
    tar
}

/// A layer with the right digests, and a file that would stand outside.
fn climbing() -> TestResult {
    let (folder, caches, path) = cached()?;
    let mut cache = Cache::open(&path)?;
    let bytes = tar("../../../../evil", b"evil\n");
    let descriptor = cache.write(OCI_LAYER, &bytes)?;
    for step in cache.with_layers() {
        step["layer"]["diffId"] = json!(Digest::of(&bytes).to_string());
    }
    for known in cache.manifest["layers"].as_array_mut().into_iter().flatten() {
        *known = descriptor.clone();
    }
    cache.save()?;
    folder.write("main.go", "package main // edited\n")?;
    let user = user()?;
    let built = build(&user, &folder, &["--cache-from", &from(&path)])?;
    assert_eq!(built.done, STEPS.0, "{}", built.stderr);
    let warnings: Vec<&str> = built.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    let expected = "its entry ../../../../evil leads out of the image";
    assert!(!warnings.is_empty() && warnings.iter().all(|line| line.ends_with(expected)), "{}", built.stderr);
    for place in [caches.path(), folder.path(), user.store(), user.home()] {
        assert!(!place.join("evil").exists() && !place.join("../evil").exists());
    }
    assert_eq!(items(&user, "drafts-")?, 0, "nothing half-made is left");
    user.run(["image", "validate"])?.succeeded()?;
    Ok(())
}

fn others() -> TestResult {
    let (folder, caches, path) = cached()?;
    let image = caches.join("image");
    build(&user()?, &folder, &["--output", &format!("oci:{}", image.display())])?;
    is_refused(
        &folder,
        &image,
        "it is an image without a cache in it: build it with --cache-to type=inline",
        STEPS.0,
    )?;

    let buildkit = "BuildKit wrote it, and names steps by digests of its own description of a build";
    let mut cache = Cache::open(&path)?;
    cache.manifest["config"]["mediaType"] = json!("application/vnd.buildkit.cacheconfig.v0");
    cache.save_manifest()?;
    is_refused(&folder, &path, buildkit, STEPS.0)?;
    cache.manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    cache.save_manifest()?;
    let other =
        "it is of the type `application/vnd.cncf.helm.config.v1+json`, and neither a cache nor an image";
    is_refused(&folder, &path, other, STEPS.0)?;
    let mut cache = Cache::open(&image)?;
    cache.records["moby.buildkit.cache.v0"] = json!("e30=");
    cache.save()?;
    is_refused(&folder, &image, buildkit, STEPS.0)?;

    let empty = caches.join("empty");
    fs::create_dir(&empty)?;
    is_refused(&folder, &empty, "is not an OCI image layout", STEPS.0)?;
    is_refused(&folder, &caches.join("nothing"), "nothing", STEPS.0)
}

/// BuildKit's own caches, in both forms of a folder and in an image.
fn buildkit() -> TestResult {
    let (folder, caches) = (project()?, Folder::new()?);
    let kit = BuildKit::start()?;
    let layout = bases()?.folder().display().to_string();
    let root = bases()?.image("busybox")?.ok_or_else(|| Stop::failed("there is no busybox"))?;
    for (name, further) in [("index", ""), ("manifest", ",image-manifest=true"), ("inline", "")] {
        let place = caches.join(name);
        let local = format!("type=local,mode=max,dest={}{further}", place.display());
        let mut flags = vec![
            "--oci-layout".to_owned(),
            format!("bases={layout}"),
            "--opt".to_owned(),
            format!("context:busybox=oci-layout://bases@{}", root.digest()),
        ];
        if name == "inline" {
            flags.extend(["--export-cache", "type=inline", "--output"].map(str::to_owned));
            flags.push(format!("type=oci,tar=false,dest={}", place.display()));
        } else {
            flags.extend(["--export-cache".to_owned(), local]);
        }
        kit.build(folder.path(), flags)?.succeeded()?;
        is_refused(&folder, &place, "BuildKit wrote it, and names steps by digests", STEPS.0)?;
    }
    Ok(())
}
