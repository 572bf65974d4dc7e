//! Random edits, prunings and caches between three stores: whatever a build takes from earlier ones, its image has the files that a build
//! in an empty store gives.
//!
//! LONGSHORE_RANDOM_STEPS and LONGSHORE_RANDOM_SEED choose how long, and which; a failure prints what led to it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use longshore_events::Events;
use longshore_image::Layout;
use longshore_image::flatten::{Contents, TreeFile, flatten};
use longshore_oci::ContainerConfig;
use longshore_testkit::{Folder, Longshore, Random, Stop, Suite, TestResult};

use super::{build, from, to};
use crate::run::user;

/// Rounds in CI.
const STEPS: u64 = 12;
const SEED: u64 = 20_261_125;
/// Stores that hand caches to each other.
const STORES: usize = 3;

pub(super) fn add(suite: Suite) -> Suite {
    suite.test("cache::random_edits_prunings_and_caches_change_no_image", &[], rounds)
}

/// Lines between which each place of the Dockerfile chooses; most of the time a place keeps what it had.
const PLACES: [&[&str]; 12] = [
    &["WORKDIR /w", "WORKDIR /w/x", "WORKDIR /w\nUSER 5:6"],
    &["COPY . .", "COPY a b ./", "COPY --chown=3:4 d ./d/", "COPY --parents d/c ./", "ADD --chmod=600 a ./"],
    &[
        "RUN cat $(find . -type f | sort) > /one",
        "RUN ls -lnR | sed 's/ [A-Z][a-z][a-z] .*:.. / /' | grep -v total > /one; true",
    ],
    &["FROM busybox AS two", "FROM one AS two"],
    &["ARG X=1", "ARG X=2", "ENV X=3", "ARG X"],
    &[
        "RUN --mount=type=bind,from=one,target=/m cat /m/one > /two; echo $X >> /two",
        "RUN --mount=type=bind,target=/m cat /m/a > /two; echo $X >> /two",
        "RUN --mount=type=secret,id=s,target=/s cp /s /two; ls -ln /s | cut -c 1-10 >> /two; echo $X >> /two",
        "RUN --mount=type=secret,id=t,target=/s,mode=0444 cp /s /two; ls -ln /s | cut -c 1-10 >> /two; echo $X >> /two",
        "COPY <<EOF /two\ntext $X\nEOF",
    ],
    &[
        "COPY --from=one /one /etc/",
        "COPY --from=one --link /one /linked/",
        "COPY --from=one --chown=8 /w /v",
        "RUN ln -s /v /etc/l",
    ],
    &["FROM busybox", "FROM scratch", "FROM two"],
    &[
        "COPY --from=two /two /",
        "COPY --from=two --link /two /deep/er/",
        "COPY --from=two --chmod=700 /two /bin/two",
    ],
    &["COPY --from=r /r1 /", "COPY --from=r --link /r1 /"],
    &["COPY --from=one /one /", "COPY d /d", "COPY --link --exclude=**/c d /d"],
    &["COPY --from=r /r2 /", "COPY --from=r --link /r2 /"],
];

/// The project, the stores, and what was done so far.
struct World {
    random: Random,
    folder: Folder,
    caches: Folder,
    outputs: Folder,
    stores: Vec<Longshore>,
    chosen: [&'static str; PLACES.len()],
    x: Option<&'static str>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Result<World, Stop> {
        let folder = Folder::new()?;
        for file in ["a", "b", "d/c", "d/e"] {
            folder.write(file, file)?;
        }
        let caches = Folder::new()?;
        caches.write("s", "secret s")?;
        caches.write("t", "secret t")?;
        let mut stores = Vec::new();
        for _ in 0..STORES {
            stores.push(user()?);
        }
        let chosen = PLACES.map(|lines| lines[0]);
        let (outputs, random) = (Folder::new()?, Random(seed));
        Ok(World { random, folder, caches, outputs, stores, chosen, x: None, trace: Vec::new() })
    }

    fn dockerfile(&self) -> String {
        let random = "FROM busybox AS r\nRUN head -c 16 /dev/urandom | tee /r1 > /r2";
        let [workdir, copy, one, two @ ..] = self.chosen;
        format!("{random}\nFROM busybox AS one\n{workdir}\n{copy}\nUSER root\n{one}\n{}\n", two.join("\n"))
    }

    /// Changes a file or a line.
    fn edit(&mut self) -> TestResult {
        let file = self.random.of(&["a", "b", "d/c", "d/e"]);
        let path = self.folder.join(file);
        let kind = self.random.below(8);
        self.trace.push(format!("edit {kind} {file}"));
        match kind {
            0 | 1 => {
                self.remove(&path)?;
                self.folder.write(file, self.random.of(&["1", "2", "33"]))?;
            }
            2 if path.is_file() && !path.is_symlink() => {
                let mode = self.random.of(&[0o644, 0o755, 0o600]);
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            }
            3 if file == "d/e" => {
                self.remove(&path)?;
                symlink(self.random.of(&["c", "../a", "nowhere"]), &path)?;
            }
            4 => {
                let ignored = self.random.of(&["", "d/e\n", "d\n!d/c\n", "*.x\n"]);
                self.folder.write(".dockerignore", ignored)?;
            }
            5 => self.x = self.random.of(&[None, Some("X=7"), Some("X=8")]),
            _ => {
                let place = self.random.below(PLACES.len());
                self.chosen[place] = self.random.of(PLACES[place]);
            }
        }
        Ok(())
    }

