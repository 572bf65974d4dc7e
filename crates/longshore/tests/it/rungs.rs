//! One Dockerfile on every rung of isolation that the machine offers: the layers are the same, entry by entry.
//!
//! What root's namespaces leave is what all others are held against. Times are clamped by SOURCE_DATE_EPOCH, since they alone differ from
//! run to run; everything else counts.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use longshore_image::Layout;
use longshore_image::layer::{TarEntry, entries};
use longshore_oci::Digest;
use longshore_testkit::{
    Dockerd, Folder, Longshore, Requirement, Stop, Suite, TestResult, UNLENT_USER, distributions, lent_user,
};

use crate::conformance::bases;

const ROOT: &[Requirement] = &[Requirement::Root];
const ALPINE: &str = "alpine:3.23";
const ON_ALPINE: &[Requirement] = &[Requirement::Root, Requirement::Distribution(ALPINE), Requirement::Go];
const DEBIAN: &str = "debian:bookworm-slim";
const ON_DEBIAN: &[Requirement] = &[Requirement::Root, Requirement::Distribution(DEBIAN)];
const IN_CONTAINER: &[Requirement] = &[Requirement::Root, Requirement::Containers];

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .test("rungs::a_user_namespace_leaves_what_root_leaves", ROOT, || busybox(&user_namespace()?))
        .test("rungs::a_single_user_leaves_what_root_leaves", ROOT, || busybox(&SINGLE_USER))
        .test("rungs::chroot_leaves_what_root_leaves", ROOT, || busybox(&CHROOT))
        .test("rungs::a_user_namespace_installs_what_root_installs", ON_ALPINE, || alpine(&user_namespace()?))
        .test("rungs::a_single_user_installs_what_root_installs", ON_ALPINE, || alpine(&SINGLE_USER))
        .test("rungs::chroot_installs_what_root_installs", ON_ALPINE, || alpine(&CHROOT))
        .test("rungs::a_user_namespace_has_the_users_that_root_has", ON_DEBIAN, || debian(&user_namespace()?))
        .test("rungs::a_single_user_has_the_users_that_root_has", ON_DEBIAN, || debian(&SINGLE_USER))
        .test("rungs::a_default_container_leaves_what_root_leaves", IN_CONTAINER, container)
        .test("rungs::in_place_leaves_what_root_leaves", IN_CONTAINER, in_place)
        .test("rungs::a_step_is_held_as_a_container_is", IN_CONTAINER, held)
}

/// A way to isolate, and the user who takes it.
struct Rung {
    isolation: &'static str,
    user: u32,
}

const NAMESPACES: Rung = Rung { isolation: "namespaces", user: 0 };
const SINGLE_USER: Rung = Rung { isolation: "single-user", user: UNLENT_USER };
const CHROOT: Rung = Rung { isolation: "chroot", user: 0 };

fn user_namespace() -> Result<Rung, Stop> {
    Ok(Rung { isolation: "user-namespace", user: lent_user()? })
}

/// Without packages: what a shell can do to owners, names, kinds and folders.
const BUSYBOX: &str = r#"
FROM base
COPY --chown=20:30 file /copied/
RUN mkdir -p /srv/app/sub && echo one > /srv/app/one && ln -s one /srv/app/link && chown -R app:app /srv/app \
 && chown :50 /srv/app/one && chown 7 /srv/app/sub && chown -h 8:9 /srv/app/link
RUN mkdir /srv/shared && chown 1000:50 /srv/shared && chmod 2775 /srv/shared && touch /srv/shared/root
USER app
RUN test "$(id -u):$(id -g)" = 1000:1000 && test "$(whoami)" = app && umask 027 \
 && echo made > /srv/shared/app && mkdir /srv/app/made && ln -s x /srv/app/made/link && mkfifo /srv/app/made/pipe \
 && test "$(stat -c %U:%G:%a /srv/shared/app)" = app:staff:640
RUN cp -a /srv/app/made /srv/app/copy && mv /srv/shared/app /srv/app/moved && rm /srv/app/one && echo two > /srv/app/one
RUN if chown root /srv/app/moved 2>/dev/null; then exit 1; fi
USER root
RUN cp -p /data/owned /etc/new && chown "$(stat -c %u:%g /data/owned)" /etc/new && mv /etc/new /data/owned && chmod 640 /data/capable
RUN mv /data/setuid /data/moved && ln /data/moved /data/linked && rm -r /data/folder && mkdir /data/folder && touch /data/folder/new
RUN touch /root/f && chown 5 /root/f && rm /root/f && touch /root/f /root/g && chown root:root /copied/file
RUN cp -a /srv /copy && rm -rf /srv && mv /copy /srv && touch -h -d @5 /srv/app/link && mknod /srv/pipe p && rm /data/file
"#;

