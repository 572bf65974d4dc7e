//! Inputs made to take long. Each is large enough that work in proportion to its square would take minutes; the limit is far above
//! what a busy machine needs for work in proportion to its length.

use std::time::{Duration, Instant};

use longshore_dockerfile::{IgnoreRules, StageGraph, StageOptions, expand, parse, wildcard};

const LIMIT: Duration = Duration::from_secs(60);

fn build(source: &[u8]) {
    let parsed = parse(source);
    let options = StageOptions {
        build_args: &[],
        target: None,
        build_platform: "linux/amd64",
        target_platform: "linux/amd64",
        contexts: &[],
    };
    let _ = StageGraph::of(&parsed.file, &options);
}

#[test]
fn files_take_time_in_proportion_to_their_length() {
    let many = |line: &str, count: usize| line.repeat(count).into_bytes();
    let numbered =
        |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>().into_bytes();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("open heredocs", numbered(15_000, &|index| format!("RUN <<E{index}\n"))),
        ("one heredoc name", many("RUN <<E\nE\n", 15_000)),
        ("many heredocs on a line", [b"FROM a\nRUN ".to_vec(), many("<<E ", 100_000)].concat()),
        ("continuations", many("RUN a \\\n", 200_000)),
        ("comments in an instruction", [b"RUN a \\\n".to_vec(), many("# x\n", 200_000)].concat()),
        ("unknown words", many("FROOM x\n", 15_000)),
        ("a long unknown word", many("x", 2_000_000)),
        ("flags", [b"FROM a\nRUN ".to_vec(), many("--x=y ", 50_000)].concat()),
        ("pairs", [b"FROM a\nENV ".to_vec(), many("a=b ", 200_000)].concat()),
        ("quotes", [b"FROM a\nENV a=".to_vec(), many("\"'", 500_000)].concat()),
        ("arrays", [b"FROM a\nCMD ".to_vec(), many("[", 1_000_000)].concat()),
        ("dollars", [b"FROM a\nRUN << ".to_vec(), many("${a:-", 200_000)].concat()),
        (
            "stages",
            numbered(20_000, &|index| format!("FROM a AS s{index}\nCOPY --from=s{} a b\n", index / 2)),
        ),
        (
            "stages in each other",
            numbered(20_000, &|index| format!("FROM s{} AS s{}\n", index + 1, index + 2)),
        ),
        ("arguments", numbered(50_000, &|index| format!("ARG a{}=$a{index}\n", index + 1))),
        ("mounts", [b"FROM a\nRUN --mount=".to_vec(), many("ro,", 200_000)].concat()),
        ("no text", vec![0xff; 1_000_000]),
        ("zeros", vec![0; 1_000_000]),
    ];
    for (name, source) in cases {
        let start = Instant::now();
        build(&source);
        assert!(start.elapsed() < LIMIT, "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn words_take_time_in_proportion_to_their_length() {
    let value = "ab/".repeat(20_000);
    let lookup = |_: &str| Some(value.clone());
    let cases = [
        "${a:-".repeat(90) + &"x".repeat(100_000) + &"}".repeat(90),
        "${a//*b*a/x}".to_owned(),
        "${a%%*a*b*a*b*a*c}".to_owned(),
        "${a##*a*b*a*b*a*c}".to_owned(),
        format!("${{a#{}}}", "?".repeat(1_000)),
        "'".repeat(1_000_001),
    ];
    for word in cases {
        let start = Instant::now();
        let _ = expand(&word, '\\', &lookup);
        assert!(start.elapsed() < LIMIT, "{} took {:?}", &word[..word.len().min(30)], start.elapsed());
    }
}

#[test]
fn patterns_take_time_in_proportion_to_their_length() {
    let path = "a".repeat(5_000);
    let start = Instant::now();
    assert_eq!(wildcard::matches(&("*a".repeat(30) + "b*a"), &path), Ok(false));
    assert_eq!(wildcard::matches(&("*a".repeat(200) + "b*a"), &path), Ok(false));
    let rules =
        IgnoreRules::parse(("**/a*".repeat(20) + "b*/\n" + &"a*".repeat(200) + "b*").as_bytes()).unwrap();
    assert!(!rules.matches(&path));
    assert!(!rules.matches(&"a/".repeat(300)));
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}
