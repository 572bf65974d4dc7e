//! Signals on their way through.

use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use longshore_testkit::{Stop, TestResult};
use rustix::process::{Pid, Signal, kill_process};

use crate::init::Init;

/// A running init whose command writes lines.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts the init with a shell script.
    pub(crate) fn start(init: &Init, script: &str) -> Result<Running, Stop> {
        let mut command = init.command(&["sh", "-c", script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| Stop::failed("no stdout"))?;
        Ok(Running { child, lines: BufReader::new(stdout).lines() })
    }

    /// The next line; empty if there is no more.
    pub(crate) fn line(&mut self) -> Result<String, Stop> {
        Ok(self.lines.next().transpose()?.unwrap_or_default())
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends the init a signal by its number.
    pub(crate) fn signal(&self, signal: i32) -> TestResult {
        send(self.pid(), signal)
    }

    /// The exit code once it has ended.
    pub(crate) fn wait(&mut self) -> Result<Option<i32>, Stop> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            if begin.elapsed() > Duration::from_secs(20) {
                return Err(Stop::failed("it does not end"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command of an init that is killed would be left.
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(self.pid(), Signal::CONT);
            let _ = kill_process(self.pid(), Signal::TERM);
            std::thread::sleep(Duration::from_millis(100));
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn send(to: Pid, signal: i32) -> TestResult {
    let signal = Signal::from_named_raw(signal).ok_or_else(|| Stop::failed(format!("no signal {signal}")))?;
    Ok(kill_process(to, signal)?)
}

/// Waits for something that another process is to do.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> TestResult {
    let begin = Instant::now();
    while !is_so() {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err(Stop::failed(format!("{what}: it did not come to that")));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// A shell that says which of these signals it gets, and ends by SIGKILL alone.
fn telling(signals: &[i32]) -> String {
    let traps: String = signals.iter().map(|signal| format!("trap 'echo {signal}' {signal}; ")).collect();
    // Whatever the shell waits for gets the signals too, and ends: it is started anew.
    format!("{traps} echo $$; while :; do sleep 1000 & wait $!; done 2>/dev/null")
}

/// 1 to 31 but those that cannot be caught, SIGCHLD, and those that the terminal stops with.
fn ordinary() -> Vec<i32> {
    (1..32).filter(|signal| ![9, 17, 19, 20, 21, 22].contains(signal)).collect()
}

fn end(mut running: Running, command: &str) -> TestResult {
    let pid =
        command.parse().ok().and_then(Pid::from_raw).ok_or_else(|| Stop::failed("no process number"))?;
    send(pid, 9)?;
    assert_eq!(running.wait()?, Some(137));
    Ok(())
}

pub(crate) fn passed_on() -> TestResult {
    // tini leaves to the kernel what a fault of its own would raise: those end it.
    let faults = [4, 5, 6, 7, 8, 11, 31];
    let inits = [
        (Init::probe(&[]), ordinary()),
        (Init::probe(&["-c"]), ordinary()),
        (Init::probe(&["-g"]), ordinary()),
        (Init::dumb_init(&[])?, ordinary()),
        (Init::dumb_init(&["-c"])?, ordinary()),
        (Init::tini(&["-s"])?, ordinary().into_iter().filter(|signal| !faults.contains(signal)).collect()),
    ];
    for (init, signals) in inits {
        let mut running = Running::start(&init, &telling(&signals))?;
        let command = running.line()?;
        for signal in signals {
            running.signal(signal)?;
            assert_eq!(running.line()?, signal.to_string(), "{}", init.name);
        }
        end(running, &command)?;
    }
    Ok(())
}

pub(crate) fn rewritten() -> TestResult {
    let rules = ["-r", "1:4", "-r2:31", "--rewrite", "15:10", "--rewrite=3:0", "-r", "12:12"];
    let named = ["-r", "HUP:ILL", "-r", "SIGINT:SYS", "-r", "TERM:SIGUSR1", "-r", "QUIT:0"];
    for init in [Init::probe(&rules), Init::probe(&named), Init::dumb_init(&rules)?] {
        let mut running = Running::start(&init, &telling(&ordinary()))?;
        let command = running.line()?;
        for (sent, received) in [(1, "4"), (2, "31"), (15, "10"), (12, "12")] {
            // One that is not passed on, first: nothing comes of it.
            running.signal(3)?;
            running.signal(sent)?;
            assert_eq!(running.line()?, received, "{} {sent}", init.name);
        }
        end(running, &command)?;
    }
    Ok(())
}

/// Whether a process that the command started gets a SIGTERM, too.
pub(crate) fn reach() -> TestResult {
    let script = "trap 'echo child' TERM; \
        sh -c 'trap \"echo grandchild; exit\" TERM; echo ready; while :; do sleep 0.01; done' & \
        wait; wait; echo end";
    let cases = [
        (Init::probe(&[]), true),
        (Init::probe(&["-g"]), true),
        (Init::probe(&["-c"]), false),
        (Init::dumb_init(&[])?, true),
        (Init::dumb_init(&["-c"])?, false),
        (Init::tini(&["-s", "-g"])?, true),
        (Init::tini(&["-s"])?, false),
    ];
    for (init, reaches) in cases {
        let mut running = Running::start(&init, script)?;
        assert_eq!(running.line()?, "ready");
        running.signal(15)?;
        let mut lines = vec![running.line()?];
        if reaches {
            lines.push(running.line()?);
        }
        lines.sort();
        assert_eq!(lines, if reaches { vec!["child", "grandchild"] } else { vec!["child"] }, "{}", init.name);
        if reaches {
            assert_eq!(running.line()?, "end");
            assert_eq!(running.wait()?, Some(0));
        } else {
            // What is left waits for a second SIGTERM, to itself.
            let children = children_of(&running)?;
            for grandchild in children {
                send(grandchild, 15)?;
            }
            assert_eq!(running.line()?, "grandchild");
        }
    }
    Ok(())
}

/// The processes that the init's command started.
fn children_of(running: &Running) -> Result<Vec<Pid>, Stop> {
    let list = |pid: &str| -> Result<Vec<String>, Stop> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    };
    let mut found = Vec::new();
    for command in list(&running.pid().as_raw_nonzero().to_string())? {
        for child in list(&command)? {
            found.extend(child.parse().ok().and_then(Pid::from_raw));
        }
    }
    Ok(found)
}

/// The state of a process in /proc/PID/stat: `T` is stopped.
fn state(pid: &str) -> String {
    let mut stat = String::new();
    let read =
        std::fs::File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read_to_string(&mut stat));
    let after = read.ok().and_then(|_| stat.rsplit_once(") "));
    after.map(|(_, rest)| rest.chars().take(1).collect()).unwrap_or_default()
}

/// Shells that start nothing while they wait: one that is stopped between vfork and exec would not let the shell be stopped.
const WAITING: &str =
    "trap 'echo continued; exit 4' CONT; sleep 1000 >/dev/null & echo $$; while :; do wait; done";
const REWRITTEN: &str =
    "trap 'echo got; exit 0' USR1; sleep 1000 >/dev/null & echo ready; while :; do wait; done";

pub(crate) fn stopped() -> TestResult {
    for init in [Init::probe(&[]), Init::dumb_init(&[])?] {
        for signal in [20, 21, 22] {
            let mut running = Running::start(&init, WAITING)?;
            let command = running.line()?;
            let own = running.pid().as_raw_nonzero().to_string();
            running.signal(signal)?;
            eventually(&format!("{} and its command stop at {signal}", init.name), || {
                [&own, &command].iter().all(|pid| state(pid) == "T")
            })?;
            running.signal(18)?;
            assert_eq!(running.line()?, "continued", "{}", init.name);
            assert_eq!(running.wait()?, Some(4));
        }
        // A rule takes the place of the default, and the init stops all the same.
        let name = init.name;
        let init =
            if name == "probe" { Init::probe(&["-r", "20:10"]) } else { Init::dumb_init(&["-r", "20:10"])? };
        let mut running = Running::start(&init, REWRITTEN)?;
        assert_eq!(running.line()?, "ready");
        running.signal(20)?;
        assert_eq!(running.line()?, "got", "{name}");
        let own = running.pid().as_raw_nonzero().to_string();
        eventually("the init stops", || state(&own) == "T")?;
        running.signal(18)?;
        assert_eq!(running.wait()?, Some(0));
    }
    Ok(())
}
