//! What holds for every input.

use longshore_dockerfile::instruction::{CommandLine, Instruction, InstructionKind, Source, Span, Word};
use longshore_dockerfile::{
    Expander, IgnoreRules, Parsed, StageGraph, StageOptions, expand, parse, parse_trigger, print, wildcard,
};
use proptest::prelude::*;

/// Pieces that Dockerfiles are made of, so that random texts get far into the parser.
fn dockerfile_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "FROM ",
            "RUN ",
            "COPY ",
            "ADD ",
            "ENV ",
            "ARG ",
            "LABEL ",
            "CMD ",
            "ENTRYPOINT ",
            "ONBUILD ",
            "HEALTHCHECK ",
            "EXPOSE ",
            "SHELL ",
            "VOLUME ",
            "USER ",
            "WORKDIR ",
            "STOPSIGNAL ",
            "MAINTAINER ",
            "from ",
            "\n",
            "\n",
            "\n",
            "\r\n",
            "\\\n",
            "`\n",
            "# ",
            "# syntax=",
            "# escape=`\n",
            "# check=",
            "--mount=type=cache,target=/x ",
            "--mount=",
            "--from=",
            "--chown=a ",
            "<<EOF",
            "<<-EOF",
            "<<\"A B\"",
            "EOF\n",
            "\tEOF\n",
            "A B\n",
            "[\"a\", \"b\"]",
            "[",
            "\"",
            "'",
            "$",
            "${",
            "}",
            ":-",
            "=",
            "a",
            "a=b",
            " AS x",
            "scratch",
            " ",
            "\t",
            "\\",
            "é",
            "\u{feff}",
            "\u{2003}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn spans(instruction: &Instruction) -> Vec<Span> {
    let mut spans = vec![instruction.span.clone(), instruction.keyword.span.clone()];
    let mut words: Vec<&Word> = Vec::new();
    match &instruction.kind {
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
            words.extend(pairs.iter().flat_map(|pair| [&pair.name, &pair.value]));
        }
        InstructionKind::Arg(arguments) => {
            words.extend(
                arguments
                    .iter()
                    .flat_map(|argument| [Some(&argument.name), argument.value.as_ref()])
                    .flatten(),
            );
        }
        InstructionKind::From(from) => {
            words.extend(
                [Some(&from.image), from.name.as_ref(), from.platform.as_ref()].into_iter().flatten(),
            );
        }
        InstructionKind::Copy(transfer) | InstructionKind::Add(transfer) => {
            words.push(&transfer.destination);
            words.extend(transfer.from.iter().chain(&transfer.exclude).chain(&transfer.chown));
            for source in &transfer.sources {
                match source {
                    Source::Path(word) => words.push(word),
                    Source::Heredoc(heredoc) => spans.push(heredoc.span.clone()),
                }
            }
        }
        InstructionKind::Run(run) => {
            if let CommandLine::Shell(word) = &run.command {
                words.push(word);
            }
            spans.extend(run.heredocs.iter().map(|heredoc| heredoc.span.clone()));
            spans.extend(run.mounts.iter().map(|mount| mount.span.clone()));
            words.extend(
                run.mounts.iter().flat_map(|mount| &mount.fields).filter_map(|(_, value)| value.as_ref()),
            );
        }
        InstructionKind::Expose(list) | InstructionKind::Volume(list) => words.extend(list),
        InstructionKind::Onbuild { instruction, .. } => spans.extend(self::spans(instruction)),
        _ => {}
    }
    spans.extend(words.into_iter().map(|word| word.span.clone()));
    spans
}

/// Every span lies in the source, and cuts no character in two where the source is text.
fn check_spans(source: &[u8], parsed: &Parsed) -> Result<(), TestCaseError> {
    let mut all: Vec<Span> = parsed.file.instructions.iter().flat_map(spans).collect();
    all.extend(parsed.diagnostics.iter().map(|diagnostic| diagnostic.span.clone()));
    all.extend(parsed.file.comments.iter().map(|comment| comment.span.clone()));
    for directive in &parsed.file.directives {
        all.extend([directive.span.clone(), directive.name.span.clone(), directive.value.span.clone()]);
    }
    let text = std::str::from_utf8(source);
    for span in all {
        prop_assert!(span.start <= span.end && span.end <= source.len(), "{span:?} of {}", source.len());
        if let Ok(text) = text {
            prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{span:?}");
        }
    }
    Ok(())
}