/// With packages and what they bring: tools that replace the files of passwd, a user of their own, capabilities.
const ON_PACKAGES: &str = r#"
FROM base
COPY setcap /usr/bin/setcap
RUN addgroup -g 1500 app && adduser -D -u 1600 -G app app && adduser -D other && addgroup app tty && deluser other
RUN apk add --no-cache --no-network ca-certificates git && rm /var/log/apk.log && chmod 600 /etc/shadow && cp -p /etc/shadow /etc/shadow.bak
RUN cp /usr/bin/setcap /usr/bin/ping-like && setcap /usr/bin/ping-like && cp /usr/bin/ping-like /usr/bin/plain \
 && setcap /usr/bin/plain && chown app /usr/bin/plain
RUN su app -c 'echo > /home/app/by-su; mkdir -p /home/app/deep/er; id -u > /home/app/id' && passwd -u app 2>/dev/null || true
RUN chown -R app:tty /home/app && tar -c -C /home/app . | tar -x -C /srv && echo done >> /etc/group
USER app:tty
WORKDIR /home/app/work
RUN cd .. && cp -p id copied && sed -i s/1/2/ copied && test "$(id -un):$(id -gn)" = app:tty
"#;

/// With the tools of GNU and shadow, which ask and become by other calls.
const ON_GNU: &str = r#"
FROM base
RUN groupadd -g 1500 app && useradd -m -u 1600 -g app -G tty,mail app && useradd -r daemon-like && usermod -aG app daemon-like \
 && echo 'app:*as-given*' | chpasswd -e && userdel daemon-like && chage -d 20000 app
RUN install -o app -g mail -m 2750 -d /srv/mail && install -o app -m 600 /etc/passwd /srv/mail/copy && touch /srv/mail/root \
 && test "$(stat -c %U:%G:%a /srv/mail/copy)" = app:mail:600
RUN su app -c 'test "$(id)" = "uid=1600(app) gid=1500(app) groups=1500(app),5(tty),8(mail)" && cp -r /etc/skel ~/skel && ln ~/skel/.profile ~/linked'
RUN setpriv --reuid app --regid mail --init-groups sh -c 'id -Gn > /srv/mail/groups; umask 077; mkdir /srv/mail/private'
RUN chgrp -R tty /home/app && cp -a /home/app /srv/copy && tar -C /srv -cf - copy | tar -C /opt -xpf - && sed -i s/x/y/ /srv/mail/copy
USER app
RUN test "$(whoami)" = app && mkdir -p ~/a/b && mv ~/skel ~/a/b && find ~ -user app -newer /etc/hostname | sort > /tmp/mine; rm -rf ~/a
"#;

/// Gives a file `cap_net_raw` effective and permitted, and fails unless the kernel tells it back so.
const SETCAP: &str = r#"package main

import (
	"bytes"
	"os"
	"syscall"
)

func main() {
	capability := []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := syscall.Setxattr(os.Args[1], "security.capability", capability, 0); err != nil {
		panic(err)
	}
	back := make([]byte, 64)
	count, err := syscall.Getxattr(os.Args[1], "security.capability", back)
	if err != nil || !bytes.Equal(back[:count], capability) {
		panic(err)
	}
}
"#;

fn busybox(rung: &Rung) -> TestResult {
    let context = open_folder()?;
    context.write("Dockerfile", BUSYBOX)?;
    context.write("file", "copied\n")?;
    let base = format!("{}:busybox", bases()?.folder().display());
    let made = same_on(rung, &context, &base)?;
    // What it would be if nobody's owners were kept would be the same on both, too.
    let shared = entry(&made, "srv/shared/root")?;
    assert!(shared.contains("644 0:50 "), "{shared}");
    let moved = entry(&made, "srv/app/moved")?;
    assert!(moved.contains("640 1000:50 "), "{moved}");
    let owned = entry(&made, "data/owned")?;
    assert!(owned.contains("600 1000:1000 "), "{owned}");
    Ok(())
}

