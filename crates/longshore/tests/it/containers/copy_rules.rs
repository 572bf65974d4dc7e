//! The rules of `docker cp`, each tried on a container of Docker's and on one of ours: the same commands succeed and fail, and leave the same
//! files on both sides.

use std::process::Command;

use longshore_testkit::{Dockerd, Ran, Requirement, Stop, Suite, TestResult, run};

use super::{IMAGE, LIMIT, Person, Who};

pub(super) fn add(suite: Suite) -> Suite {
    const NEEDS: &[Requirement] =
        &[Requirement::Root, Requirement::Program("dockerd"), Requirement::Program("docker")];
    suite.test("containers::copy_rules::they_are_dockers", NEEDS, same)
}

/// What stands in both containers.
const INSIDE: &str = "mkdir -p /t/real /t/dir/sub /t/empty && cd /t && echo one > file && echo other > real/own && echo a > dir/a && \
    echo b > dir/sub/b && ln dir/a dir/hard && ln -s a dir/soft && mkfifo dir/pipe && chmod 640 dir/a && chmod 750 dir/sub && \
    chown 77:88 dir/sub/b && ln -s real linkdir && ln -s file linkfile && ln -s nowhere dangling && ln -s /t/file absolute && \
    touch -d '2001-02-03 04:05:06' dir/sub file && cp -a /t /s && find /s -exec touch -h -d '2001-02-03 04:05:06' {} +";
/// What stands on both machines.
const OUTSIDE: &str = "mkdir -p d/s e z/dir && echo 1 > d/x && echo 2 > d/s/y && echo F > f && ln -s d ld && ln -s f lf && \
    ln -s none dang && mkfifo d/pipe && ln d/x d/hard && chmod 600 d/x && chown -R 1234:2345 d f && echo k > z/dir/sub && \
    touch -d '2002-02-03 04:05:06' d/s f && mkdir o o/e && echo old > o/file && ln -s e o/linkdir && ln -s file o/linkfile && ln -s new o/dangling";
/// Everything below a folder with what it is; sizes of files alone, since those of folders are the file system's.
const LIST: &str = "find . ! -name . | sort | while read -r path; do \
    case $(stat -c %F \"$path\") in directory) kind='d %a' ;; 'symbolic link') kind=\"l $(readlink \"$path\")\" ;; \
    fifo) kind='p %a' ;; *) kind='f %a %s %h %Y' ;; esac; stat -c \"%n OWNERS$kind\" \"$path\"; done";

/// Source and destination; `C:` is the container's.
const INTO: &[&str] = &[
    "f C:/t",
    "f C:/t/",
    "f C:/t/new",
    "f C:/t/nodir/",
    "f C:/no/such",
    "f C:/t/file",
    "f C:/t/file/",
    "f C:/t/linkfile",
    "f C:/t/linkdir",
    "f C:/t/dangling",
    "f C:/t/absolute",
    "d C:/t",
    "d C:/t/nd",
    "d/. C:/t/ne",
    "d/. C:/t/real",
    "d/. C:/t/none/",
    "d C:/t/file",
    "d/ C:/t/slash",
    "d C:/t/deep/er",
    "lf C:/t/lf",
    "-L lf C:/t/lf2",
    "-L ld C:/t/",
    "ld C:/t/ldcopy",
    "ld/ C:/t/ldslash",
    "ld/. C:/t/lddot",
    "nofile C:/t",
    "f/ C:/t/q",
    "f/. C:/t/q",
    "dang C:/t/dang",
    "-L dang C:/t/dang2",
    "f C:/t/d",
    "f C:t/relative",
    "f C:/t/../t/up",
    "d/../f C:/t/up2",
    "f C:/t/linkdir/a",
    "d/s C:/t/dir/sub",
    "z/dir C:/t",
    "d/s/. C:/t/linkdir",
    "f C:/t/dir/sub/../..",
    "./f C:/t/dotted",
    "d/pipe C:/t/pipe",
    "f nobody:/t",
    "f d",
    "C:/t C:/u",
];
const OUT: &[&str] = &[
    "C:/t/file o",
    "C:/t/file o/",
    "C:/t/file o/new1",
    "C:/t/file o/nodir/",
    "C:/t/file o/no/such",
    "C:/t/file o/file",
    "C:/t/file o/file/",
    "C:/t/file o/linkfile",
    "C:/t/file o/dangling",
    "C:/t/dir o",
    "C:/t/dir o/nd",
    "C:/t/dir/. o/ne",
    "C:/t/dir/. o/e",
    "C:/t/dir o/file",
    "C:/t/dir/ o/sl",
    "C:/t/linkfile o/l1",
    "-L C:/t/linkfile o/l2",
    "-L C:/t/linkfile o",
    "-L C:/t/linkdir o/l3",
    "C:/t/linkdir o/l4",
    "C:/t/linkdir/ o/l5",
    "C:/t/linkdir/. o/l6",
    "C:/t/linkdir/ o",
    "-L C:/t/absolute o/l7",
    "C:/t/nofile o",
    "C:/t/file/ o/n7",
    "C:/t/file/. o/n8",
    "C:/t/dir o/linkdir",
    "C:t/file o/rel",
    "C:/t/../../t/file o/up",
    "C:/t/dangling o/dd",
    "C:/t/dir/pipe o/pipe",
    "C:/t/empty o/empty",
    "C:/t/dir/sub o/l3",
    "nobody:/t o",
];

