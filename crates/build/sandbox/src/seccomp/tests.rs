//! What filters decide, worked out for every kind of call.

use std::collections::BTreeSet;

use super::emulate::emulate;
use super::profile::{Surroundings, compile};
use super::*;
use crate::capabilities;

const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const ASK: u32 = 0x7fc0_0000;
const KILL: u32 = 0;

const DEFAULT: u64 = capabilities::DEFAULT.bits();
const AROUND: Surroundings = Surroundings { capabilities: DEFAULT, kernel: (6, 1) };

/// What a program answers.
pub(super) fn answer(program: &[Instruction], machine: u32, number: u32, arguments: [u64; 6]) -> Option<u32> {
    let plain = program.iter().map(|step| (step.operation, step.yes, step.no, step.value));
    emulate(&plain.collect::<Vec<_>>(), machine, number, arguments)
}

fn bits(names: &[&str]) -> u64 {
    names.iter().map(|name| 1 << capabilities::number(name).unwrap()).sum()
}

/// What Docker's default profile says of these calls depends on their arguments.
const BY_ARGUMENTS: [&str; 4] = ["clone", "clone3", "personality", "socket"];

/// recorded/default.json is Docker's, as it is: `go mod download -json github.com/moby/profiles/seccomp@v0.3.0` tells where it lies.
#[test]
fn the_default_profile_is_dockers_for_every_capability() {
    let text = include_str!("recorded/default.json");
    let all = (1 << 41) - 1;
    let others = (0..41).map(|number| DEFAULT ^ 1 << number);
    let mut programs = BTreeSet::new();
    let mut arguments: Vec<u64> = (0..64).chain((0..64).map(|bit| 1 << bit)).collect();
    arguments.extend([0x2_0008, 0x2_0009, 0xffff_ffff, 0x1_ffff_ffff, 0x1_0000_0002, 0x7e02_0011, u64::MAX]);
    for capabilities in [DEFAULT, 0, all].into_iter().chain(others) {
        let docker = compile(text, Surroundings { capabilities, kernel: (6, 1) }).unwrap();
        let ours = default_profile(capabilities);
        programs.insert(ours.to_bytes());
        let mut compared = 0;
        for (machine, column) in MACHINES {
            let varied: Vec<u32> =
                BY_ARGUMENTS.iter().filter_map(|name| calls::find(name)?.number(column)).collect();
            for number in (0..1000).chain([0xf_0001, 0xf_0005, 0x4000_0000, u32::MAX]) {
                let arguments = if varied.contains(&number) { &arguments } else { &arguments[..1] };
                for argument in arguments {
                    let arguments = [*argument, 0, 0, 0, 0, 0];
                    let told = answer(&ours.instructions, machine, number, arguments);
                    let expected = answer(&docker.instructions, machine, number, arguments);
                    assert_eq!(told, expected, "{capabilities:x}: {number} of {machine:x}, {argument:#x}");
                    compared += usize::from(told.is_some());
                }
            }
        }
        assert!(compared > 2 * 1000 + 7 * arguments.len(), "{compared}");
    }
    // SYS_ADMIN, SYS_PTRACE, SYS_CHROOT and their like each change it, as do none and all.
    assert!(programs.len() > 14, "{}", programs.len());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_default_profile_decides_as_dockers_does() {
    let (long, short) = (0xc000_003e, 0x4000_0003);
    let (plain, admin) = (DEFAULT, DEFAULT | bits(&["SYS_ADMIN"]));
    let cases = [
        ("read", plain, long, 0, 0, ALLOW),
        ("mount", plain, long, 165, 0, EPERM),
        ("mount by an administrator", admin, long, 165, 0, ALLOW),
        ("unshare", plain, long, 272, 0, EPERM),
        ("setns", plain, long, 308, 0, EPERM),
        ("keyctl", plain, long, 250, 0, EPERM),
        ("keyctl by an administrator", admin, long, 250, 0, EPERM),
        ("add_key", plain, long, 248, 0, EPERM),
        ("bpf", plain, long, 321, 0, EPERM),
        ("bpf with its own capability", plain | bits(&["BPF"]), long, 321, 0, ALLOW),
        ("ptrace", plain, long, 101, 0, ALLOW),
        ("chroot", plain, long, 161, 0, ALLOW),
        ("chroot without its capability", 0, long, 161, 0, EPERM),
        ("clone of a process", plain, long, 56, 0x0120_0011, ALLOW),
        ("clone of a user namespace", plain, long, 56, 0x1000_0011, EPERM),
        ("clone of a user namespace by an administrator", admin, long, 56, 0x1000_0011, ALLOW),
        ("clone with high bits", plain, long, 56, 0x1000_0011 << 32, ALLOW),
        ("clone3", plain, long, 435, 0, ENOSYS),
        ("clone3 by an administrator", admin, long, 435, 0, ALLOW),
        ("io_uring_setup", plain, long, 425, 0, EPERM),
        ("a call from the future", plain, long, 480, 0, ENOSYS),
        ("x32", plain, long, 0x4000_0000, 0, ENOSYS),
        ("socket UNSPEC", plain, long, 41, 0, ALLOW),
        ("socket UNIX", plain, long, 41, 1, ALLOW),
        ("socket 3", plain, long, 41, 3, EPERM),
        ("socket MCTP", plain, long, 41, 45, ALLOW),
        ("socket ALG", plain, long, 41, 38, EPERM),
        ("socket VSOCK", plain, long, 41, 40, EPERM),
        ("socket with high bits", plain, long, 41, 0x1_0000_0007, EPERM),
        ("personality of a question", plain, long, 135, 0xffff_ffff, ALLOW),
        ("personality without random addresses", plain, long, 135, 0x4_0000, EPERM),
        ("32-bit socketcall", plain, short, 102, 0, ALLOW),
        ("32-bit mount", plain, short, 21, 0, EPERM),
        ("32-bit chown32", plain, short, 212, 0, ALLOW),
        ("another machine", plain, 0xc000_00b7, 0, 0, KILL),
    ];
    for (name, capabilities, machine, number, argument, expected) in cases {
        let told =
            answer(&default_profile(capabilities).instructions, machine, number, [argument, 0, 0, 0, 0, 0]);
        assert_eq!(told, Some(expected), "{name}: {told:x?}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn only_the_named_calls_are_asked_about() {
    let always = |name| numbers_of(name).map(|number| Asked { number, condition: None });
    let making = numbers_of("openat").map(|number| Asked { number, condition: Some((2, 0o100)) });
    let calls: Vec<Asked> = always("chown").chain(always("chown32")).chain(making).collect();
    let filter = supervised(&calls);
    for (machine, number, argument, expected) in [
        (0xc000_003e, 92, 0, ASK),
        (0xc000_003e, 212, 0, ALLOW),
        (0xc000_003e, 257, 0o101, ASK),
        (0xc000_003e, 257, 0o2, ALLOW),
        (0x4000_0003, 182, 0, ASK),
        (0x4000_0003, 212, 0, ASK),
        (0xc000_00b7, 92, 0, ALLOW),
    ] {
        let told = answer(&filter, machine, number, [argument; 6]);
        assert_eq!(told, Some(expected), "{machine:x} {number}");
    }
}

#[test]
fn no_program_is_longer_than_the_kernel_takes() {
    for capabilities in [0, DEFAULT, u64::MAX] {
        let length = default_profile(capabilities).instructions.len();
        assert!((200..2048).contains(&length), "{length}");
    }
}

/// A profile that allows all but what these rules say.
fn lenient(rules: &str) -> String {
    format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rules}]}}"#)
}

