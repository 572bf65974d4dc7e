//! A root folder to run steps in: Debian's static busybox and little else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use longshore_events::Events;
use longshore_sandbox::{
    Ended, Isolation, Limits, Mount, Network, Root, Rung, SandboxError, Step, Stream, User, run, survey,
};
use longshore_testkit::{Skip, Stop, program};

/// A folder with a root and an overlay's folders.
pub(crate) struct Fixture {
    folder: tempfile::TempDir,
    pub(crate) step: Step,
}

/// What a step wrote and how it ended.
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Debian's static busybox.
pub(crate) fn busybox() -> Result<PathBuf, Skip> {
    let path = program("busybox")?;
    let bytes = std::fs::read(&path).map_err(|error| Skip(error.to_string()))?;
    // A dynamic one names its loader.
    let dynamic = bytes.windows(8).any(|window| window == b"/ld-linu");
    if dynamic { Err(Skip("busybox is not the static one".into())) } else { Ok(path) }
}

pub(crate) fn make_root(root: &Path) -> Result<(), Stop> {
    for folder in ["bin", "etc", "tmp", "proc", "sys", "dev", "root"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    std::fs::copy(busybox()?, root.join("bin/busybox"))?;
    for name in [
        "sh", "cat", "sed", "touch", "chmod", "cp", "env", "pwd", "ps", "grep", "head", "wc", "ln", "rm",
        "mkdir", "chroot", "unshare", "kill", "tr", "yes", "true", "false", "sleep", "id", "ls", "mknod",
        "mount", "chown", "stat", "dd", "mv", "hostname", "readlink", "printf", "umount", "nsenter", "date",
        "dmesg", "setsid", "sort", "test",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name))?;
    }
    let users = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/:/bin/sh\n";
    Ok(longshore_files::write_atomic(&root.join("etc/passwd"), users.as_bytes())?)
}

/// Whether the machine allows a rung.
pub(crate) fn allowed(isolation: Isolation) -> Result<(), Skip> {
    static RUNGS: OnceLock<Vec<Rung>> = OnceLock::new();
    let rung = RUNGS.get_or_init(survey).iter().find(|rung| rung.isolation == isolation);
    match rung {
        Some(rung) if !rung.works => {
            Err(Skip(format!("isolation {isolation} does not work here: {}", rung.why)))
        }
        _ => Ok(()),
    }
}

impl Fixture {
    /// A step that runs a shell script in an overlay over a root folder of busybox.
    ///
    /// Ends the test as skipped where the machine does not allow the rung.
    pub(crate) fn new(isolation: Isolation, script: &str) -> Result<Fixture, Stop> {
        allowed(isolation)?;
        let folder = tempfile::tempdir()?;
        make_root(&folder.path().join("lower"))?;
        std::fs::create_dir(folder.path().join("upper"))?;
        std::fs::create_dir(folder.path().join("work"))?;
        let step = Step {
            isolation,
            root: Root::Overlay {
                lower: vec![folder.path().join("lower")],
                upper: folder.path().join("upper"),
                work: folder.path().join("work"),
                user_xattr: isolation.is_inside(),
            },
            mounts: Vec::new(),
            arguments: ["sh", "-c", script].map(OsString::from).to_vec(),
            environment: vec![("PATH".into(), "/bin".into())],
            folder: "/".into(),
            user: User::default(),
            hostname: "buildkitsandbox".into(),
            network: Network::Host,
            address: None,
            insecure: false,
            rights: longshore_sandbox::Rights::default(),
            read_only: false,
            hosts: Vec::new(),
            limits: Limits::default(),
            input: None,
            owners: None,
            mount_owners: Default::default(),
        };
        Ok(Fixture { folder, step })
    }

    pub(crate) fn mount(&mut self, target: &str, kind: longshore_sandbox::MountKind) {
        self.step.mounts.push(Mount { target: target.into(), kind });
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self) -> Result<Outcome, SandboxError> {
        self.run_with(&Events::silent())
    }

    pub(crate) fn run_with(&self, events: &Events) -> Result<Outcome, SandboxError> {
        if let Root::Overlay { work, .. } = &self.step.root {
            // As new, for the second run of a test.
            let _ = std::fs::remove_dir_all(work.join("work"));
        }
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let ended = run(&self.step, events, &mut |stream, bytes| match stream {
            Stream::Stdout => stdout.extend_from_slice(bytes),
            Stream::Stderr => stderr.extend_from_slice(bytes),
        })?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Outcome { ended, stdout: text(stdout), stderr: text(stderr) })
    }
}
