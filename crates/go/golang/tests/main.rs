//! Go's own reading of module files, asked of the installed Go, and files that nobody would write.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail like tests, and skips are printed"
)]

use std::process::{Command, Output};

use longshore_golang::{
    BuildContext, Constraint, GoMod, GoSum, GoVersion, GoWork, Replacement, VendorModules,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Lets Go read a go.mod or go.work; none, with a word of why, where it is not installed.
fn go(name: &str, text: &str, arguments: &[&str]) -> Option<Output> {
    let folder = tempfile::TempDir::new().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a fixture need not be atomic")]
    std::fs::write(folder.path().join(name), text).unwrap();
    let output = Command::new("go")
        .current_dir(folder.path())
        .args(arguments)
        .env("GOFLAGS", "")
        .env("GOTOOLCHAIN", "local")
        .output();
    if output.is_err() {
        println!("skipped, because Go is not in the PATH");
    }
    output.ok()
}

/// What `go mod edit -json` would print, from our own reading.
fn as_go_prints(file: &GoMod) -> Value {
    let version = |path: &str, version: Option<&str>| match version {
        Some(version) => json!({"Path": path, "Version": version}),
        None => json!({"Path": path}),
    };
    let require = file.require.iter().map(|require| {
        let mut value = version(&require.path, Some(&require.version));
        if require.indirect {
            value["Indirect"] = json!(true);
        }
        value
    });
    let replace = file.replace.iter().map(|replace| {
        let new = match &replace.with {
            Replacement::Folder(folder) => version(folder, None),
            Replacement::Module { path, version: number } => version(path, Some(number)),
        };
        json!({"Old": version(&replace.path, replace.version.as_deref()), "New": new})
    });
    let retract = file.retract.iter().map(|retract| match retract.rationale.as_str() {
        "" => json!({"Low": retract.low, "High": retract.high}),
        reason => json!({"Low": retract.low, "High": retract.high, "Rationale": reason}),
    });
    json!({
        "Module": {"Path": file.module.path, "Deprecated": file.module.deprecated.clone().unwrap_or_default()},
        "Go": file.go.as_ref().map(|go| go.value.as_str()),
        "Toolchain": file.toolchain.as_ref().map(|line| line.value.to_string()),
        "Require": require.collect::<Vec<_>>(),
        "Exclude": file.exclude.iter().map(|exclude| version(&exclude.path, Some(&exclude.version))).collect::<Vec<_>>(),
        "Replace": replace.collect::<Vec<_>>(),
        "Retract": retract.collect::<Vec<_>>(),
        "Tool": file.tool.iter().map(|tool| json!({"Path": tool.value})).collect::<Vec<_>>(),
        "Ignore": file.ignore.iter().map(|ignore| json!({"Path": ignore.value})).collect::<Vec<_>>(),
    })
}

#[test]
fn a_full_go_mod_is_read_as_go_reads_it() {
    let text = "// About this module.\n//\n// Deprecated: use example.com/new.\nmodule \"example.com/old\"\n\ngo 1.26.1\n\ntoolchain go1.26.8\n\n\
                require (\n\ta.b/c v1.2.3 // indirect\n\t\"a.b/d/v2\" v2.0.0 // indirect; why\n\ta.b/e v0.1.0 // not indirect\n)\n\
                require gopkg.in/yaml.v3 v3.0.1\n\n// Broken.\nretract (\n\tv1.0.0\n\t[v1.1.0, v1.1.9] // worse\n)\n\n\
                exclude a.b/c v1.2.2\nreplace (\n\ta.b/c => ../c\n\ta.b/c v1.2.3 => x.y/c v1.2.4\n)\n\
                tool a.b/c/cmd/tool\nignore ./node_modules\nignore (\n\tstatic\n)\n";
    let Some(output) = go("go.mod", text, &["mod", "edit", "-json"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = as_go_prints(&GoMod::parse(text.as_bytes()).unwrap());
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&found[field], value, "{field}");
    }
    assert_eq!(expected.as_object().unwrap().len(), 9);
}

#[test]
fn go_refuses_what_we_refuse_in_the_same_line() {
    let table = [
        "module a.b\nrequires c.d v1.0.0\n",
        "module a.b\nmodule c.d\n",
        "module a.b\ngo 1.x\n",
        "module a.b\ntoolchain 1.21\n",
        "module a.b\nrequire c.d\n",
        "module a.b\nrequire (\n\tc.d v2.0.0\n)\n",
        "module a.b\nrequire (\n\tc.d v1.0.0\n",
        "module a.b\nrequire (\n) x\n",
        "module a.b /* x */\n",
        "module \"a.b\n",
        "module 'a.b'\n",
        "module a.b\nreplace c.d => e.f\n",
        "module a.b\nreplace c.d => ../x v1.0.0\n",
        "module a.b\n\nretract [v1.0.0\n",
        "module a.b\ngodebug x\n",
        "module a.b\nrequire `c.d` v1.0.0\n",
        "module a.b\nrequire \"c.d\"x v1.0.0\n",
        "module a.b\nreplace c.d/v1 => ./x\n",
    ];
    for text in table {
        let Some(output) = go("go.mod", text, &["mod", "edit", "-json"]) else { return };
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{text:?}");
        let error = GoMod::parse(text.as_bytes()).unwrap_err();
        assert!(
            message.contains(&format!("go.mod:{}", error.first.line)),
            "{text:?}: {error} against {message}"
        );
    }
}

#[test]
fn a_go_work_is_read_as_go_reads_it() {
    let text = "go 1.26\n\nuse (\n\t./a\n\t\"./b c\"\n)\nuse .\nreplace x.y/z v1.0.0 => ./z\n";
    let Some(output) = go("go.work", text, &["work", "edit", "-json"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = GoWork::parse(text.as_bytes()).unwrap();
    let uses: Vec<_> = file.uses.iter().map(|used| json!({"DiskPath": used.value})).collect();
    assert_eq!(expected["Use"], json!(uses));
    assert_eq!(expected["Go"], json!(file.go.unwrap().value.as_str()));
    assert_eq!(expected["Replace"][0]["Old"]["Version"], json!(file.replace[0].version));
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "module ",
        "go ",
        "require ",
        "replace ",
        "retract ",
        "use ",
        "a.b/c",
        "v1.0.0",
        "=>",
        "./x",
        "(",
        ")",
        "[",
        "]",
        ",",
        "\"",
        "`",
        "'",
        "//",
        "/*",
        "\n",
        "\\",
        "é",
        " ",
        "\t",
        "# ",
        "## ",
        "explicit",
        "1.21",
        "//go:build ",
        "&&",
        "||",
        "!",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_parser_panic(text in pieces(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for input in [text.as_bytes(), &bytes] {
            let _ = GoMod::parse(input);
            let _ = GoMod::parse_dependency(input);
            let _ = GoWork::parse(input);
            let _ = GoSum::parse(input);
            let _ = VendorModules::parse(input);
            let _ = BuildContext::new("linux", "amd64", 26).matches_file("a_linux.go", input);
        }
        let _ = Constraint::parse(&text);
        let _ = text.parse::<GoVersion>();
        let _ = longshore_golang::module::glob_matches(&text, "a/b");
        let _ = longshore_golang::module::matches_patterns(&text, &text);
        let _ = longshore_golang::unescape_string(&text);
    }

    #[test]
    fn the_order_of_versions_is_an_order(texts in prop::collection::vec("[0-9]{1,2}(\\.[0-9]{1,2}){0,2}(rc[0-9])?", 3)) {
        let versions: Vec<GoVersion> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        if let [a, b, c] = &versions[..] {
            prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
            prop_assert!(!(a <= b && b <= c) || a <= c);
            prop_assert_eq!(a == b, a.cmp(b).is_eq());
        }
    }
}
