//! Containers of a real engine, through the same calls as longshore's own.

use std::time::Duration;

use longshore_docker::{Address, Endpoint, Engine, EngineKind, EngineRuntime};
use longshore_events::Events;
use longshore_http::HttpSettings;
use longshore_image::archive::SavedImage;
use longshore_oci::Platform;
use longshore_runtime::{
    Capabilities, ContainerSettings, Execution, HealthSettings, HealthStatus, LogStream, MountSettings,
    MountSource, Resources, Runtime, RuntimeError, RuntimeErrorKind, Status,
};
use longshore_testkit::bases::{Bases, BasesError};
use longshore_testkit::{Dockerd, Folder, Requirement, Stop, Suite, TestResult};

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn add(suite: Suite) -> Suite {
    suite.test("docker_runs_containers_as_it_is_asked", &[Requirement::Containers], containers)
}

fn shell(script: &str) -> ContainerSettings {
    ContainerSettings {
        image: "busybox:1".to_owned(),
        entrypoint: Some(vec!["/bin/sh".to_owned(), "-c".to_owned()]),
        command: Some(vec![script.to_owned()]),
        ..ContainerSettings::default()
    }
}

fn containers() -> TestResult {
    let dockerd = Dockerd::start()?;
    let events = Events::silent();
    let address = Address::Unix(dockerd.socket());
    let endpoint = Endpoint { kind: EngineKind::Docker, address, origin: "a test".to_owned() };
    let engine = Engine::new(endpoint, &HttpSettings::default())?;
    let folder = Folder::new()?;
    let bases = match Bases::make(&folder.join("bases")) {
        Err(BasesError::Missing(skip)) => return Err(skip.into()),
        made => made?,
    };
    let image = bases.image("busybox")?.ok_or_else(|| Stop::failed("there is no busybox"))?;
    let saved = [SavedImage { image, names: vec!["busybox:1".parse()?] }];
    engine.load(&saved, &Platform::host(), &events)?;
    let runtime = EngineRuntime::new(&engine, &events)?;
    assert!(runtime.describe().to_lowercase().starts_with("docker "), "{}", runtime.describe());
    ends(&runtime)?;
    settings(&runtime)?;
    lives(&runtime)?;
    refusals(&runtime)?;
    let left = dockerd.docker(["ps", "--all", "--quiet"])?.succeeded()?;
    assert_eq!(left.stdout, "", "containers are left behind");
    Ok(())
}

/// Output, exit codes, the order of lines.
fn ends(runtime: &dyn Runtime) -> TestResult {
    let finished = runtime.run(&shell("echo one; sleep 0.2; echo two >&2; exit 7"), LIMIT)?;
    assert_eq!((finished.exit.code, finished.exit.out_of_memory), (7, false));
    let lines: Vec<_> = finished.logs.iter().map(|line| (line.stream, &*line.text)).collect();
    assert_eq!(lines, [(LogStream::Stdout, &b"one\n"[..]), (LogStream::Stderr, &b"two\n"[..])]);
    assert!(finished.logs[0].time < finished.logs[1].time);
    let killed = runtime.run(&shell("sleep 100"), Duration::from_millis(300))?;
    assert_eq!(killed.exit.code, 137);
    Ok(())
}

/// What was asked for is what the program sees.
fn settings(runtime: &dyn Runtime) -> TestResult {
    let script = "id -u; id -g; pwd; echo $NAME; touch /x 2>&1 | grep -o 'Read-only'; touch /memory/x && echo written; \
                  grep -E 'CapEff|NoNewPrivs' /proc/self/status; cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    let asked = ContainerSettings {
        user: Some("1234:5678".to_owned()),
        folder: Some("/usr".to_owned()),
        environment: vec![("NAME".to_owned(), "a value".to_owned())],
        read_only: true,
        no_new_privileges: true,
        capabilities: Capabilities { add: Vec::new(), drop: vec!["ALL".to_owned()] },
        resources: Resources { memory: Some(64 << 20), ..Resources::default() },
        mounts: vec![MountSettings {
            target: "/memory".to_owned(),
            source: MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o777), programs: false },
            read_only: false,
        }],
        ..shell(script)
    };
    let finished = runtime.run(&asked, LIMIT)?;
    let text: Vec<u8> = finished.logs.iter().flat_map(|line| line.text.clone()).collect();
    let text = String::from_utf8_lossy(&text).into_owned();
    let expected = [
        "1234",
        "5678",
        "/usr",
        "a value",
        "Read-only",
        "written",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "67108864",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{text}");
    Ok(())
}