struct Sides {
    person: Person,
    engine: Dockerd,
}

impl Sides {
    /// Both, with the container `both`; the folders of both machines are `ours` and `theirs` below the person's.
    fn new() -> Result<Sides, Stop> {
        let person = Person::new(Who::Root)?;
        let engine = Dockerd::start()?;
        let mut copy = person.user.command(["image", "copy", IMAGE, &format!("docker-daemon:{IMAGE}")]);
        copy.env("DOCKER_HOST", engine.host());
        run(&mut copy, LIMIT)?.succeeded()?;
        let words = ["-d", "--name", "both", "--network", "none", IMAGE, "sleep", "6000"];
        person.contain(&words)?.succeeded()?;
        engine.docker(["run"].iter().chain(&words))?.succeeded()?;
        let sides = Sides { person, engine };
        for (which, folder) in [(true, "ours"), (false, "theirs")] {
            std::fs::create_dir(sides.folder(folder))?;
            sides.inside(which, INSIDE)?;
            sides.outside(folder, OUTSIDE)?;
        }
        Ok(sides)
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        self.person.user.home().join(name)
    }

    fn inside(&self, ours: bool, script: &str) -> Result<String, Stop> {
        let words = ["exec", "both", "sh", "-c", script];
        let ran = if ours { self.person.run(&words)? } else { self.engine.docker(words)? };
        Ok(ran.succeeded()?.stdout)
    }

    fn outside(&self, folder: &str, script: &str) -> Result<String, Stop> {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(self.folder(folder));
        Ok(run(&mut shell, LIMIT)?.succeeded()?.stdout)
    }

    /// The same words to ours and to Docker's client.
    fn commands(&self, words: &[&str]) -> Result<[Command; 2], Stop> {
        let mut ours = self.person.user.command(words);
        ours.current_dir(self.folder("ours"));
        let mut theirs = Command::new(longshore_testkit::program("docker")?);
        theirs.env("DOCKER_HOST", self.engine.host()).env("DOCKER_CONFIG", self.folder("client"));
        theirs.args(words).current_dir(self.folder("theirs"));
        Ok([ours, theirs])
    }

    /// `cp` with these words on both.
    fn copy(&self, words: &str) -> Result<[Ran; 2], Stop> {
        let words = format!("cp {}", words.replace("C:", "both:"));
        let [mut ours, mut theirs] = self.commands(&words.split(' ').collect::<Vec<_>>())?;
        Ok([run(&mut ours, LIMIT)?, run(&mut theirs, LIMIT)?])
    }

    fn compare(&self, owners: bool, after: &str) -> TestResult {
        let list = LIST.replace("OWNERS", if owners { "%u:%g " } else { "" });
        let inside = format!("cd /t && {list}");
        same_lines(after, &self.inside(true, &inside)?, &self.inside(false, &inside)?)?;
        same_lines(after, &self.outside("ours", &list)?, &self.outside("theirs", &list)?)
    }
}