fn alpine(rung: &Rung) -> TestResult {
    let context = open_folder()?;
    context.write("Dockerfile", ON_PACKAGES)?;
    context.write("setcap.go", SETCAP)?;
    let mut go = std::process::Command::new(longshore_testkit::program("go")?);
    go.args(["build", "-trimpath", "-o", "setcap", "setcap.go"]).env("CGO_ENABLED", "0");
    let built = go.current_dir(context.path()).output()?;
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let base = format!("{}:{ALPINE}", distributions::folder().display());
    let made = same_on(rung, &context, &base)?;
    let shadow = entry(&made, "etc/shadow")?;
    assert!(shadow.contains("600 0:42 "), "{shadow}");
    let capable = entry(&made, "usr/bin/ping-like")?;
    assert!(capable.contains("security.capability=0100000200200000000000000000000000000000"), "{capable}");
    // Whoever gives a file away takes its capabilities.
    let plain = entry(&made, "usr/bin/plain")?;
    assert!(plain.contains(" 1600:0 ") && !plain.contains("capability"), "{plain}");
    assert!(entry(&made, "home/app/by-su")?.contains(" 1600:5 "), "{made:?}");
    Ok(())
}

fn debian(rung: &Rung) -> TestResult {
    let context = open_folder()?;
    context.write("Dockerfile", ON_GNU)?;
    let made = same_on(rung, &context, &format!("{}:{DEBIAN}", distributions::folder().display()))?;
    let copy = entry(&made, "srv/mail/copy")?;
    assert!(copy.contains("600 1600:8 "), "{copy}");
    let private = entry(&made, "srv/mail/private")?;
    assert!(private.contains("2700 1600:8 "), "{private}");
    assert!(entry(&made, "etc/shadow")?.contains("640 0:42 "), "{made:?}");
    Ok(())
}

/// A folder that every user may look into.
pub(crate) fn open_folder() -> Result<Folder, Stop> {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

/// Each layer's entries by path.
pub(crate) type Layers = Vec<BTreeMap<PathBuf, String>>;

/// What a path is in the topmost layer that has it.
pub(crate) fn entry(layers: &Layers, path: &str) -> Result<String, Stop> {
    let found = layers.iter().rev().find_map(|layer| layer.get(Path::new(path)));
    found.cloned().ok_or_else(|| Stop::failed(format!("no layer has {path}")))
}

/// Builds a context as root in namespaces and on another rung, and compares. Returns what both made.
fn same_on(rung: &Rung, context: &Folder, base: &str) -> Result<Layers, Stop> {
    let shared = open_folder()?;
    let program = copy_program(&shared)?;
    let copied = shared.join("base");
    let root = Longshore::at(&program)?;
    let from = format!("oci:{base}");
    let to = format!("oci:{}:base", copied.display());
    root.run(["image", "copy", &from, &to])?.succeeded()?;
    make_readable(&copied)?;
    let expected = layers(&build(&NAMESPACES, &program, context, &copied)?)?;
    let made = layers(&build(rung, &program, context, &copied)?)?;
    compare(&expected, &made)?;
    Ok(made)
}

/// A copy of longshore that every user may run. By a process of its own: what this one wrote could be held open by what other tests
/// start meanwhile, and would not run then.
pub(crate) fn copy_program(folder: &Folder) -> Result<PathBuf, Stop> {
    let program = folder.join("longshore");
    let copied =
        std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_longshore")).arg(&program).status()?;
    assert!(copied.success());
    Ok(program)
}

pub(crate) fn make_readable(folder: &Path) -> TestResult {
    use std::os::unix::fs::PermissionsExt;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o644))?,
            }
        }
    }
    Ok(())
}

/// The flags of a build whose result is the same whenever it is made.
fn flags(base: &Path) -> Vec<String> {
    let base = format!("base=oci-layout://{}:base", base.display());
    let flags =
        ["build", "-f", "Dockerfile", "--progress", "plain", "--build-arg", "SOURCE_DATE_EPOCH=1750000000"];
    flags.into_iter().chain(["--build-context", &base]).map(str::to_owned).collect()
}

