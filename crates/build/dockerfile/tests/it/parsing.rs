//! What the parser makes of whole files: the parts that upstream has no word for, such as spans and comments.

use longshore_dockerfile::instruction::{CommandLine, Instruction, InstructionKind, Run, Source};
use longshore_dockerfile::{Dockerfile, detect_check, detect_syntax, parse, parse_trigger, print};

fn clean(text: &str) -> Dockerfile {
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics, [], "{text}");
    parsed.file
}

fn run(instruction: &Instruction) -> &Run {
    match &instruction.kind {
        InstructionKind::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_guide_is_read_as_it_was_meant() {
    let text = "# syntax=docker/dockerfile:1\n# note\nARG GO=1.26\nFROM golang:${GO} AS Build\nRUN --mount=type=cache,target=/c \\\n  # why\n  go build && \\\n  true\nCMD [\"/x\"]\n";
    let file = clean(text);
    assert_eq!(print(&file), text.as_bytes());
    let keywords: Vec<&str> =
        file.instructions.iter().map(|instruction| instruction.keyword.text.as_str()).collect();
    assert_eq!(keywords, ["ARG", "FROM", "RUN", "CMD"]);
    let comments: Vec<(&str, usize)> =
        file.comments.iter().map(|comment| (comment.text.as_str(), comment.line)).collect();
    assert_eq!(comments, [("note", 2), ("why", 6)]);
    let step = &file.instructions[2];
    assert_eq!(step.text, "RUN --mount=type=cache,target=/c   go build &&   true");
    assert_eq!((step.line, step.last_line), (5, 8));
    assert_eq!(
        file.text(&step.span),
        "RUN --mount=type=cache,target=/c \\\n  # why\n  go build && \\\n  true"
    );
    let CommandLine::Shell(line) = &run(step).command else { panic!() };
    assert_eq!(line.text, "go build &&   true");
    assert_eq!(file.text(&line.span), "go build && \\\n  true");
    assert_eq!(file.text(&run(step).mounts[0].span), "type=cache,target=/c");
    let (key, value) = &run(step).mounts[0].fields[1];
    assert_eq!((key.as_str(), file.text(&value.as_ref().unwrap().span)), ("target", "/c".to_owned()));
    assert_eq!(file.line_of(step.span.start), 5);
    assert_eq!(file.line(6), Some("  # why".as_bytes()));
    assert_eq!(file.line(99), None);
}

#[test]
fn spans_count_the_byte_order_mark_and_carriage_returns() {
    let file = clean("\u{feff}# escape=`\r\nFROM a\r\nENV A=1 `\r\n    B=\"2 3\"\r\n");
    assert_eq!(file.escape, '`');
    let InstructionKind::Env(pairs) = &file.instructions[1].kind else { panic!() };
    let texts: Vec<_> = pairs.iter().flat_map(|pair| [&pair.name, &pair.value]).collect();
    assert_eq!(texts.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), ["A", "1", "B", "\"2 3\""]);
    assert_eq!(
        texts.iter().map(|word| file.text(&word.span)).collect::<Vec<_>>(),
        ["A", "1", "B", "\"2 3\""]
    );
    assert_eq!(file.directives[0].value.span, 12..13);
    assert_eq!(file.instructions[0].span, 15..21);
}

#[test]
fn bytes_that_are_no_text_keep_their_place() {
    let source = b"FROM a\nENV A=\xff\xfe B=x\n";
    let parsed = parse(source);
    assert_eq!(parsed.diagnostics, []);
    let InstructionKind::Env(pairs) = &parsed.file.instructions[1].kind else { panic!() };
    assert_eq!(pairs[0].value.text, "\u{fffd}\u{fffd}");
    assert_eq!(pairs[0].value.span, 13..15);
    assert_eq!(pairs[1].value.span, 18..19);
    assert_eq!(print(&parsed.file), source);
}

#[test]
fn heredocs_are_kept_with_their_places() {
    let file = clean("FROM a\nCOPY <<one <<-\"two\" x /d/\n1\none\n\t$2\n\ttwo\nRUN 3<<EOF cat\nEOF\n");
    let InstructionKind::Copy(copy) = &file.instructions[1].kind else { panic!() };
    let [Source::Heredoc(one), Source::Heredoc(two), Source::Path(path)] = &copy.sources[..] else {
        panic!()
    };
    assert_eq!((one.name.as_str(), one.expand, one.chomp, one.text().as_str()), ("one", true, false, "1\n"));
    assert_eq!((two.name.as_str(), two.expand, two.chomp, two.text().as_str()), ("two", false, true, "$2\n"));
    assert_eq!(file.text(&two.span), "\t$2\n");
    assert_eq!((path.text.as_str(), copy.destination.text.as_str()), ("x", "/d/"));
    assert_eq!(file.instructions[1].text, "COPY <<one <<-\"two\" x /d/");
    assert!(file.text(&file.instructions[1].span).ends_with("\n\ttwo"));
    let step = run(&file.instructions[2]);
    assert_eq!((step.heredocs[0].descriptor, step.heredocs[0].content.as_str()), (3, ""));
}

#[test]
fn triggers_are_read_now_and_later() {
    let file = clean("FROM a\nONBUILD COPY <<-E /x\n\tb\n\tE\n");
    let InstructionKind::Onbuild { text, instruction } = &file.instructions[1].kind else { panic!() };
    assert_eq!(text, "COPY <<-E /x\n\tb\nE");
    let later = parse_trigger(text).unwrap();
    let (InstructionKind::Copy(now), InstructionKind::Copy(later)) = (&instruction.kind, &later.kind) else {
        panic!()
    };
    let text_of = |source: &Source| match source {
        Source::Heredoc(heredoc) => heredoc.text(),
        Source::Path(word) => word.text.clone(),
    };
    assert_eq!(now.sources.iter().map(text_of).collect::<Vec<_>>(), ["b\n"]);
    assert_eq!(later.sources.iter().map(text_of).collect::<Vec<_>>(), ["b\n"]);
    assert_eq!(parse_trigger("RUN a\nRUN b").unwrap_err()[0].code, "invalid-trigger");
    assert_eq!(parse_trigger("FOO a").unwrap_err()[0].code, "unknown-instruction");
}

#[test]
fn syntax_is_found_in_all_its_forms() {
    let cases: [(&str, Option<(&str, usize)>); 9] = [
        ("# syntax=a/b:1\nFROM x", Some(("a/b:1", 1))),
        ("\u{feff}#syntax = a/b x\n", Some(("a/b x", 1))),
        ("#!/usr/bin/env x\n# syntax=a\n", Some(("a", 2))),
        ("// syntax=a\n", Some(("a", 1))),
        ("{\n \"x\": [{}, 1], \"syntax\": \"a\"}", Some(("a", 2))),
        ("# escape=`\n# syntax=a\n", Some(("a", 2))),
        ("# note\n# syntax=a\n", None),
        ("\n# syntax=a\n", None),
        ("# other=1\n# syntax=a\n", None),
    ];
    for (text, expected) in cases {
        let found = detect_syntax(text.as_bytes());
        let found = found.as_ref().map(|directive| (directive.value.text.as_str(), directive.line));
        assert_eq!(found, expected, "{text:?}");
    }
    assert_eq!(detect_check(b"# check=skip=all\n").unwrap().value.text, "skip=all");
}

#[test]
fn comments_above_an_instruction_are_its_own() {
    let file = clean("# top\n#\n# one\n# two\nFROM a\n# three\nRUN x\n");
    let above =
        |index| file.comments_above(index).iter().map(|comment| comment.text.as_str()).collect::<Vec<_>>();
    assert_eq!(above(0), ["one", "two"]);
    assert_eq!(above(1), ["three"]);
    assert_eq!(above(2), [""; 0]);
}
