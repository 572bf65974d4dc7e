//! Rules that no lint of the compiler knows, or that must hold for code the compiler was told to pass over.

use std::fs;
use std::path::{Path, PathBuf};

use crate::repository;

/// Lines of the longest file that is allowed.
const LONGEST: usize = 500;

struct Source {
    /// Relative to the repository.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The lines that are neither comments nor tests, with their numbers.
    ///
    /// Tests stand at a file's end, behind `#[cfg(test)]` on a line of its own, or in files of their own.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let body = lines.take_while(|(_, line)| *line != "#[cfg(test)]");
        let is_test = self.is_test();
        body.filter(move |(_, line)| !is_test && !line.starts_with("//"))
    }

    fn is_test(&self) -> bool {
        let name = self.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let in_tests = self.path.components().any(|part| part.as_os_str() == "tests");
        in_tests || name == "tests" || name.ends_with("_tests")
    }

    /// Whether the file belongs to a room: a library that neither prints nor ends the program.
    fn is_library(&self) -> bool {
        ["base", "image", "go", "build", "ship"]
            .iter()
            .any(|floor| self.path.starts_with(format!("crates/{floor}")))
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&repository().join("crates"), &mut found);
    assert!(found.len() > 20, "only {} files were found", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("Rust files are UTF-8");
            let path = path.strip_prefix(repository()).expect("it is in the repository").to_owned();
            found.push(Source { path, text });
        }
    }
}

fn breaches(of: impl Fn(&str) -> Option<&'static str>, applies: impl Fn(&Source) -> bool) -> Vec<String> {
    let sources = sources();
    let lines = sources.iter().filter(|source| applies(source)).flat_map(|source| {
        source.code().filter_map(|(number, line)| {
            of(line).map(|what| format!("{}:{number}: {what}", source.path.display()))
        })
    });
    lines.collect()
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), source.path.display()))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{path} has {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn there_is_no_unsafe_code_outside_the_sandbox_and_the_probe() {
    const FORMS: [&str; 7] = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe trait",
        "unsafe extern",
        "#[unsafe(",
        "(unsafe_code)",
    ];
    let found = breaches(
        |line| FORMS.into_iter().find(|form| line.contains(form)),
        |source| !["crates/build/sandbox", "crates/probe"].iter().any(|room| source.path.starts_with(room)),
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn libraries_do_not_print_and_do_not_exit() {
    const CALLS: [&str; 8] = [
        "println!(",
        "eprintln!(",
        " print!(",
        "eprint!(",
        "dbg!(",
        "io::stdout(",
        "io::stderr(",
        "process::exit(",
    ];
    let found = breaches(|line| CALLS.into_iter().find(|call| line.contains(call)), Source::is_library);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_is_left_to_do_in_secret() {
    const WORDS: [&str; 5] = ["todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"];
    let found = breaches(
        |line| WORDS.into_iter().find(|word| line.contains(word)),
        |source| !source.path.ends_with("sources.rs"),
    );
    assert!(found.is_empty(), "{found:#?}");
}