/// The layout with the image.
fn build(rung: &Rung, program: &Path, context: &Folder, base: &Path) -> Result<Image, Stop> {
    let user = Longshore::at(program)?.inside(context.path()).env("LONGSHORE_OFFLINE", "1");
    let out = user.home().join("out");
    std::os::unix::fs::chown(user.home(), Some(rung.user), Some(rung.user))?;
    let mut command = user.command(flags(base));
    command.args(["--isolation", rung.isolation, "--output"]).arg(format!("oci:{}", out.display()));
    // The folder of temporary files of whoever runs the tests may be closed to others.
    command.uid(rung.user).gid(rung.user).env("TMPDIR", user.home()).stdin(Stdio::null());
    let ran = command.output()?;
    let said = String::from_utf8_lossy(&ran.stderr);
    if let Some((_, why)) = said.split_once(" does not work here: ") {
        let why = why.lines().next().unwrap_or_default();
        return Err(Stop::Skipped(format!("isolation {} does not work here: {why}", rung.isolation)));
    }
    assert!(ran.status.success(), "{}: {said}", rung.isolation);
    Ok(Image { folder: out, _user: user })
}

/// A built image, and the user whose it is.
struct Image {
    folder: PathBuf,
    _user: Longshore,
}

fn layers(image: &Image) -> Result<Layers, Stop> {
    read_layers(&image.folder)
}

pub(crate) fn read_layers(folder: &Path) -> Result<Layers, Stop> {
    let layout = Layout::open(folder)?;
    let entries = layout.entries()?;
    let root = entries.first().ok_or_else(|| Stop::failed("the layout is empty"))?;
    let image = layout.image(&root.descriptor);
    let image = image.images()?.into_iter().next().ok_or_else(|| Stop::failed("the index is empty"))?;
    let manifest = image.manifest()?;
    manifest.layers.iter().map(|layer| read_layer(image.open_layer(layer)?)).collect()
}

fn read_layer(tar: impl std::io::Read) -> Result<BTreeMap<PathBuf, String>, Stop> {
    let mut lines = BTreeMap::new();
    let mut tar = entries(tar);
    while let Some(entry) = tar.next_entry()? {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut tar.content(), &mut content)?;
        let line = describe(&entry, &content);
        let path: PathBuf = entry.path.components().collect();
        assert_eq!(lines.insert(path, line), None, "{} is there twice", entry.path.display());
    }
    Ok(lines)
}

/// Kind, mode, owner, time, attributes, content.
fn describe(entry: &TarEntry, content: &[u8]) -> String {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let attributes = entry.xattrs.iter().map(|(name, value)| format!("{name}={}", hexadecimal(value)));
    format!(
        "{:?} {:o} {}:{} @{} {:?} {}",
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.mtime,
        attributes.collect::<Vec<_>>(),
        Digest::of(content)
    )
}

fn compare(expected: &Layers, made: &Layers) -> TestResult {
    let mut differences = Vec::new();
    for (number, (expected, made)) in expected.iter().zip(made).enumerate() {
        let paths: std::collections::BTreeSet<_> = expected.keys().chain(made.keys()).collect();
        for path in paths {
            let (one, other) = (expected.get(path), made.get(path));
            if one != other {
                differences.push(format!("layer {number}, {}: {one:?}, not {other:?}", path.display()));
            }
        }
    }
    assert_eq!(expected.len(), made.len(), "layers");
    if differences.is_empty() { Ok(()) } else { Err(Stop::failed(differences.join("\n  "))) }
}

/// An engine that has an image `held` with a shell in it and longshore at /longshore, and an image `bare` with nothing but that.
fn engine(folder: &Folder) -> Result<Dockerd, Stop> {
    copy_program(folder)?;
    let user = Longshore::at(folder.join("longshore"))?.inside(folder.path()).env("LONGSHORE_OFFLINE", "1");
    let base = format!("base=oci-layout://{}:busybox", bases()?.folder().display());
    let engine = Dockerd::start()?;
    for (name, from) in [("held", "base"), ("bare", "scratch")] {
        let file = format!("{name}.Dockerfile");
        folder.write(&file, format!("FROM {from}\nCOPY longshore /longshore\n"))?;
        let archive = folder.join(format!("{name}.tar"));
        let output = format!("docker-archive:{}:{name}", archive.display());
        user.run(["build", "-f", &file, "-t", name, "--build-context", &base, "-o", &output])?.succeeded()?;
        engine.docker(["load", "--input", &archive.display().to_string()])?.succeeded()?;
    }
    Ok(engine)
}

