//! Any bytes are a Dockerfile that can be printed again, whose faults lie in it, and whose stages can be asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore_dockerfile::{MountSpec, StageGraph, StageOptions, detect_syntax, expand, instruction, parse, print};

fuzz_target!(|source: &[u8]| {
    let parsed = parse(source);
    assert_eq!(print(&parsed.file), source);
    for diagnostic in &parsed.diagnostics {
        assert!(diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end <= source.len());
    }
    for found in &parsed.file.instructions {
        assert!(found.span.start <= found.span.end && found.span.end <= source.len());
        if let instruction::InstructionKind::Run(run) = &found.kind {
            for mount in &run.mounts {
                let _ = MountSpec::read(mount, &|word| expand(word, parsed.file.escape, &|_| None));
            }
        }
    }
    let _ = detect_syntax(source);
    let options = StageOptions {
        build_args: &[],
        target: None,
        build_platform: "linux/amd64",
        target_platform: "linux/amd64",
        contexts: &[],
    };
    if let Ok(graph) = StageGraph::of(&parsed.file, &options) {
        assert!(graph.needed(graph.target).contains(&graph.target));
    }
});
