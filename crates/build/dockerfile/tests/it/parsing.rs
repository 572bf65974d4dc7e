//! What the parser makes of whole files.

use longshore_dockerfile::instruction::{CommandLine, InstructionKind, Source};
use longshore_dockerfile::{StageGraph, StageOptions, parse, print};

const OPTIONS: StageOptions<'_> = StageOptions {
    build_args: &[],
    target: None,
    build_platform: "linux/amd64",
    target_platform: "linux/amd64",
    contexts: &[],
};

#[test]
fn a_usual_file() {
    let text = "# syntax=docker/dockerfile:1\n# escape=\\\n# note\nARG GO=1.26\nFROM golang:${GO} AS Build\nWORKDIR /src\n\
        COPY --chown=1:2 . .\nRUN --mount=type=cache,target=/root/.cache \\\n  # why\n\n  go build && \\\n  true\n\
        RUN <<EOF\necho hi\nEOF\nFROM scratch\nCOPY --from=build <<A /src/x /y/\none\nA\nCMD [\"/x\"]\n";
    let parsed = parse(text.as_bytes());
    assert_eq!(parsed.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["empty-continuation"]);
    let file = parsed.file;
    assert_eq!(print(&file), text.as_bytes());
    assert_eq!(file.directives.len(), 2);
    assert_eq!(file.comments.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["note", "why"]);
    assert_eq!(file.instructions.len(), 9);
    let InstructionKind::Run(run) = &file.instructions[4].kind else { panic!() };
    assert_eq!(run.mounts.len(), 1);
    let CommandLine::Shell(line) = &run.command else { panic!() };
    assert_eq!(line.text, "go build &&   true");
    let InstructionKind::Run(run) = &file.instructions[5].kind else { panic!() };
    assert_eq!(run.heredocs[0].content, "echo hi\n");
    let InstructionKind::Copy(copy) = &file.instructions[7].kind else { panic!() };
    assert!(matches!(&copy.sources[0], Source::Heredoc(heredoc) if heredoc.content == "one\n"));
    let graph = StageGraph::of(&file, &OPTIONS).unwrap();
    assert_eq!(graph.needed(graph.target), [0, 1]);
    assert_eq!(graph.stages[0].name.as_deref(), Some("build"));
}