/// Builds in a container, with and without further flags, and compares with what root's namespaces leave.
fn contained(image: &str, engine_flags: &[&str], flags: &[&str]) -> TestResult {
    let context = open_folder()?;
    context.write("Dockerfile", BUSYBOX)?;
    context.write("file", "copied\n")?;
    let folder = open_folder()?;
    let engine = engine(&folder)?;
    let base = folder.join("base");
    let root = Longshore::at(folder.join("longshore"))?;
    let from = format!("oci:{}:busybox", bases()?.folder().display());
    root.run(["image", "copy", &from, &format!("oci:{}:base", base.display())])?.succeeded()?;
    let expected = layers(&build(&NAMESPACES, &folder.join("longshore"), &context, &base)?)?;
    std::fs::create_dir(folder.join("out"))?;
    let mount = |path: &Path, inside: &str| format!("{}:{inside}", path.display());
    let (context, base, out) =
        (mount(context.path(), "/context"), mount(&base, "/base"), mount(&folder.join("out"), "/out"));
    let mut command = vec!["run", "--rm", "--network", "none", "--workdir", "/context", "-e", "HOME=/store"];
    command.extend(["-v", &context, "-v", &base, "-v", &out]);
    command.extend(engine_flags.iter().chain(&[image, "/longshore"]));
    let common = self::flags(Path::new("/base"));
    command.extend(common.iter().map(String::as_str).chain(flags.iter().copied()));
    command.extend(["--output", "oci:/out/image"]);
    engine.docker(command)?.succeeded()?;
    compare(&expected, &read_layers(&folder.join("out/image"))?)?;
    let doctor = engine.docker(["run", "--rm", image, "/longshore", "doctor"])?.succeeded()?.stdout;
    let found = "Dockerfiles' RUN steps get the isolation chroot";
    assert!(doctor.contains(found), "{doctor}");
    Ok(())
}

/// Longshore in a container as Docker starts it when nothing is asked for: there is no rung but chroot, and it is taken unasked.
fn container() -> TestResult {
    contained("held", &[], &[])
}

/// Longshore in a container of its own that may not even change its root folder, as CRI-O starts them.
fn in_place() -> TestResult {
    // Alone, and among files of a shell's that have to make room.
    ["bare", "held"]
        .into_iter()
        .try_for_each(|image| contained(image, &["--cap-drop", "SYS_CHROOT"], &["--isolation", "in-place"]))
}

/// What a process may do, and what of the machine is covered.
const LOOK: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; \
                    awk '$5 ~ \"^/(proc|sys)(/|$)\" { print \"covered\", $5, substr($6, 1, 2) }' /proc/self/mountinfo | sort";

/// A step may do what a container of Docker's may do, and sees no more of the machine.
fn held() -> TestResult {
    let folder = open_folder()?;
    let engine = engine(&folder)?;
    let base = format!("base=oci-layout://{}:busybox", bases()?.folder().display());
    folder.write("Dockerfile", format!("FROM base\nRUN {LOOK}\n"))?;
    let user = Longshore::at(folder.join("longshore"))?.inside(folder.path()).env("LONGSHORE_OFFLINE", "1");
    let built = user.run(["build", "-f", "Dockerfile", "--progress", "plain", "--build-context", &base])?;
    let ours = looked(&built.succeeded()?.stderr);
    let theirs = engine.docker(["run", "--rm", "--network", "none", "held", "/bin/sh", "-c", LOOK])?;
    let theirs = looked(&theirs.succeeded()?.stdout);
    let rights = |seen: &[String]| -> Vec<String> {
        seen.iter().filter(|line| !line.starts_with("covered")).cloned().collect()
    };
    assert_eq!(rights(&ours), rights(&theirs));
    assert_eq!(rights(&ours).len(), 7, "{ours:?}");
    // Newer engines cover more than this one; what it covers is covered here, and read-only where it is there.
    let missing: Vec<_> =
        theirs.iter().filter(|line| !ours.contains(line) && !line.contains("cgroup")).collect();
    assert!(missing.is_empty(), "{missing:?} of {theirs:#?} is not among {ours:#?}");
    assert!(theirs.iter().any(|line| line == "covered /proc/keys rw"), "{theirs:?}");
    Ok(())
}

/// The lines of [`LOOK`]'s output, without what progress puts before them.
fn looked(text: &str) -> Vec<String> {
    let starts = ["Cap", "NoNewPrivs", "Seccomp", "covered"];
    let line = |line: &str| {
        let start = starts.iter().filter_map(|start| line.find(start)).min()?;
        let is_output = line[..start].chars().all(|character| "#. 0123456789".contains(character));
        is_output.then(|| line[start..].split_whitespace().collect::<Vec<_>>().join(" "))
    };
    text.lines().filter_map(line).collect()
}
