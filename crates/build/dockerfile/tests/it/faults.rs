//! What is said about files that are wrong, and that the rest of them is read all the same.

use longshore_dockerfile::{InstructionKind, Severity, parse};

/// For each fault: severity, code, the text it is about, hint.
fn faults(text: &str) -> Vec<(Severity, &'static str, String, String)> {
    let parsed = parse(text.as_bytes());
    let fault = |fault: &longshore_dockerfile::Diagnostic| {
        let hint = fault.hint.clone().unwrap_or_default();
        (fault.severity, fault.code, parsed.file.text(&fault.span), hint)
    };
    parsed.diagnostics.iter().map(fault).collect()
}

#[test]
fn one_bad_line_does_not_hide_the_rest() {
    let text = "FROM a\nRUNN x\nCOPY --frm=b . /\nENV A\nRUN <<EOF\nfoo\nCOPY a\nCMD [1]\nuser x\n";
    let parsed = parse(text.as_bytes());
    let found: Vec<_> =
        parsed.diagnostics.iter().map(|fault| (fault.code, parsed.file.line_of(fault.span.start))).collect();
    assert_eq!(
        found,
        [
            ("unknown-instruction", 2),
            ("unknown-flag", 3),
            ("missing-value", 4),
            ("unterminated-heredoc", 5),
            ("missing-destination", 7),
            ("json-not-strings", 8),
        ]
    );
    assert_eq!(parsed.file.instructions.len(), 8);
    assert!(matches!(parsed.file.instructions[7].kind, InstructionKind::User(_)));
}

#[test]
fn faults_name_the_place_and_the_likely_word() {
    use Severity::{Error, Warning};
    let cases: [(&str, Severity, &str, &str, &str); 34] = [
        ("RUNN x", Error, "unknown-instruction", "RUNN", "did you mean RUN?"),
        ("RNU x", Error, "unknown-instruction", "RNU", "did you mean RUN?"),
        ("copi a b", Error, "unknown-instruction", "copi", "did you mean copy?"),
        ("XYZZY a b", Error, "unknown-instruction", "XYZZY", ""),
        ("COPY --chwon=1 a b", Error, "unknown-flag", "--chwon", "did you mean --chown?"),
        (
            "RUN --foo x",
            Error,
            "unknown-flag",
            "--foo",
            "the flags are --mount, --network, --security, --device",
        ),
        ("COPY --from a b", Error, "missing-flag-value", "--from", "write it as --from=VALUE"),
        ("COPY --from=a --from=b c d", Error, "duplicate-flag", "--from", ""),
        ("COPY --link=maybe a b", Error, "invalid-flag-value", "maybe", "it is true or false"),
        ("RUN --network=hots x", Error, "invalid-flag-value", "hots", "did you mean host?"),
        ("RUN --security=x y", Error, "invalid-flag-value", "x", "it is one of sandbox, insecure"),
        ("RUN --mount=type=cach,target=/x y", Error, "invalid-mount", "cach", "did you mean cache?"),
        (
            "RUN --mount=type=cache,taget=/x y",
            Error,
            "invalid-mount",
            "type=cache,taget=/x",
            "did you mean target?",
        ),
        (
            "RUN --mount=type=bind,from=$A,target=/x y",
            Error,
            "invalid-mount",
            "$A",
            "define a stage with FROM, and an ARG before the first FROM, and use its name",
        ),
        ("ENV A", Error, "missing-value", "A", "write it as NAME=VALUE"),
        ("ENV A=b c", Error, "missing-equals", "c", "put the value in quotes if it has blanks"),
        ("LABEL =b", Error, "blank-name", "=b", ""),
        ("FROM a b", Error, "invalid-from", "a b", "write it as FROM IMAGE, or FROM IMAGE AS NAME"),
        (
            "FROM a AS 1b",
            Error,
            "invalid-stage-name",
            "1b",
            "a name starts with a letter, and goes on with letters, digits, -, _ and .",
        ),
        ("EXPOSE", Error, "missing-argument", "EXPOSE", ""),
        ("WORKDIR", Error, "missing-argument", "WORKDIR", ""),
        ("COPY a", Error, "missing-destination", "a", ""),
        ("COPY a <<EOF\nEOF", Error, "heredoc-destination", "<<EOF", ""),
        (
            "SHELL /bin/sh",
            Error,
            "shell-not-json",
            "/bin/sh",
            "write it as SHELL [\"program\", \"argument\"]",
        ),
        ("CMD [\"a\", 1]", Error, "json-not-strings", "[\"a\", 1]", ""),
        ("VOLUME [\" \"]", Error, "empty-volume", "[\" \"]", ""),
        ("HEALTHCHECK FOO x", Error, "invalid-healthcheck", "FOO", "it is CMD or NONE"),
        ("HEALTHCHECK --interval=5 CMD x", Error, "invalid-healthcheck", "5", ""),
        ("HEALTHCHECK NONE x", Error, "invalid-healthcheck", "NONE", ""),
        ("ONBUILD FROM x", Error, "invalid-trigger", "FROM", ""),
        ("ONBUILD COPY x", Warning, "missing-destination", "x", "it fails when the trigger runs"),
        ("ARG --x A", Warning, "ignored-flag", "--x", ""),
        ("RUN", Warning, "empty-command", "RUN", ""),
        (
            "RUN <<EOF\nx",
            Error,
            "unterminated-heredoc",
            "RUN <<EOF",
            "a line with nothing but EOF must follow",
        ),
    ];
    for (line, severity, code, place, hint) in cases {
        let expected = (severity, code, place.to_owned(), hint.to_owned());
        assert_eq!(faults(&format!("FROM x\n{line}\n")), [expected], "{line}");
    }
}

#[test]
fn directives_are_checked() {
    let repeated = faults("# escape=`\n# escape=\\\nFROM a\n");
    assert_eq!(repeated[0].1, "repeated-directive");
    let invalid = faults("# escape=x\nFROM a\n");
    assert_eq!((invalid[0].1, invalid[0].2.as_str()), ("invalid-escape", "x"));
    let check = faults("# check=skp=all\nFROM a\n");
    assert_eq!((check[0].1, check[0].3.as_str()), ("invalid-check", "did you mean skip?"));
}

#[test]
fn files_with_nothing_in_them_say_so() {
    for text in ["", "\n\n", "# note\n", "\u{feff}"] {
        assert_eq!(
            faults(text).iter().map(|fault| fault.1).collect::<Vec<_>>(),
            ["no-instructions"],
            "{text:?}"
        );
    }
}