    fn remove(&self, path: &PathBuf) -> TestResult {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes a store smaller, as pruning does that goes by age: here by chance.
    fn prune(&mut self, store: usize) -> TestResult {
        if self.random.one_in(3) {
            self.trace.push(format!("prune {store}"));
            self.stores[store].run(["cache", "prune"])?.succeeded()?;
        }
        let share = self.random.of(&[0, 0, 2, 4]);
        if share == 0 {
            return Ok(());
        }
        self.trace.push(format!("lose one of {share} of the snapshots of {store}"));
        let Ok(kinds) = fs::read_dir(self.stores[store].store().join("cache")) else { return Ok(()) };
        for kind in kinds {
            let kind = kind?;
            if !kind.file_name().to_string_lossy().starts_with("snapshots-") {
                continue;
            }
            let mut names = fs::read_dir(kind.path())?.collect::<Result<Vec<_>, _>>()?;
            names.retain(|entry| entry.path().is_dir());
            names.sort_by_key(fs::DirEntry::file_name);
            for entry in names {
                if self.random.one_in(share) {
                    fs::remove_dir_all(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Flags that the image does not depend on.
    fn cache_flags(&mut self) -> Vec<String> {
        let mut flags = Vec::new();
        for number in 0..STORES {
            let cache = self.caches.join(number.to_string());
            if self.random.one_in(3) {
                flags.extend(["--cache-from".to_owned(), from(&cache)]);
            }
            if self.random.one_in(4) {
                flags.extend(["--cache-to".to_owned(), to(&cache, self.random.of(&["min", "max"]))]);
            }
        }
        match self.random.below(12) {
            0 => flags.push("--no-cache".to_owned()),
            1 | 2 => flags.push(format!("--no-cache-filter={}", self.random.of(&["r", "one", "two"]))),
            3 => flags.push("--all-stages".to_owned()),
            _ => {}
        }
        flags
    }

    fn build(&self, user: &Longshore, more: &[String]) -> Result<Image, Stop> {
        let place = self.outputs.join("image");
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        let secret = |id: &str| format!("id={id},src={}", self.caches.join(id).display());
        let output = format!("oci:{}", place.display());
        let (s, t) = (secret("s"), secret("t"));
        let mut flags = vec!["--secret", &s, "--secret", &t, "--output", &output];
        flags.extend(self.x.iter().flat_map(|x| ["--build-arg", x]));
        flags.extend(more.iter().map(String::as_str));
        let built = build(user, &self.folder, &flags)?;
        let mut image = Image::read(&place)?;
        image.stderr = built.stderr;
        Ok(image)
    }

    /// Returns whether there were images to compare.
    fn round(&mut self) -> Result<bool, Stop> {
        for _ in 0..=self.random.below(3) {
            self.edit()?;
        }
        let store = self.random.below(STORES);
        self.prune(store)?;
        let flags = self.cache_flags();
        self.folder.write("Dockerfile", self.dockerfile())?;
        self.trace.push(format!("build in {store} {}", flags.join(" ")));
        let fresh = self.build(&user()?, &[]);
        let built = self.build(&self.stores[store], &flags);
        match (fresh, built) {
            (Ok(fresh), Ok(built)) => {
                assert_eq!((&built.config, &built.files), (&fresh.config, &fresh.files), "{}", built.stderr);
                assert_eq!(built.random[0], built.random[1], "two results are mixed: {}", built.stderr);
                let again = self.build(&self.stores[store], &[])?;
                assert_eq!((&again.config, &again.files), (&fresh.config, &fresh.files), "{}", again.stderr);
                assert_eq!(again.random[0], again.random[1], "two results are mixed: {}", again.stderr);
                Ok(true)
            }
            // Such as a file that .dockerignore leaves out.
            (Err(_), Err(_)) => Ok(false),
            (Err(stop), Ok(_)) | (Ok(_), Err(stop)) => {
                Err(Stop::failed(format!("one of two builds failed: {stop:?}")))
            }
        }
    }
}

/// What is compared of an image.
struct Image {
    config: ContainerConfig,
    /// Without times, and without what differs each time it is made.
    files: BTreeMap<PathBuf, TreeFile>,
    random: Vec<TreeFile>,
    stderr: String,
}

impl Image {
    fn read(place: &std::path::Path) -> Result<Image, Stop> {
        let layout = Layout::open(place)?;
        let root = layout.entries()?.into_iter().next().ok_or_else(|| Stop::failed("the layout is empty"))?;
        let image = layout.image(&root.descriptor);
        let (mut files, mut random) = (BTreeMap::new(), Vec::new());
        for (path, file) in flatten(&image, Contents::Hashed, &Events::silent())?.files() {
            let mut file = TreeFile { mtime: 0, ..file.clone() };
            if path.ends_with("r1") || path.ends_with("r2") {
                assert_eq!(file.size, 16);
                random.push(TreeFile { layer: 0, ..file.clone() });
                file.content = None;
            }
            files.insert(path.to_owned(), file);
        }
        assert_eq!(random.len(), 2, "{files:?}");
        Ok(Image { config: image.config()?.config, files, random, stderr: String::new() })
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn rounds() -> TestResult {
    let seed = number("LONGSHORE_RANDOM_SEED", SEED);
    let mut world = World::new(seed)?;
    let (mut compared, steps) = (0, number("LONGSHORE_RANDOM_STEPS", STEPS));
    for step in 0..steps {
        let round = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.round()));
        let round = round.unwrap_or_else(|panic| {
            Err(Stop::failed(panic.downcast_ref::<String>().map_or("it panicked", String::as_str)))
        });
        let trace = || format!("{}\n{}", world.dockerfile(), world.trace.join("\n"));
        let is_compared = round
            .map_err(|stop| Stop::failed(format!("seed {seed}, round {step}: {stop:?}\n{}", trace())))?;
        compared += u64::from(is_compared);
    }
    assert!(compared * 2 > steps, "{compared} of {steps} rounds had an image");
    Ok(())
}
