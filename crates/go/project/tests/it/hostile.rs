//! Source that nobody sane writes must neither stop nor slow the detection.

use std::time::{Duration, Instant};

use longshore_project::{DetectOptions, detect};
use proptest::prelude::*;

use crate::tree::write;

fn with_main(source: &str) -> tempfile::TempDir {
    let folder = write("-- go.mod --\nmodule example.com/app\n\ngo 1.26\n");
    #[expect(clippy::disallowed_methods, reason = "a fixture need not be atomic")]
    std::fs::write(folder.path().join("main.go"), source).unwrap();
    folder
}

#[test]
fn deep_and_long_source_is_read_in_bounds() {
    let many = 200_000;
    let table = [
        ("blocks", format!("package main\nfunc main() {}{}", "{".repeat(many), "}".repeat(many))),
        ("open blocks", format!("package main\nfunc main() {}", "{".repeat(many))),
        ("ifs", format!("package main\nfunc main() {{ {}", "if x {".repeat(many))),
        ("else ifs", format!("package main\nfunc main() {{ if x {{}} {}", "else if x {} ".repeat(many))),
        ("parentheses", format!("package main\nvar x = {}", "(".repeat(many))),
        ("sum", format!("package main\nvar x = 1{}", "+1".repeat(many))),
        ("texts", format!("package main\nvar x = \"a\"{}\nfunc main() {{ f(x) }}", "+\"a\"".repeat(many))),
        ("chain", format!("package main\nvar x = a{}", ".b()".repeat(many))),
        ("calls", format!("package main\nvar x = {}", "f(".repeat(many))),
        ("minus", format!("package main\nvar x = {}1", "-".repeat(many))),
        ("literals", format!("package main\nvar x = T{}", "{{".repeat(many))),
        ("types", format!("package main\nvar x {}int", "[]".repeat(many))),
        ("functions", format!("package main\nvar x = {}", "func() { _ = ".repeat(many))),
        ("function types", format!("package main\nvar x {}", "func(a ".repeat(many))),
        ("closers", format!("package main\nfunc main() {{ {}", ")]}".repeat(many))),
        ("fields", format!("package main\ntype t struct {{ {}", "a struct {".repeat(many))),
        ("cases", format!("package main\nfunc main() {{ switch x {{ {}", "case 1: ".repeat(many))),
        ("quotes", format!("package main\nvar x = {}", "\"\n".repeat(many))),
        ("strings", "package main\nvar x = `".to_owned() + &"\n".repeat(many)),
        ("comments", format!("package main\n{}", "/* */ ".repeat(many))),
        ("embeds", format!("package main\nimport _ \"embed\"\n{}", "//go:embed a\n".repeat(2000))),
        (
            "globals",
            (0..20_000)
                .fold("package main\n".to_owned(), |text, n| text + &format!("var a{n} = a{}\n", n + 1)),
        ),
        (
            "circle",
            "package main\nvar a = b\nvar b = a\nfunc main() { f() }\nfunc f() { g() }\nfunc g() { f() }"
                .to_owned(),
        ),
        ("closures", format!("package main\nfunc main() {{ {}", "go func() { f() }()\n".repeat(20_000))),
        (
            "exponential calls",
            (0..60).fold("package main\nfunc main() { f0(\"\") }\n".to_owned(), |text, n| {
                let next = n + 1;
                text + &format!("func f{n}(s string) {{ f{next}(s+\"a\"); f{next}(s+\"b\") }}\n")
            }),
        ),
        (
            "doubling texts",
            (0..60).fold("package main\nconst c0 = \"x\"\n".to_owned(), |text, n| {
                text + &format!("const c{} = c{n} + c{n}\n", n + 1)
            }),
        ),
    ];
    for (name, source) in table {
        let folder = with_main(&source);
        let start = Instant::now();
        let project = detect(folder.path(), &DetectOptions::default()).unwrap();
        assert_eq!(project.mains.len(), 1, "{name}");
        println!("{name}: {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(40), "{name} took {:?}", start.elapsed());
    }
}

/// Pieces of Go, in any order: nearer to the parser's branches than random bytes.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "func ",
        "main",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ",",
        ";",
        "\n",
        ":=",
        "=",
        "==",
        ".",
        "...",
        "if ",
        "else ",
        "for ",
        "range ",
        "switch ",
        "case ",
        "default",
        ":",
        "select ",
        "return ",
        "go ",
        "defer ",
        "var ",
        "const ",
        "type ",
        "struct ",
        "interface ",
        "map",
        "chan ",
        "<-",
        "*",
        "&",
        "!",
        "\"x\"",
        "`y`",
        "'z'",
        "8080",
        "os",
        "http",
        "r",
        "Getenv",
        "HandleFunc",
        "Server",
        "Args",
        "//go:embed a\n",
        "/*",
        "*/",
        "\\",
        "é",
        "import ",
        "package ",
        "+",
    ]);
    prop::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_of_go_are_read_without_panic(body in pieces(), tail in pieces()) {
        let source = format!("package main\nimport (\n\"os\"\n\"net/http\"\n)\nfunc main() {{ {body} }}\n{tail}");
        let folder = with_main(&source);
        let project = detect(folder.path(), &DetectOptions::default()).unwrap();
        serde_json::to_string(&project).unwrap();
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = with_main("");
        #[expect(clippy::disallowed_methods, reason = "a fixture need not be atomic")]
        std::fs::write(folder.path().join("main.go"), &bytes).unwrap();
        detect(folder.path(), &DetectOptions::default()).unwrap();
    }
}
