//! Steps of a single user that are out to confuse whoever answers their system calls.
//!
//! What a shell cannot do, the test binary does: it stands in the step's root as /bin/hostile, and its first argument names what.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use longshore_sandbox::Isolation;
use longshore_testkit::{Requirement, Suite, TestResult, UNLENT_USER};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, linkat, open, openat2};
use rustix::io::Errno;

use crate::inside::play_as;

pub(crate) fn add(suite: Suite) -> Suite {
    const ROOT: &[Requirement] = &[Requirement::Root];
    suite
        .test("paths_through_the_asker_lead_where_it_leads", ROOT, through_the_asker)
        .test("the_inits_own_files_cannot_be_reached_through_it", ROOT, through_the_init)
        .test("an_insecure_steps_init_holds_no_way_out", ROOT, insecure)
        .test("a_step_ends_though_its_processes_go_on_asking", ROOT, flood)
        .test("a_thousand_threads_become_another", ROOT, threads)
        .test("what_the_kernel_would_not_make_is_not_made", ROOT, not_made)
        .test("owners_of_files_that_come_by_other_ways", ROOT, other_ways)
}

/// Plays a part of a step, if this process was started for one.
pub(crate) fn enter_if_step() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if Path::new(arguments.first()?).file_name()? != "hostile" {
        return None;
    }
    let path = |index: usize| arguments.get(index).map_or("", String::as_str);
    let answer = match path(1) {
        "unnamed" => unnamed(path(2)),
        "by-how" => {
            let flags = OFlags::CREATE | OFlags::WRONLY;
            openat2(CWD, path(2), flags, Mode::from_raw_mode(0o644), ResolveFlags::empty()).map(drop).or_else(
                |error| {
                    if error == Errno::NOSYS {
                        open(path(2), flags, Mode::from_raw_mode(0o644)).map(drop)
                    } else {
                        Err(error)
                    }
                },
            )
        }
        "rename" => rustix::fs::rename(path(2), path(3)),
        "flood" => flood_with(path(2)),
        "become" => become_other(path(2)),
        _ => Err(Errno::INVAL),
    };
    Some(match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(u8::try_from(error.raw_os_error()).unwrap_or(u8::MAX)),
    })
}

/// A file that is given away before it has a name; one with a name where such files are refused.
fn unnamed(path: &str) -> Result<(), Errno> {
    let user = Some(rustix::fs::Uid::from_raw(5));
    match open("/tmp", OFlags::TMPFILE | OFlags::WRONLY, Mode::from_raw_mode(0o600)) {
        Ok(file) => {
            rustix::fs::fchown(&file, user, None)?;
            linkat(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), CWD, path, AtFlags::SYMLINK_FOLLOW)
        }
        Err(Errno::OPNOTSUPP) => {
            let file = open(path, OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o600))?;
            rustix::fs::fchown(&file, user, None)
        }
        Err(error) => Err(error),
    }
}

/// Asks without end, from many threads.
fn flood_with(count: &str) -> Result<(), Errno> {
    let count: usize = count.parse().map_err(|_| Errno::INVAL)?;
    std::thread::scope(|scope| {
        for _ in 0..count {
            let asker = std::thread::Builder::new().stack_size(64 << 10);
            asker
                .spawn_scoped(scope, || {
                    while rustix::process::getppid().is_none_or(|_| rustix::process::getuid().as_raw() == 0) {
                    }
                })
                .map_err(|_| Errno::AGAIN)?;
        }
        Ok(())
    })
}

/// Every thread becomes another user, as C libraries make all threads do; then each makes a file.
fn become_other(count: &str) -> Result<(), Errno> {
    let count: usize = count.parse().map_err(|_| Errno::INVAL)?;
    let barrier = Barrier::new(count);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (barrier, path) = (&barrier, CString::new(format!("/tmp/by-{number}")));
                std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, move || {
                    barrier.wait();
                    rustix::thread::set_thread_uid(rustix::fs::Uid::from_raw(5))?;
                    let path = path.map_err(|_| Errno::INVAL)?;
                    rustix::fs::mkdir(path.as_c_str(), Mode::from_raw_mode(0o755))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let thread = thread.map_err(|_| Errno::AGAIN)?;
            thread.join().map_err(|_| Errno::IO)?
        })
    })
}