/// One that stays: its state, health, programs beside, statistics, signals, its end.
fn lives(runtime: &dyn Runtime) -> TestResult {
    let mut asked = shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done");
    asked.name = Some("stays".to_owned());
    asked.health = Some(HealthSettings {
        test: vec!["CMD".to_owned(), "true".to_owned()],
        interval: Some(Duration::from_millis(100)),
        ..HealthSettings::default()
    });
    let id = runtime.start(&asked)?;
    let state = runtime.inspect("stays")?;
    assert_eq!((&state.id, &*state.name, state.status, state.exit), (&id, "stays", Status::Running, None));
    assert!(state.process.is_some() && state.started.is_some() && state.finished.is_none());
    let mut health = None;
    for _ in 0..200 {
        health = runtime.inspect(&id)?.health.map(|health| health.status);
        if health == Some(HealthStatus::Healthy) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(health, Some(HealthStatus::Healthy));
    let run = |words: &[&str], limit| {
        let arguments = words.iter().map(|word| (*word).to_owned()).collect();
        let user = Some("77".to_owned());
        runtime.execute(&id, &Execution { arguments, user, ..Execution::default() }, limit)
    };
    let ran = run(&["sh", "-c", "id -u; echo wrong >&2; exit 5"], LIMIT)?;
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (5, &b"77\n"[..], &b"wrong\n"[..]));
    assert_eq!(run(&["/none"], LIMIT)?.code, 127);
    let over = run(&["sleep", "100"], Duration::from_millis(200)).map_err(|error| error.kind);
    assert!(matches!(over, Err(RuntimeErrorKind::Timeout(_))), "{over:?}");
    let used = runtime.statistics(&id)?;
    assert!(used.memory > 0 && used.processes > 0, "{used:?}");
    let taken = runtime.start(&asked).map_err(|error| error.kind);
    assert!(matches!(&taken, Err(RuntimeErrorKind::NameTaken(name)) if name == "stays"), "{taken:?}");
    assert!(matches!(runtime.remove(&id, false).map_err(|error| error.kind), Err(RuntimeErrorKind::Running)));
    assert_eq!(runtime.wait(&id, Some(Duration::from_millis(50)))?, None);
    runtime.signal(&id, 15)?;
    let exit = runtime.wait(&id, Some(LIMIT))?.ok_or_else(|| Stop::failed("it does not end"))?;
    assert_eq!(exit.code, 3);
    runtime.remove(&id, false)?;
    assert!(matches!(runtime.inspect(&id).map_err(|error| error.kind), Err(RuntimeErrorKind::NoContainer)));
    Ok(())
}

fn refusals(runtime: &dyn Runtime) -> TestResult {
    let kind = |settings: ContainerSettings| -> Result<RuntimeError, Stop> {
        runtime.run(&settings, LIMIT).err().ok_or_else(|| Stop::failed("it ran"))
    };
    let none = ContainerSettings { image: "none:1".to_owned(), ..ContainerSettings::default() };
    assert!(matches!(kind(none)?.kind, RuntimeErrorKind::NoImage));
    let mut missing = shell("");
    missing.entrypoint = Some(vec!["/no/such".to_owned()]);
    let missing = kind(missing)?;
    assert!(matches!(missing.kind, RuntimeErrorKind::NotStarted { code: 127, .. }), "{missing:?}");
    let mut folder = shell("");
    folder.entrypoint = Some(vec!["/etc".to_owned()]);
    let folder = kind(folder)?;
    assert!(matches!(folder.kind, RuntimeErrorKind::NotStarted { code: 126, .. }), "{folder:?}");
    let unknown = ContainerSettings {
        capabilities: Capabilities { add: vec!["NOTHING".to_owned()], drop: Vec::new() },
        ..shell("true")
    };
    let unknown = kind(unknown)?;
    assert!(
        unknown.to_string().contains("cannot run")
            && matches!(unknown.kind, RuntimeErrorKind::Setting { .. }),
        "{unknown:?}"
    );
    Ok(())
}