fn check(source: &[u8]) -> Result<(), TestCaseError> {
    let parsed = parse(source);
    prop_assert_eq!(print(&parsed.file), source);
    check_spans(source, &parsed)?;
    let mut last = 0;
    for instruction in &parsed.file.instructions {
        prop_assert!(instruction.span.start >= last, "instructions overlap");
        prop_assert_eq!(parsed.file.line_of(instruction.keyword.span.start) <= instruction.last_line, true);
        last = instruction.span.end;
        if let InstructionKind::Onbuild { text, .. } = &instruction.kind
            && !parsed.has_errors()
        {
            let _ = parse_trigger(text);
        }
    }
    prop_assert!(parsed.has_errors() || !parsed.file.instructions.is_empty());
    let options = StageOptions {
        build_args: &[],
        target: None,
        build_platform: "linux/amd64",
        target_platform: "linux/arm64",
        contexts: &[],
    };
    if let Ok(graph) = StageGraph::of(&parsed.file, &options) {
        let needed = graph.needed(graph.target);
        prop_assert_eq!(needed.len() + graph.skipped().len(), graph.stages.len());
        prop_assert_eq!(needed.last(), Some(&graph.target));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_and_printed(source in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&source)?;
    }

    #[test]
    fn files_are_read_and_printed(source in dockerfile_like()) {
        check(&source)?;
    }

    #[test]
    fn instructions_follow_from_their_own_text(source in dockerfile_like()) {
        // An instruction that stands alone and has no heredoc says the same when only it is read.
        let parsed = parse(&source);
        for instruction in parsed.file.instructions.iter().filter(|_| parsed.file.escape == '\\') {
            if instruction.text.contains("<<") || instruction.text.starts_with('#') || !instruction.text.is_ascii() {
                continue;
            }
            let ends_open = instruction.text.trim_end().ends_with('\\') || instruction.text.contains('\n');
            if ends_open || instruction.text.trim() != instruction.text || instruction.text.is_empty() {
                continue;
            }
            let again = parse(instruction.text.as_bytes());
            prop_assert_eq!(again.file.instructions.len(), 1);
            prop_assert_eq!(&again.file.instructions[0].text, &instruction.text);
            prop_assert_eq!(
                std::mem::discriminant(&again.file.instructions[0].kind),
                std::mem::discriminant(&instruction.kind)
            );
        }
    }

    #[test]
    fn words_are_expanded_or_refused(word in "[a-c$`\\\\'\"{}:?#%/<= +*-]{0,40}") {
        let lookup = |name: &str| (name.len() % 2 == 1).then(|| format!("{name}/{name} b"));
        let expanded = expand(&word, '\\', &lookup);
        // What holds nothing special comes out as it is.
        if !word.contains(['$', '\\', '\'', '"']) {
            prop_assert_eq!(expanded.as_ref(), Ok(&word));
        }
        // A second reading that keeps all that can be kept changes nothing but variables.
        let kept = Expander::new('\\', &|_| None).keeping_quotes().keeping_escapes().keeping_unset().expand(&word);
        if let Ok(kept) = kept && !word.contains('{') {
            let without_tail = word.strip_suffix('\\').filter(|rest| !kept.text.ends_with('\\') && !rest.is_empty());
            prop_assert_eq!(kept.text.as_str(), without_tail.unwrap_or(&word));
        }
    }

    #[test]
    fn rules_that_prune_lose_nothing(
        source in "([!ab/*?.\\[\\]^\\\\-]{0,8}\n){0,4}",
        path in "[ab./]{1,12}",
    ) {
        let Ok(rules) = IgnoreRules::parse(source.as_bytes()) else { return Ok(()) };
        let path = longshore_dockerfile::paths::clean(&format!("/{path}"));
        let path = path.trim_start_matches('/');
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        for folder in folders.filter(|folder| rules.matches(folder)) {
            prop_assert!(rules.matches(path) || rules.may_reinclude_below(folder), "{} in {}", path, folder);
        }
    }

    #[test]
    fn a_name_matches_itself_when_it_is_escaped(name in "[a-c*?/^-]{0,10}|\\PC{0,10}") {
        let escaped: String = name.chars().flat_map(|character| ['\\', character]).collect();
        prop_assert_eq!(wildcard::matches(&escaped, &name), Ok(true));
    }
}
