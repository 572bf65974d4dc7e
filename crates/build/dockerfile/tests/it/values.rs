//! Durations, sizes, ports, signals, paths and the rest of the small values.

use longshore_dockerfile::directive::CheckOptions;
use longshore_dockerfile::ports::Ports;
use longshore_dockerfile::{Word, arguments, durations, paths, signals, sizes, values};

#[test]
fn durations_are_gos() {
    let cases = [
        ("30s", Some(30_000_000_000)),
        ("1m30s", Some(90_000_000_000)),
        ("1.5h", Some(5_400_000_000_000)),
        ("-1ms", Some(-1_000_000)),
        ("0", Some(0)),
        (".5us", Some(500)),
        ("1µs", Some(1_000)),
        ("0.3333333333333333333h", Some(1_200_000_000_000 - 1)),
        ("9223372036854775807ns", Some(i64::MAX)),
        ("-9223372036854775808ns", Some(i64::MIN)),
        ("9223372036854775808ns", None),
        ("3000000h", None),
        ("", None),
        ("5", None),
        ("s", None),
        (".s", None),
        ("1x", None),
        ("1s ", None),
    ];
    for (text, expected) in cases {
        assert_eq!(durations::parse(text).ok(), expected, "{text}");
    }
    assert_eq!(durations::parse("5").unwrap_err().to_string(), "missing unit in duration `5`");
    assert_eq!(durations::parse("5x").unwrap_err().to_string(), "unknown unit `x` in duration `5x`");
}

#[test]
fn sizes_are_powers_of_1024() {
    let cases = [
        ("1", Some(1)),
        ("64m", Some(64 << 20)),
        ("1.5 GiB", Some(3 << 29)),
        ("2KB", Some(2048)),
        ("7b", Some(7)),
        ("-1", None),
        ("x", None),
        ("1kx", None),
        ("1e30", None),
    ];
    for (text, expected) in cases {
        assert_eq!(sizes::parse(text).ok(), expected, "{text}");
    }
}

#[test]
fn ports_are_read_in_all_their_forms() {
    let cases: [(&str, Option<&[&str]>); 14] = [
        ("80", Some(&["80/tcp"])),
        ("80/UDP", Some(&["80/udp"])),
        ("80/", Some(&["80/tcp"])),
        ("8000-8002/sctp", Some(&["8000/sctp", "8001/sctp", "8002/sctp"])),
        ("8080:80", Some(&["80/tcp"])),
        ("127.0.0.1:8080:80", Some(&["80/tcp"])),
        ("[::1]:8080:80", Some(&["80/tcp"])),
        ("65536", None),
        ("2-1", None),
        ("80/http", None),
        ("", None),
        ("/tcp", None),
        ("x:1:2", None),
        ("1-2:1-3", None),
    ];
    for (text, expected) in cases {
        let names = Ports::parse(text).ok().map(|ports| ports.names().collect::<Vec<_>>());
        let expected = expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names, expected, "{text}");
    }
    assert!(Ports::parse("1:2").unwrap().has_host);
}

#[test]
fn signals_have_numbers() {
    let cases = [
        ("TERM", Some(15)),
        ("sigint", Some(2)),
        ("9", Some(9)),
        ("SIGRTMIN+3", Some(37)),
        ("RTMAX-1", Some(63)),
        ("RTMIN+03", None),
        ("RTMIN+16", None),
        ("0", None),
        ("FOO", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(signals::number(text), expected, "{text}");
    }
}

#[test]
fn paths_are_cleaned_as_go_does() {
    let cases = [
        ("", "."),
        ("/", "/"),
        ("a//b/./c/..", "a/b"),
        ("../../a", "../../a"),
        ("/../a", "/a"),
        ("a/../..", ".."),
    ];
    for (path, expected) in cases {
        assert_eq!(paths::clean(path), expected, "{path}");
    }
    let bases = [("", "."), ("/", "/"), ("///", "/"), ("a/b/", "b"), ("a", "a")];
    for (path, expected) in bases {
        assert_eq!(paths::base(path), expected, "{path}");
    }
}

#[test]
fn automatic_arguments_follow_the_platforms() {
    let given = [("BUILDOS".to_owned(), "plan9".to_owned())];
    let arguments = arguments::platform_arguments("linux/amd64", "windows(10.0.1)/arm/v7", None, &given);
    let lines: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        lines,
        [
            "BUILDPLATFORM=linux/amd64",
            "BUILDOS=plan9",
            "BUILDOSVERSION=",
            "BUILDARCH=amd64",
            "BUILDVARIANT=",
            "TARGETPLATFORM=windows(10.0.1)/arm/v7",
            "TARGETOS=windows",
            "TARGETOSVERSION=10.0.1",
            "TARGETARCH=arm",
            "TARGETVARIANT=v7",
            "TARGETSTAGE=default",
        ]
    );
    assert!(arguments::is_proxy("https_proxy") && !arguments::is_proxy("PROXY"));
}

#[test]
fn checks_are_configured() {
    let read = |text: &str| CheckOptions::read(&Word { text: text.to_owned(), span: 0..text.len() });
    let options = read("skip=A,B;error=true;experimental=all").unwrap();
    assert_eq!(
        (options.skip, options.experimental, options.error),
        (vec!["A".into(), "B".into()], vec!["all".into()], true)
    );
    assert_eq!(read("skip=A, B").unwrap().skip, ["A", ""]);
    for text in ["skip", "error=maybe", "skp=all"] {
        assert_eq!(read(text).unwrap_err().code, "invalid-check", "{text}");
    }
}

#[test]
fn lists_of_pairs_are_kept_in_order() {
    let mut list = vec!["A=1".to_owned(), "B=2=3".to_owned()];
    values::set(&mut list, "A", "9");
    values::set(&mut list, "C", "");
    assert_eq!(list, ["A=9", "B=2=3", "C="]);
    assert_eq!((values::key_value("B=2=3"), values::key_value("B")), (("B", "2=3"), ("B", "")));
    assert_eq!((values::boolean("T"), values::boolean("yes")), (Some(true), None));
}
