//! The graph of stages.

use longshore_dockerfile::{Base, Need, NeededSource, StageGraph, StageOptions, parse};

const OPTIONS: StageOptions<'_> = StageOptions {
    build_args: &[],
    target: None,
    build_platform: "linux/amd64",
    target_platform: "linux/arm/v7",
    contexts: &[],
};

fn graph(text: &str, options: &StageOptions<'_>) -> Result<StageGraph, Vec<(&'static str, String, String)>> {
    let parsed = parse(text.as_bytes());
    StageGraph::of(&parsed.file, options).map_err(|problems| {
        let row = |problem: longshore_dockerfile::Diagnostic| {
            (problem.code, parsed.file.text(&problem.span), problem.hint.unwrap_or_default())
        };
        problems.into_iter().map(row).collect()
    })
}

fn sources(needs: &[Need]) -> Vec<NeededSource> {
    needs.iter().map(|need| need.source.clone()).collect()
}

const FILE: &str = "ARG TAG=1\nARG FULL=golang:${TAG}-$TARGETARCH\nFROM --platform=$BUILDPLATFORM $FULL AS Build\nRUN a\n\
    FROM build AS test\nRUN go test\nFROM alpine AS lint\nFROM scratch\nCOPY --from=0 /a /a\nCOPY --from=BUILD /b /b\n\
    RUN --mount=type=bind,from=alpine:3,target=/m --mount=from=lint,target=/l x\n";

#[test]
fn stages_know_what_they_stand_on_and_need() {
    let graph = graph(FILE, &OPTIONS).unwrap();
    let bases: Vec<_> = graph.stages.iter().map(|stage| (stage.label(), stage.base.clone())).collect();
    assert_eq!(
        bases,
        [
            ("build".to_owned(), Base::Image("golang:1-arm".into())),
            ("test".to_owned(), Base::Stage(0)),
            ("lint".to_owned(), Base::Image("alpine".into())),
            ("stage-3".to_owned(), Base::Scratch),
        ]
    );
    assert_eq!(graph.stages[0].platform.as_deref(), Some("linux/amd64"));
    assert_eq!(graph.global.get("FULL"), Some("golang:1-arm"));
    assert_eq!(graph.global.get("TARGETVARIANT"), Some("v7"));
    assert_eq!(
        sources(&graph.stages[3].needs),
        [
            NeededSource::Stage(0),
            NeededSource::Stage(0),
            NeededSource::Image("alpine:3".into()),
            NeededSource::Stage(2),
        ]
    );
    assert_eq!((graph.target, graph.needed(graph.target), graph.skipped()), (3, vec![0, 2, 3], vec![1]));
    assert_eq!(graph.stages[1].instructions.len(), 1);
}

#[test]
fn targets_are_found_by_name_and_index() {
    for (target, index) in [("TEST", 1), ("test", 1), ("2", 2)] {
        let graph = graph(FILE, &StageOptions { target: Some(target), ..OPTIONS }).unwrap();
        assert_eq!(graph.target, index);
    }
    let problem = graph(FILE, &StageOptions { target: Some("tset"), ..OPTIONS }).unwrap_err();
    assert_eq!(problem, [("unknown-target", String::new(), "did you mean test?".to_owned())]);
    let problem = graph(FILE, &StageOptions { target: Some("9"), ..OPTIONS }).unwrap_err();
    assert_eq!(problem[0].2, "the stages are build, test, lint");
}

#[test]
fn build_arguments_take_the_place_of_defaults() {
    let build_args = [("TAG".to_owned(), "x".to_owned()), ("TARGETARCH".to_owned(), "y".to_owned())];
    let graph = graph(FILE, &StageOptions { build_args: &build_args, ..OPTIONS }).unwrap();
    assert_eq!(graph.stages[0].base, Base::Image("golang:x-y".into()));
}

#[test]
fn contexts_take_the_place_of_stages() {
    let contexts = ["Test".to_owned(), "alpine".to_owned()];
    let graph = graph(FILE, &StageOptions { contexts: &contexts, target: Some("test"), ..OPTIONS }).unwrap();
    assert_eq!(graph.stages[1].base, Base::Context("test".into()));
    assert_eq!(graph.stages[1].instructions, []);
    assert_eq!(graph.needed(graph.target), [1]);
}

#[test]
fn triggers_of_a_stage_run_in_those_that_start_from_it() {
    let text = "FROM a AS tools\nFROM b AS base\nONBUILD COPY --from=tools /x /x\nFROM base\nRUN y\n";
    let graph = graph(text, &OPTIONS).unwrap();
    assert_eq!(graph.stages[2].triggers.len(), 1);
    assert_eq!(sources(&graph.stages[2].needs), [NeededSource::Stage(0)]);
    assert_eq!(graph.stages[2].needs[0].span, graph.stages[2].span);
    assert_eq!(graph.needed(2), [0, 1, 2]);
    assert_eq!(graph.needed(1), [1]);
}

#[test]
fn what_is_wrong_with_stages_is_said_with_its_place() {
    let row = |code, place: &str, hint: &str| vec![(code, place.to_owned(), hint.to_owned())];
    let variable = "define a stage with FROM, and an ARG before the first FROM, and use its name";
    let cases = [
        ("FROM a\nCOPY --from=0 x y\n", row("circular-stages", "0", "")),
        (
            "FROM a AS one\nCOPY --from=two x y\nFROM b AS two\nCOPY --from=one x y\n",
            row("circular-stages", "one", ""),
        ),
        ("FROM a AS one\nCOPY --from=two x y\nFROM b AS two\nFROM one\n", row("stage-order", "two", "")),
        ("FROM a\nCOPY --from=7 x y\n", row("invalid-stage-index", "7", "")),
        ("FROM a\nCOPY --from=$A x y\n", row("variable-in-from", "$A", variable)),
        ("ARG BASE\nFROM $BASES\n", row("empty-base", "$BASES", "declare ARG BASES before the first FROM")),
        ("ARG BASE=a\nFROM $BASES\n", row("empty-base", "$BASES", "did you mean BASE?")),
        ("FROM --platform=$X a\n", row("empty-base", "$X", "declare ARG X before the first FROM")),
        ("FROM ${A:?none}\n", row("cannot-expand", "${A:?none}", "give it with --build-arg A=VALUE")),
        ("ARG A=${\nFROM a\n", row("cannot-expand", "${", "escape the dollar sign if no variable is meant")),
        ("RUN x\nFROM a\n", row("before-first-stage", "RUN", "only ARG may stand before the first FROM")),
        ("ARG A\n", row("no-stages", "", "")),
    ];
    for (text, expected) in cases {
        assert_eq!(graph(text, &OPTIONS).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn an_order_that_the_target_does_not_need_is_a_warning() {
    let text = "FROM a AS one\nCOPY --from=two x y\nFROM b AS two\n";
    let graph = graph(text, &OPTIONS).unwrap();
    assert_eq!(graph.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["stage-order"]);
    assert_eq!(graph.warnings[0].message, "stage one needs stage two, which must be defined before it");
}
