//! Mounts: defaults, and what does not go together.

use longshore_dockerfile::mount::{MountKind, MountSpec, Sharing};
use longshore_dockerfile::{InstructionKind, expand, parse};

fn read(fields: &str) -> Result<MountSpec, String> {
    let parsed = parse(format!("FROM a\nRUN --mount={fields} x\n").as_bytes());
    if let Some(problem) = parsed.diagnostics.first() {
        return Err(problem.message.clone());
    }
    let InstructionKind::Run(run) = &parsed.file.instructions[1].kind else { panic!() };
    let lookup = |name: &str| (name == "ID").then(|| "7".to_owned());
    MountSpec::read(&run.mounts[0], &|word| expand(word, '\\', &lookup)).map_err(|problem| problem.message)
}

fn spec(kind: MountKind, target: Option<&str>, read_only: bool) -> MountSpec {
    MountSpec {
        kind,
        from: None,
        source: String::new(),
        target: target.map(str::to_owned),
        read_only,
        required: false,
        size: None,
        id: String::new(),
        sharing: Sharing::Shared,
        mode: None,
        uid: 0,
        gid: 0,
        has_owner: false,
        env: None,
    }
}

#[test]
fn defaults_are_upstreams() {
    let cases = [
        ("target=/x", spec(MountKind::Bind, Some("/x"), true)),
        (
            "type=bind,source=a,dst=/x,rw",
            MountSpec { source: "a".into(), ..spec(MountKind::Bind, Some("/x"), false) },
        ),
        ("from=b,target=", MountSpec { from: Some("b".into()), ..spec(MountKind::Bind, Some(""), true) }),
        (
            "type=cache,target=/root/./.cache/",
            MountSpec {
                id: "/root/.cache".into(),
                mode: Some(0o755),
                ..spec(MountKind::Cache, Some("/root/./.cache/"), false)
            },
        ),
        (
            "type=cache,id=c$ID,target=/c,sharing=locked,mode=0700,uid=$ID",
            MountSpec {
                id: "c7".into(),
                sharing: Sharing::Locked,
                mode: Some(0o700),
                uid: 7,
                has_owner: true,
                ..spec(MountKind::Cache, Some("/c"), false)
            },
        ),
        (
            "type=tmpfs,target=/t,size=64m",
            MountSpec { size: Some(64 << 20), ..spec(MountKind::Tmpfs, Some("/t"), false) },
        ),
        (
            "type=secret,id=a/token,required",
            MountSpec {
                id: "a/token".into(),
                required: true,
                mode: Some(0o400),
                ..spec(MountKind::Secret, Some("/run/secrets/token"), true)
            },
        ),
        (
            "type=secret,target=/etc/key,required=false",
            MountSpec {
                id: "key".into(),
                mode: Some(0o400),
                ..spec(MountKind::Secret, Some("/etc/key"), true)
            },
        ),
        (
            "type=secret,src=k,env=KEY",
            MountSpec {
                id: "k".into(),
                env: Some("KEY".into()),
                mode: Some(0o400),
                ..spec(MountKind::Secret, None, true)
            },
        ),
        (
            "type=ssh",
            MountSpec { id: "default".into(), mode: Some(0o600), ..spec(MountKind::Ssh, None, true) },
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(read(fields), Ok(expected), "{fields}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let cases = [
        ("target=/x,mode=0700", "mode is not allowed for mounts of type bind"),
        ("type=tmpfs,target=/x,uid=1", "uid is not allowed for mounts of type tmpfs"),
        ("type=cache,target=/x,size=1m", "unexpected key `size` for mount type `cache`"),
        ("required,type=secret,id=x", "unexpected key `required` for mount type `bind`"),
        ("type=secret", "a secret mount needs one of id, source and target"),
        ("type=secret,id=a,source=b", "a secret mount can not have both source and id"),
        ("type=secret,id=a,from=b", "a secret mount should not have a from"),
        ("type=ssh,source=b", "a mount of type ssh does not support source"),
        ("type=bind,target=/x,sharing=shared", "sharing is not allowed for mounts of type bind"),
        ("type=cache,target=/x,sharing=often", "invalid value for sharing: `often`"),
        ("type=cache,target=/x,mode=9", "invalid value for mode: `9`"),
        ("type=cache,target=/x,uid=$NONE", "invalid value for uid: ``"),
        ("type=cache,target=/..", "invalid mount target `/..`"),
        ("target=/x,ro=maybe", "invalid value for ro: `maybe`"),
        ("target=/x,size", "`size` in a mount must be a key=value pair"),
        ("type=cache,id=${,target=/x", "cannot expand `${`: the brace of ${ is not closed"),
    ];
    for (fields, message) in cases {
        assert_eq!(read(fields), Err(message.to_owned()), "{fields}");
    }
}
