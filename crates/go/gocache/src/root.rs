//! GOROOT for steps that see no /proc.
//!
//! Release builds of Go are trimmed: they hold no path of their toolchain, and `go` finds it from where it stands itself, which Linux tells
//! by /proc/self/exe (`os.Executable`). A step without /proc needs the variable instead. It names the folder that `go` would find, so
//! nothing of what is built is another.

use longshore_builder::{Advice, StepAdvisor, StepFacts};

/// Where distributions have the toolchain whose `go` is a link in /usr/bin: Debian's and Alpine's, Fedora's.
const PACKAGED: [&str; 2] = ["/usr/lib/go", "/usr/lib/golang"];

/// Most bytes of a VERSION that are looked at.
const VERSION_LIMIT: u64 = 4096;

/// Names the toolchain's folder to steps that could not find it.
#[derive(Debug, Clone, Copy)]
pub struct GoRootAdvisor;

impl StepAdvisor for GoRootAdvisor {
    fn advise(&self, facts: &StepFacts<'_>) -> Advice {
        let variable = |wanted: &str| {
            facts.environment.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
        };
        if facts.has_proc || variable("GOROOT").is_some() {
            return Advice::default();
        }
        let on_path = variable("PATH").unwrap_or_default().split(':').filter_map(|place| {
            place.trim_end_matches('/').strip_suffix("/bin").filter(|root| root.starts_with('/'))
        });
        match on_path.chain(PACKAGED).find(|root| is_toolchain(facts, root)) {
            Some(root) => {
                Advice { environment: vec![("GOROOT".to_owned(), root.to_owned())], ..Advice::default() }
            }
            None => Advice::default(),
        }
    }
}

/// Every toolchain has a file that names its version: `go1.21.13`, or `devel …`.
fn is_toolchain(facts: &StepFacts<'_>, root: &str) -> bool {
    let version = facts.files.read(&format!("{root}/VERSION"), VERSION_LIMIT).unwrap_or_default();
    version.starts_with(b"go") || version.starts_with(b"devel ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_builder::StageFiles;

    /// A stage with a toolchain in these folders.
    struct Toolchains(&'static [&'static str]);

    impl StageFiles for Toolchains {
        fn read(&self, path: &str, _: u64) -> Option<Vec<u8>> {
            let root = path.strip_suffix("/VERSION")?;
            self.0.contains(&root).then(|| b"go1.26.0\ntime 2026-02-01T00:00:00Z\n".to_vec())
        }
    }

    fn root(toolchains: &'static [&'static str], has_proc: bool, variables: &[(&str, &str)]) -> Vec<String> {
        let environment: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let advice = GoRootAdvisor.advise(&StepFacts {
            project: "/shop",
            stage: "builder",
            is_exported: false,
            arguments: &["go".to_owned()],
            environment: &environment,
            folder: "/",
            user: "",
            home: None,
            mounts: &[],
            later: &[],
            copied: &[],
            has_proc,
            files: &Toolchains(toolchains),
        });
        assert!(advice.mounts.is_empty());
        advice.environment.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn the_first_toolchain_on_the_path_is_named_where_go_could_not_find_it() {
        let path = ("PATH", "/go/bin:/usr/local/go/bin/:/opt/go/bin:/usr/bin");
        let both = &["/opt/go", "/usr/local/go"];
        assert_eq!(root(both, false, &[path]), ["GOROOT=/usr/local/go"]);
        assert_eq!(root(&["/usr/lib/go"], false, &[path]), ["GOROOT=/usr/lib/go"]);
        let nothing: [String; 0] = [];
        assert_eq!(root(both, true, &[path]), nothing);
        assert_eq!(root(both, false, &[path, ("GOROOT", "/mine")]), nothing);
        assert_eq!(root(&[], false, &[path]), nothing);
        assert_eq!(root(both, false, &[]), nothing);
    }
}