fn same_lines(after: &str, ours: &str, theirs: &str) -> TestResult {
    // The times of what was made just now are not the same.
    let recent =
        |line: &&str| !line.contains(" f ") || line.ends_with(" 981173106") || line.ends_with(" 1012709106");
    let plain = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| {
                if recent(&line) {
                    line.to_owned()
                } else {
                    line.rsplit_once(' ').map_or("", |both| both.0).to_owned()
                }
            })
            .collect()
    };
    let (ours, theirs) = (plain(ours), plain(theirs));
    assert!(ours.len() > 8, "{after}: {ours:?}");
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    let differences = (only(&ours, &theirs), only(&theirs, &ours));
    match differences.0.is_empty() && differences.1.is_empty() {
        true => Ok(()),
        false => Err(Stop::failed(format!("after {after}: {differences:#?}"))),
    }
}

fn same() -> TestResult {
    let sides = Sides::new()?;
    sides.compare(true, "the beginning")?;
    let mut failed = 0;
    // Owners are what the reference says, which the engine does not do.
    for (number, row) in INTO.iter().chain(OUT).enumerate() {
        let [ours, theirs] = sides.copy(row)?;
        assert_eq!(
            ours.status.success(),
            theirs.status.success(),
            "{row}: {}\nDocker: {}",
            ours.stderr,
            theirs.stderr
        );
        failed += u32::from(!ours.status.success());
        if number % 12 == 11 {
            sides.compare(false, row)?;
        }
    }
    sides.compare(false, "all")?;
    assert_eq!(failed, 22, "those that are meant to fail");
    for row in ["-a d C:/t/kept", "-a f C:/t/kept/", "-a f C:/t/file"] {
        let [ours, theirs] = sides.copy(row)?;
        assert!(ours.status.success() && theirs.status.success(), "{row}: {}", ours.stderr);
    }
    let kept = "cd /t && find kept file | sort | xargs stat -c '%n %u:%g'";
    let (ours, theirs) = (sides.inside(true, kept)?, sides.inside(false, kept)?);
    assert!(ours.contains("kept/s/y 1234:2345"), "{ours}");
    assert_eq!(ours, theirs);
    streams(&sides)
}

/// What `-` writes and reads: each side reads the other's tars.
fn streams(sides: &Sides) -> TestResult {
    for (number, path) in
        ["/s/file", "/s/dir", "/s/dir/", "/s/dir/.", "/s/linkdir", "/s/linkdir/", "s/real"].iter().enumerate()
    {
        let mut listed = Vec::new();
        let mut tars = Vec::new();
        for mut command in sides.commands(&["cp", &format!("both:{path}"), "-"])? {
            let output = command.output()?;
            assert!(output.status.success() && output.stdout.len() > 1000, "{path}: {command:?}");
            let tar = sides.person.user.home().join(format!("{}.tar", listed.len()));
            longshore_files::write_unsynced(&tar, &output.stdout)?;
            let mut list = Command::new("tar");
            list.args(["--numeric-owner", "-tvf"]).arg(&tar);
            let text = run(&mut list, LIMIT)?.succeeded()?.stdout.replace(" ./", " ");
            // A folder's contents begin with an entry for itself, which changes nothing anywhere.
            let mut lines: Vec<String> =
                text.lines().filter(|line| !line.ends_with(' ')).map(str::to_owned).collect();
            lines.sort();
            listed.push(lines);
            tars.push(tar);
        }
        assert_eq!(listed[0], listed[1], "{path}");
        let target = format!("both:/t/stream{number}");
        sides.inside(true, &format!("mkdir /t/stream{number}"))?;
        sides.inside(false, &format!("mkdir /t/stream{number}"))?;
        tars.reverse();
        for (mut command, tar) in sides.commands(&["cp", "-a", "-", &target])?.into_iter().zip(tars) {
            let output = command.stdin(std::fs::File::open(tar)?).output()?;
            assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        }
        sides.compare(false, path)?;
    }
    for target in ["both:/t/file", "both:/t/no", "both:/t/no/"] {
        for mut command in sides.commands(&["cp", "-", target])? {
            assert!(!command.stdin(std::process::Stdio::null()).output()?.status.success(), "{target}");
        }
    }
    Ok(())
}
