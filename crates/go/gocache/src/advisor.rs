//! The builder's advisor: [`advise`](crate::advise) in the builder's words.

use std::path::PathBuf;

use longshore_builder::{Advice, AdvisedMount, StepAdvisor, StepFacts};

use crate::advice::{self, Refusal, Step, Words};
use crate::place::CacheRoot;

/// Most bytes of a program called `go` that are looked at to know that it is there.
const PROGRAM_LIMIT: u64 = 64 << 20;

/// Offers Go's build cache to steps.
#[derive(Debug, Clone)]
pub struct GoCacheAdvisor {
    /// Folder of the caches of all projects and users: `Store::cache_folder("go-build")`.
    pub caches: PathBuf,
    /// Folder that [`crate::install_helper`] filled.
    pub helper: PathBuf,
}

impl StepAdvisor for GoCacheAdvisor {
    fn advise(&self, facts: &StepFacts<'_>) -> Advice {
        let later: Vec<Words<'_>> = facts.later.iter().map(|text| Words::Shell(text)).collect();
        let step = Step {
            words: Words::Program(facts.arguments),
            is_exported: facts.is_exported,
            used_paths: facts.copied,
            later: &later,
            mounts: facts.mounts,
            environment: facts.environment,
            user: facts.user,
            home: facts.home.unwrap_or("/"),
        };
        let root = CacheRoot::of(&self.caches, facts.project, facts.user);
        let offer = match advice::advise(&step, &|path| is_there(facts, path), &self.helper, &root) {
            Ok(offer) => offer,
            Err(Refusal::NoGo | Refusal::NotInstalled) => return Advice::default(),
            Err(refusal) => return without(&format!("no build cache for Go: {refusal}")),
        };
        if let Err(error) = root.create() {
            return without(&format!("no build cache for Go: {error}: {}", error.source));
        }
        let mount = |mount: advice::CacheMount| AdvisedMount {
            source: mount.source,
            target: mount.target.into(),
            read_only: mount.read_only,
        };
        Advice {
            environment: offer.environment,
            mounts: offer.mounts.into_iter().map(mount).collect(),
            reason: "with a build cache for Go".to_owned(),
        }
    }
}

fn without(reason: &str) -> Advice {
    Advice { reason: reason.to_owned(), ..Advice::default() }
}

/// Whether `FOLDER/bin/go` is there. Toolchains have their version beside it, which is quicker to read.
fn is_there(facts: &StepFacts<'_>, path: &str) -> bool {
    let root = path.strip_suffix("/bin/go").unwrap_or_default();
    facts.files.read(&format!("{root}/VERSION"), 4096).is_some_and(|version| version.starts_with(b"go"))
        || facts.files.read(path, PROGRAM_LIMIT).is_some()
}

#[cfg(test)]
mod tests {
    use longshore_builder::StageFiles;

    use super::*;

    struct Toolchain(&'static str);

    impl StageFiles for Toolchain {
        fn read(&self, path: &str, _limit: u64) -> Option<Vec<u8>> {
            (path == self.0).then(|| b"go1.21.13\n".to_vec())
        }
    }

    fn advise(caches: PathBuf, line: &str, files: &Toolchain) -> Advice {
        let arguments = ["/bin/sh", "-c", line].map(str::to_owned);
        let environment = [("PATH".to_owned(), "/usr/local/go/bin:/bin".to_owned())];
        let advisor = GoCacheAdvisor { caches, helper: "/helpers/1".into() };
        advisor.advise(&StepFacts {
            project: "/src/shop/Dockerfile",
            stage: "builder",
            is_exported: false,
            arguments: &arguments,
            environment: &environment,
            folder: "/app",
            user: "",
            home: Some("/root"),
            mounts: &[],
            later: &["COPY . .".to_owned()],
            copied: &["/app/main".to_owned()],
            has_proc: true,
            files,
        })
    }

    #[test]
    fn a_step_gets_a_cache_that_is_there_to_be_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let caches = folder.path().join("go-build");
        let line = "CGO_ENABLED=0 go build -a -o main ./cmd/server";
        for there in ["/usr/local/go/VERSION", "/bin/go"] {
            let advice = advise(caches.clone(), line, &Toolchain(there));
            assert_eq!(advice.reason, "with a build cache for Go");
            let path = "/run/longshore/go/bin:/usr/local/go/bin:/bin".to_owned();
            assert_eq!(advice.environment, [("PATH".to_owned(), path)]);
            let mounts: Vec<_> =
                advice.mounts.iter().map(|mount| (mount.target.as_path(), mount.read_only)).collect();
            let expected = [("/run/longshore/go/bin", true), ("/run/longshore/go/cache", false)];
            assert_eq!(mounts, expected.map(|(target, read_only)| (std::path::Path::new(target), read_only)));
            assert!(advice.mounts[1].source.starts_with(&caches) && advice.mounts[1].source.is_dir());
        }
    }

    #[test]
    fn a_reason_is_given_where_go_is_started_and_silence_kept_elsewhere() {
        let caches = PathBuf::from("/proc/nowhere");
        let go = Toolchain("/usr/local/go/VERSION");
        assert_eq!(advise(caches.clone(), "apk add git", &go), Advice::default());
        assert_eq!(advise(caches.clone(), "go build .", &Toolchain("/x")), Advice::default());
        let advice = advise(caches.clone(), "GOCACHE=/x go build .", &go);
        assert_eq!(advice, without(r#"no build cache for Go: it says "GOCACHE=/x""#));
        let advice = advise(caches, "go build .", &go);
        assert!(advice.mounts.is_empty() && advice.environment.is_empty());
        let beginning = "no build cache for Go: cannot create the folder /proc/nowhere: ";
        assert!(advice.reason.starts_with(beginning), "{}", advice.reason);
    }
}