#[test]
#[cfg(target_arch = "x86_64")]
fn profiles_decide_as_they_are_written() {
    const MKDIR: u32 = 83;
    const SOCKET: u32 = 41;
    let strict = |rules: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "architectures": ["SCMP_ARCH_X86"],
                "syscalls": [{{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}}, {rules}]}}"#
        )
    };
    let forbid = r#"{"names": ["mkdir", "a_call_of_tomorrow"], "action": "SCMP_ACT_ERRNO""#;
    let allow = r#"{"names": ["socket", "mkdir"], "action": "SCMP_ACT_ALLOW""#;
    let conditions = |text: &str| format!(r#"{allow}, "args": [{text}]}}"#);
    let error = |number: u32| 0x0005_0000 + number;
    let long = 0xc000_003e;
    type Case = (&'static str, String, u32, u32, [u64; 2], u32);
    let cases: &[Case] = &[
        ("a rule", lenient(&format!("{forbid}}}")), long, MKDIR, [0, 0], EPERM),
        ("what no rule names", lenient(&format!("{forbid}}}")), long, 84, [0, 0], ALLOW),
        ("an error", lenient(&format!("{forbid}, \"errnoRet\": 30}}")), long, MKDIR, [0, 0], error(30)),
        ("no error", lenient(&format!("{forbid}, \"errnoRet\": 0}}")), long, MKDIR, [0, 0], error(0)),
        ("a default error", strict(&format!("{allow}}}")), long, 57, [0, 0], error(13)),
        ("a newer call", strict(&format!("{allow}}}")), long, 84, [0, 0], ENOSYS),
        ("32-bit programs", strict(&format!("{allow}}}")), 0x4000_0003, 39, [0, 0], ALLOW),
        ("32-bit programs that are not named", lenient(""), 0x4000_0003, 39, [0, 0], KILL),
        ("x32 that is not named", lenient(""), long, 0x4000_0001, [0, 0], KILL),
        ("nothing at all, for a tracer", lenient(""), long, u32::MAX, [0, 0], ALLOW),
        ("a 32-bit socket through its gate", strict(&format!("{allow}}}")), 0x4000_0003, 102, [1, 0], ALLOW),
        ("another call through the gate", strict(&format!("{allow}}}")), 0x4000_0003, 102, [2, 0], error(13)),
        (
            "both conditions",
            strict(&conditions(
                r#"{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 1, "op": "SCMP_CMP_LE"}"#,
            )),
            long,
            SOCKET,
            [2, 1],
            ALLOW,
        ),
        (
            "one condition of two",
            strict(&conditions(
                r#"{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 1, "op": "SCMP_CMP_LE"}"#,
            )),
            long,
            SOCKET,
            [2, 2],
            error(13),
        ),
        (
            "one of two conditions on one argument",
            strict(&conditions(
                r#"{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}"#,
            )),
            long,
            SOCKET,
            [10, 0],
            ALLOW,
        ),
        (
            "bits of an argument",
            strict(&conditions(r#"{"index": 1, "value": 15, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}"#)),
            long,
            SOCKET,
            [0, 0xf3],
            ALLOW,
        ),
        (
            "one without conditions outdoes one before it",
            lenient(&format!(
                r#"{{"name": "mkdir", "action": "SCMP_ACT_LOG", "args": [{{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}}]}}, {forbid}}}"#
            )),
            long,
            MKDIR,
            [0, 5],
            EPERM,
        ),
        (
            "the first without conditions counts",
            lenient(&format!(r#"{{"name": "mkdir", "action": "SCMP_ACT_LOG"}}, {forbid}}}"#)),
            long,
            MKDIR,
            [0, 0],
            LOG,
        ),
    ];
    for (name, text, machine, number, [first, second], expected) in cases {
        let program = compile(text, AROUND).unwrap_or_else(|error| panic!("{name}: {error}"));
        let told = answer(&program.instructions, *machine, *number, [*first, *second, 0, 0, 0, 0]);
        assert_eq!(told, Some(*expected), "{name}: {told:x?}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn rules_hold_where_their_circumstances_do() {
    let cases = [
        (r#""includes": {"caps": ["CAP_CHOWN"]}"#, true),
        (r#""includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}"#, false),
        (r#""excludes": {"caps": ["CAP_SYS_ADMIN"]}"#, true),
        (r#""excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_CHOWN"]}"#, false),
        (r#""includes": {"arches": ["x86", "amd64"]}"#, true),
        (r#""includes": {"arches": ["s390x"]}"#, false),
        (r#""excludes": {"arches": ["amd64"]}"#, false),
        (r#""includes": {"minKernel": "6.1"}"#, true),
        (r#""includes": {"minKernel": "6.2"}"#, false),
        (r#""includes": {"minKernel": "5.20"}"#, true),
        (r#""excludes": {"minKernel": "4.8"}"#, false),
        (r#""includes": {"caps": ["CAP_CHOWN"]}, "excludes": {"arches": ["amd64"]}"#, false),
        (r#""includes": {}, "excludes": {"caps": null}, "args": null, "comment": "text""#, true),
    ];
    for (circumstances, holds) in cases {
        let text =
            lenient(&format!(r#"{{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", {circumstances}}}"#));
        let program = compile(&text, AROUND).unwrap();
        let told = answer(&program.instructions, 0xc000_003e, 83, [0; 6]);
        assert_eq!(told, Some(if holds { EPERM } else { ALLOW }), "{circumstances}");
    }
}

#[test]
fn the_machines_of_a_map_are_those_of_this_one() {
    let entry = |first: &str, second: &str| {
        format!(r#"{{"architecture": "SCMP_ARCH_{first}", "subArchitectures": ["SCMP_ARCH_{second}"]}}"#)
    };
    let map = [entry("S390X", "S390"), entry("X86_64", "X86"), entry("AARCH64", "ARM")].join(",");
    let text = format!(r#"{{"defaultAction": "SCMP_ACT_LOG", "archMap": [{map}]}}"#);
    let program = compile(&text, AROUND).unwrap();
    for (machine, _) in MACHINES {
        assert_eq!(answer(&program.instructions, machine, 1, [0; 6]), Some(LOG), "{machine:x}");
    }
    let program = compile(r#"{"defaultAction": "SCMP_ACT_LOG"}"#, AROUND).unwrap();
    assert_eq!(answer(&program.instructions, MACHINES[0].0, 1, [0; 6]), Some(LOG));
    assert_eq!(answer(&program.instructions, MACHINES[1].0, 1, [0; 6]), Some(KILL));
}

#[test]
fn what_cannot_be_is_told() {
    let rule = |text: &str| lenient(&format!(r#"{{"names": ["mkdir"], {text}}}"#));
    let argument = |text: &str| rule(&format!(r#""action": "SCMP_ACT_ERRNO", "args": [{{{text}}}]"#));
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "it is no profile in Docker's form: EOF while parsing"),
        ("[]".to_owned(), "it is no profile in Docker's form: invalid length 0"),
        ("{}".to_owned(), "it has no defaultAction"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "sycalls": []}"#.to_owned(),
            "it is no profile in Docker's form: unknown field `sycalls`, expected one of `defaultAction`",
        ),
        (r#"{"defaultAction": "ALLOW"}"#.to_owned(), "defaultAction: unknown action `ALLOW`"),
        (
            r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#.to_owned(),
            "defaultAction: SCMP_ACT_NOTIFY hands calls to another program",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent"}"#.to_owned(),
            "the profile: listenerPath hands calls to another program",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FAST"]}"#.to_owned(),
            "flags: unknown flag `FAST`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5000}"#.to_owned(),
            "defaultAction: 5000 is no error number",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]}"#.to_owned(),
            "architectures: unknown machine `SCMP_ARCH_Z80`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
                "archMap": [{"architecture": "SCMP_ARCH_ARM", "subArchitectures": null}]}"#
                .to_owned(),
            "the profile has both `architectures` and `archMap`",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]}"#
                .to_owned(),
            "it lets no program start: execve is refused",
        ),
        (
            lenient(r#"{"names": ["execve"], "action": "SCMP_ACT_KILL"}"#),
            "it lets no program start: execve is refused",
        ),
        (lenient(r#"{"action": "SCMP_ACT_LOG"}"#), "syscalls[0] has no `names`"),
        (rule(r#""name": "rmdir", "action": "SCMP_ACT_LOG""#), "syscalls[0] has both `name` and `names`"),
        (rule(r#""actoin": "SCMP_ACT_LOG""#), "unknown field `actoin`"),
        (rule(r#""action": "SCMP_ACT_FLY""#), "syscalls[0] (mkdir): unknown action `SCMP_ACT_FLY`"),
        (rule(r#""action": "SCMP_ACT_TRACE""#), "syscalls[0] (mkdir): SCMP_ACT_TRACE hands calls"),
        (
            rule(r#""action": "SCMP_ACT_ERRNO", "errno": "EACCES""#),
            "syscalls[0] (mkdir): the error is named `EACCES`",
        ),
        (
            argument(r#""index": 6, "op": "SCMP_CMP_EQ""#),
            "syscalls[0] (mkdir): there is no argument of index 6",
        ),
        (
            argument(r#""index": 0, "op": "SCMP_CMP_LIKE""#),
            "syscalls[0] (mkdir): unknown comparison `SCMP_CMP_LIKE`",
        ),
        (argument(r#""index": 0, "value": -1, "op": "SCMP_CMP_EQ""#), "invalid value: integer `-1`"),
        (
            rule(r#""action": "SCMP_ACT_LOG", "includes": {"caps": ["SYS_ADMIN"]}"#),
            "syscalls[0] (mkdir): unknown capability `SYS_ADMIN`",
        ),
        (
            rule(r#""action": "SCMP_ACT_LOG", "excludes": {"minKernel": "5.10.1"}"#),
            "syscalls[0] (mkdir): minKernel `5.10.1` is no version of Linux",
        ),
    ];
    for (text, told) in cases {
        match compile(&text, AROUND) {
            Ok(_) => panic!("{text}: taken"),
            Err(error) => assert!(error.to_string().contains(told), "{text}: {error}"),
        }
    }
}

#[test]
fn what_no_filter_has_room_for_is_told() {
    let condition = |value: u32| format!(r#"{{"index": 0, "value": {value}, "op": "SCMP_CMP_NE"}}"#);
    let profile = |calls: usize, conditions: u32| {
        let names = vec![r#""mkdir""#; calls].join(",");
        let conditions: Vec<String> = (0..conditions).map(condition).collect();
        let conditions = conditions.join(",");
        lenient(&format!(r#"{{"names": [{names}], "action": "SCMP_ACT_LOG", "args": [{conditions}]}}"#))
    };
    let error = compile(&profile(1, 1000), AROUND).unwrap_err();
    assert!(matches!(error, ProfileError::TooLong(length) if length > 4096), "{error}");
    assert!(error.hint().is_some());
    let error = compile(&profile(10_000, 10_000), AROUND).unwrap_err();
    assert!(matches!(error, ProfileError::TooMany), "{error}");
    assert!(compile(&profile(10_000, 0), AROUND).is_ok());
}

#[test]
fn versions_of_linux_are_read() {
    for (release, expected) in
        [("6.1.0-18-amd64", (6, 1)), ("5.10", (5, 10)), ("4.8-rc5", (4, 8)), ("6", (6, 0)), ("x", (0, 0))]
    {
        assert_eq!(version(release), expected, "{release}");
    }
}