fn play(who: &str, script: &str) -> Result<String, longshore_testkit::Stop> {
    let output = play_as(UNLENT_USER, Isolation::SingleUser, who, script)?;
    Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

/// What /proc/self is depends on who asks; whoever answers must not take it for itself.
fn through_the_asker() -> TestResult {
    let script = "mkdir /tmp/a /tmp/b; cd /tmp/a; exec 9< /tmp/b; exec 8> /tmp/b/opened
        echo > /proc/self/cwd/by-folder; echo > /proc/self/fd/9/by-descriptor; echo > /dev/fd/9/by-device
        mkdir /proc/self/root/tmp/by-root; echo > /proc/$$/cwd/by-number; echo > /proc/thread-self/cwd/by-thread
        ln -s /proc/self/cwd /tmp/here; echo > /tmp/here/by-link
        echo more > /proc/self/fd/8; chown :50 /proc/self/cwd/by-folder; stat -c '%u %g' /proc/self/cwd/by-folder
        ls / /tmp/a /tmp/b | tr '\\n' ' '";
    let text = play("5:6:50", script)?;
    let expected = "5 50\n/:\nbin dev etc proc root sys tmp  /tmp/a: by-folder by-link by-number by-thread  \
        /tmp/b: by-descriptor by-device opened ";
    let expected = format!(
        "{}owner /tmp/a 5 6\nowner /tmp/a/by-folder 5 50\nowner /tmp/a/by-number 5 6\nowner /tmp/a/by-thread 5 6\n\
        owner /tmp/b 5 6\nowner /tmp/b/by-descriptor 5 6\nowner /tmp/b/by-device 5 6\nowner /tmp/b/opened 5 6\n\
        owner /tmp/by-root 5 6\nowner /tmp/here 5 6\n",
        expected.replacen("/:\n", "/: ", 1)
    );
    assert_eq!(text, expected);
    Ok(())
}

/// The init holds folders of the machine, and its process's entries in /proc are hidden from the step.
fn through_the_init() -> TestResult {
    let script = "touch /seen
        for process in 1 self/../1 self/task/../../1; do
            for name in root cwd fd/3 fd/4 fd/5 fd/6 fd/7 fd/8 fd/9 fd/10 fd/11 fd/12; do
                for end in '' /.. /../../../../../../../../etc/passwd /seen; do
                    chown 1:1 /proc/$process/$name$end 2>/dev/null && echo given $process $name$end
                    stat /proc/$process/$name$end/. >/dev/null 2>&1 && echo shown $process $name$end
                done
                mkdir /proc/$process/$name/made 2>/dev/null && echo made $process $name
            done
        done; cd /proc/1 && chown 1:1 root/etc 2>/dev/null && echo given from there; echo done";
    assert_eq!(play("5:6", script)?, "done\nowner /seen 5 6\n");
    assert_eq!(play("0:0", script)?, "done\n");
    Ok(())
}

/// Who has all capabilities in the namespace may look into the init.
fn insecure() -> TestResult {
    let script = "# insecure
        ls /proc/1/fd >/dev/null && echo seen; touch /f; chown 5:6 /f
        for file in /proc/1/fd/* /proc/1/root /proc/1/cwd; do
            ls $file/../lower $file/../../../../../../.. 2>/dev/null | grep -x -e upper -e home -e var
        done";
    // None of these is in the step's own root.
    assert_eq!(play("0:0", script)?, "seen\nowner /f 5 6\n");
    Ok(())
}

/// A queue of questions that is never empty keeps nobody from seeing that the step's own process has ended.
fn flood() -> TestResult {
    let script = "touch /f; chown 5:6 /f
        hostile flood 200 & sleep 1; exit 3";
    let started = Instant::now();
    let output =
        play_as(UNLENT_USER, Isolation::SingleUser, "0:0", &format!("(sleep 20; kill -9 -1) & {script}"))?;
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()),
        (Some(3), "owner /f 5 6\n")
    );
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    Ok(())
}

fn threads() -> TestResult {
    let started = Instant::now();
    let text = play("0:0", "hostile become 1000; echo $?")?;
    let owners: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!((text.lines().next(), owners.len()), (Some("0"), 1000));
    assert!(owners.iter().all(|line| line.starts_with("owner /tmp/by-") && line.ends_with(" 5 0")), "{text}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    Ok(())
}

/// Where a process has no descriptor left, or names what only a folder can be; and a chroot is kept to.
fn not_made() -> TestResult {
    let script = "mkdir -p /jail/bin /jail/tmp; cp /bin/busybox /jail/bin/sh
        (ulimit -n 3; echo > /tmp/none-left) 2>&1; echo > /tmp/folder/; mknod /tmp/pipe/ p; ln -s x /tmp/link/
        cp /bin/busybox /jail/bin/busybox; cd /tmp
        chroot /jail /bin/busybox touch /tmp/absolute ../../../up; chroot /jail /bin/busybox ln -s /etc/made /tmp/link
        chroot /jail /bin/busybox touch /tmp/link; chroot /jail /bin/busybox mkdir /etc; chroot /jail /bin/busybox touch /tmp/link
        ls /tmp /etc | tr '\\n' ' '";
    let text = play("5:6", script)?;
    let expected = "sh: can't create /tmp/none-left: Too many open files\n\
        /etc: hosts passwd resolv.conf  /tmp: sh: can't create /tmp/folder/: Is a directory\n\
        mknod: /tmp/pipe/: No such file or directory\nln: /tmp/link/: No such file or directory\n\
        touch: /tmp/link: No such file or directory\n\
        owner /jail 5 6\nowner /jail/bin 5 6\nowner /jail/bin/busybox 5 6\nowner /jail/bin/sh 5 6\nowner /jail/etc 5 6\n\
        owner /jail/etc/made 5 6\nowner /jail/tmp 5 6\nowner /jail/tmp/absolute 5 6\nowner /jail/tmp/link 5 6\n\
        owner /jail/up 5 6\n";
    assert_eq!(text, expected);
    Ok(())
}

/// Files that are given away before they have a name, that lose the name they were opened by, that replace one of the same name.
fn other_ways() -> TestResult {
    let script = "hostile unnamed /unnamed; echo $?
        ln /cache/old /cache/other; hostile rename /cache/old /cache/other; stat -c '%u %g' /cache/old /cache/other
        rm /cache/old; hostile by-how /cache/old; stat -c '%u %g' /cache/old";
    let text = play("0:0", script)?;
    let expected = "0\n5 11\n5 11\n0 0\ncached / 5 6\ncached /other 5 11\n\
        owner /unnamed 5 0\n";
    assert_eq!(text, expected);
    Ok(())
}
