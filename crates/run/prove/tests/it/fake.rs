//! A runtime whose containers are threads of this process, with a server that behaves as it is told.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use longshore_runtime::{
    ContainerSettings, ContainerState, Execution, ExitStatus, LogLine, LogStream, Output, Runtime,
    RuntimeError, RuntimeErrorKind, Statistics, Status,
};

/// How a service behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// As it should.
    Good,
    /// It ends at once.
    Ends,
    /// It answers 503.
    Unhealthy,
    /// It dies of the signal.
    DiesOfSignal,
    /// It hears no signal.
    Deaf,
    /// It ends with 0 and drops the request in flight, which its handler reads whole.
    Drops,
    /// It writes to /var/lib/app when it starts.
    Writes,
}

pub(crate) struct Fake {
    pub(crate) behaviour: Behaviour,
    /// Settings that this machine cannot have: "--memory".
    pub(crate) without_memory: bool,
    pub(crate) containers: RefCell<HashMap<String, Container>>,
}

pub(crate) struct Container {
    settings: ContainerSettings,
    port: u16,
    exit: Arc<Mutex<Option<i32>>>,
    asked: Arc<AtomicBool>,
    log: String,
}

impl Fake {
    pub(crate) fn new(behaviour: Behaviour) -> Fake {
        Fake { behaviour, without_memory: false, containers: RefCell::default() }
    }

    /// How many containers were left behind.
    pub(crate) fn left(&self) -> usize {
        self.containers.borrow().len()
    }

    fn with<T>(&self, id: &str, then: impl FnOnce(&Container) -> T) -> Result<T, RuntimeError> {
        let containers = self.containers.borrow();
        let found =
            containers.get(id).ok_or_else(|| RuntimeError::new("find", id, RuntimeErrorKind::NoContainer))?;
        Ok(then(found))
    }
}

fn end(exit: &Mutex<Option<i32>>, code: i32) {
    exit.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
}

fn code(exit: &Mutex<Option<i32>>) -> Option<i32> {
    *exit.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request: its head, and two bytes of a body if it has one.
fn serve(mut stream: TcpStream, behaviour: Behaviour, asked: &AtomicBool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    if String::from_utf8_lossy(&bytes).contains("Content-Length: 2") {
        stream.read_exact(&mut byte)?;
        if behaviour == Behaviour::Drops {
            while !asked.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            return Ok(());
        }
        stream.read_exact(&mut byte)?;
    }
    let status = if behaviour == Behaviour::Unhealthy { 503 } else { 200 };
    stream.write_all(
        format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").as_bytes(),
    )
}

impl Runtime for Fake {
    fn describe(&self) -> String {
        "fake".to_owned()
    }

    fn start(&self, settings: &ContainerSettings) -> Result<String, RuntimeError> {
        if self.without_memory && settings.resources.memory.is_some() {
            let reason = "no control groups".to_owned();
            let kind = RuntimeErrorKind::Setting { setting: "--memory".to_owned(), reason, hint: None };
            return Err(RuntimeError::new("start", &settings.image, kind));
        }
        let problem = |error: std::io::Error| {
            RuntimeError::new(
                "start",
                &settings.image,
                RuntimeErrorKind::Failed { cause: error.into(), hint: None },
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").map_err(problem)?;
        listener.set_nonblocking(true).map_err(problem)?;
        let port = listener.local_addr().map_err(problem)?.port();
        let (exit, asked) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let mut log = "listening\n".to_owned();
        match self.behaviour {
            Behaviour::Ends => end(&exit, 3),
            Behaviour::Writes if settings.read_only => {
                "open /var/lib/app/db: read-only file system\n".clone_into(&mut log);
                end(&exit, 1);
            }
            behaviour => {
                let (exit, asked) = (Arc::clone(&exit), Arc::clone(&asked));
                std::thread::spawn(move || {
                    let mut busy = Vec::new();
                    while code(&exit).is_none() {
                        if let Ok((stream, _)) = listener.accept() {
                            let asked = Arc::clone(&asked);
                            let _ = stream.set_nonblocking(false);
                            busy.push(std::thread::spawn(move || serve(stream, behaviour, &asked)));
                        } else if asked.load(Ordering::SeqCst) && behaviour != Behaviour::Deaf {
                            busy.drain(..).for_each(|one| drop(one.join()));
                            end(&exit, 0);
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
            }
        }
        let id = format!("{port}");
        let container = Container { settings: settings.clone(), port, exit, asked, log };
        self.containers.borrow_mut().insert(id.clone(), container);
        Ok(id)
    }

    fn inspect(&self, container: &str) -> Result<ContainerState, RuntimeError> {
        self.with(container, |found| {
            let exit = code(&found.exit).map(|code| ExitStatus { code, out_of_memory: false, reason: None });
            let mut ports = found.settings.ports.clone();
            ports.iter_mut().for_each(|port| port.host = Some(found.port));
            ContainerState {
                id: container.to_owned(),
                name: container.to_owned(),
                status: if exit.is_some() { Status::Exited } else { Status::Running },
                process: exit.is_none().then(std::process::id),
                created: SystemTime::now(),
                started: None,
                finished: None,
                exit,
                health: None,
                restarts: 0,
                ports,
                warnings: Vec::new(),
            }
        })
    }

    fn logs(&self, container: &str) -> Result<Vec<LogLine>, RuntimeError> {
        self.with(container, |found| {
            let text = found.log.clone().into_bytes();
            vec![LogLine { time: SystemTime::now(), stream: LogStream::Stderr, text }]
        })
    }

    fn statistics(&self, container: &str) -> Result<Statistics, RuntimeError> {
        self.with(container, |_| Statistics { memory: 3 << 20, ..Statistics::default() })
    }

    fn execute(&self, id: &str, execution: &Execution, _: Duration) -> Result<Output, RuntimeError> {
        let stdout = format!("{:?}\n", execution.arguments).into_bytes();
        self.with(id, |_| Output { code: 0, stdout, stderr: Vec::new() })
    }

    fn signal(&self, container: &str, signal: i32) -> Result<(), RuntimeError> {
        self.with(container, |found| {
            if self.behaviour == Behaviour::DiesOfSignal {
                end(&found.exit, 128 + signal);
            }
            found.asked.store(true, Ordering::SeqCst);
        })
    }

    fn stop(&self, container: &str, _: Option<Duration>) -> Result<(), RuntimeError> {
        self.with(container, |found| end(&found.exit, 137))
    }

    fn wait(&self, container: &str, timeout: Option<Duration>) -> Result<Option<ExitStatus>, RuntimeError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let ended = self.with(container, |found| code(&found.exit))?;
            if let Some(code) = ended {
                return Ok(Some(ExitStatus { code, out_of_memory: false, reason: None }));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn remove(&self, container: &str, _: bool) -> Result<(), RuntimeError> {
        self.stop(container, None)?;
        self.containers.borrow_mut().remove(container);
        Ok(())
    }
}
