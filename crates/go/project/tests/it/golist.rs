//! What Go itself says: `go list` is asked about Go's own source tree, and detection must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use longshore_golang::BuildContext;
use longshore_project::{DetectOptions, detect};
use serde_json::Value;

/// Runs Go; none, with a word of why, where it is not installed.
fn go(dir: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Option<String> {
    let output = Command::new("go")
        .current_dir(dir)
        .args(arguments)
        .env("GOFLAGS", "")
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off")
        .envs(environment.iter().copied())
        .output();
    match output {
        Err(_) => {
            println!("skipped, because Go is not in the PATH");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

fn goroot() -> Option<PathBuf> {
    let root = go(Path::new("/"), &[], &["env", "GOROOT"])?;
    Some(PathBuf::from(root.trim()))
}

fn packages(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text).into_iter::<Value>().map(Result::unwrap).collect()
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Tags that the toolchain sets by itself: experiments and architecture levels.
fn tool_tags(environment: &[(&str, &str)]) -> Option<BTreeSet<String>> {
    let text = go(Path::new("/"), environment, &["list", "-f", "{{join context.ToolTags \" \"}}", "std"])?;
    Some(text.lines().next()?.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn the_files_of_every_standard_package_are_chosen_as_go_chooses_them() {
    let Some(root) = goroot() else { return };
    let minor: u32 =
        go(&root, &[], &["env", "GOVERSION"]).unwrap().split('.').nth(1).unwrap().trim().parse().unwrap();
    for (os, arch, cgo) in [
        ("linux", "amd64", "0"),
        ("linux", "arm64", "1"),
        ("windows", "386", "0"),
        ("android", "arm64", "0"),
        ("illumos", "amd64", "0"),
    ] {
        let environment = [("GOOS", os), ("GOARCH", arch), ("CGO_ENABLED", cgo)];
        let mut context = BuildContext::new(os, arch, minor);
        context.cgo = cgo == "1";
        context.tags = tool_tags(&environment).unwrap();
        let fields = "-json=Dir,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles";
        let listed =
            packages(&go(&root.join("src"), &environment, &["list", "-e", fields, "std", "cmd"]).unwrap());
        assert!(listed.len() > 300, "{}", listed.len());
        let mut compared = 0;
        for package in &listed {
            let dir = package["Dir"].as_str().unwrap();
            let taken: BTreeSet<String> = ["GoFiles", "CgoFiles", "TestGoFiles", "XTestGoFiles"]
                .iter()
                .flat_map(|field| strings(&package[*field]))
                .collect();
            for name in taken.iter().cloned().chain(strings(&package["IgnoredGoFiles"])) {
                let path = Path::new(dir).join(&name);
                let content = std::fs::read(&path).unwrap();
                let matches = context.matches_file(&name, &content).unwrap();
                // With cgo off, go list calls files that import "C" ignored.
                let imports_c = !context.cgo
                    && !name.ends_with("_test.go")
                    && !path.ends_with("cmd/cgo/doc.go")
                    && String::from_utf8_lossy(&content).lines().any(|line| line.starts_with("import \"C\""));
                assert_eq!(
                    matches && !imports_c,
                    taken.contains(&name),
                    "{} for {os}/{arch}",
                    path.display()
                );
                compared += 1;
            }
        }
        assert!(compared > 2500, "{compared}");
    }
}

#[test]
fn the_main_packages_of_the_go_command_tree_are_found() {
    let Some(root) = goroot() else { return };
    let cmd = root.join("src/cmd");
    let environment = [("CGO_ENABLED", "0"), ("GOOS", "linux"), ("GOARCH", "amd64")];
    let fields = "-json=ImportPath,Name,Target,GoFiles,Imports,EmbedFiles,EmbedPatterns";
    let listed = packages(&go(&cmd, &environment, &["list", fields, "./..."]).unwrap());
    let expected: BTreeMap<String, BTreeSet<String>> = listed
        .iter()
        // Packages of tests alone have a name too, but nothing to build.
        .filter(|package| package["Name"] == "main" && !strings(&package["GoFiles"]).is_empty())
        .map(|package| (package["ImportPath"].as_str().unwrap().to_owned(), strings(&package["GoFiles"])))
        .collect();
    assert!(expected.len() > 20);
    let tags = tool_tags(&environment).unwrap();
    let options = DetectOptions { tags, programs: false, ..DetectOptions::default() };
    let project = detect(&cmd, &options).unwrap();
    let found: BTreeMap<String, BTreeSet<String>> = project
        .mains
        .iter()
        .map(|main| (main.import_path.clone(), main.files.iter().cloned().collect()))
        .collect();
    assert_eq!(found, expected);
    for main in &project.mains {
        let package =
            listed.iter().find(|package| package["ImportPath"] == main.import_path.as_str()).unwrap();
        if let Some(target) = package["Target"].as_str() {
            assert_eq!(Path::new(target).file_name().unwrap().to_str(), Some(main.name.as_str()));
        }
        let embeds: Vec<_> = main.facts.embeds.iter().map(|embed| embed.pattern.clone()).collect();
        for pattern in strings(&package["EmbedPatterns"]) {
            assert!(embeds.contains(&pattern), "{pattern} of {}", main.import_path);
        }
    }
}

#[test]
fn a_module_with_embeds_and_versions_is_read_as_go_list_reads_it() {
    let folder = crate::tree::write(
        "-- go.mod --
module example.com/tool/v3

go 1.24
-- main.go --
package main

import \"embed\"

//go:embed static/*.txt all:hidden \"with space\" `tree`
var files embed.FS

func main() {}
-- main_windows.go --
package main
-- tagged.go --
//go:build special && !go1.99

package main
-- static/a.txt --
a
-- static/b.md --
b
-- static/.c.txt --
c
-- hidden/.x/_y.txt --
x
-- with space/z --
z
-- tree/.skipped --
s
-- tree/_skipped/s --
s
-- tree/kept/k --
k
-- tree/nested/go.mod --
module nested
-- tree/nested/n --
n
-- cmd/helper/helper.go --
package main

func main() {}
-- cmd/v2/main.go --
package main

func main() {}
",
    );
    let environment = [("CGO_ENABLED", "0"), ("GOOS", "linux"), ("GOARCH", "amd64")];
    let fields = "-json=ImportPath,Target,GoFiles,EmbedFiles";
    let Some(text) = go(folder.path(), &environment, &["list", "-tags=special", fields, "./..."]) else {
        return;
    };
    let mut expected: Vec<_> = packages(&text)
        .iter()
        .map(|package| {
            let target = Path::new(package["Target"].as_str().unwrap()).file_name().unwrap().to_owned();
            let path = package["ImportPath"].as_str().unwrap().to_owned();
            (
                path,
                target.into_string().unwrap(),
                strings(&package["GoFiles"]),
                strings(&package["EmbedFiles"]),
            )
        })
        .collect();
    expected.sort();
    let options = DetectOptions { tags: BTreeSet::from(["special".to_owned()]), ..DetectOptions::default() };
    let project = detect(folder.path(), &options).unwrap();
    let found: Vec<_> = project
        .mains
        .iter()
        .map(|main| {
            let embedded = main.facts.embeds.iter().flat_map(|embed| embed.files.iter().cloned()).collect();
            (main.import_path.clone(), main.name.clone(), main.files.iter().cloned().collect(), embedded)
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(found[0].1, "tool");
    assert_eq!(found[2].1, "cmd");
}
