//! Containers of an engine as a [`Runtime`].
//!
//! Source: Docker Engine API 1.41 and later, "Containers" and "Exec". Podman's compatible API answers alike. Whoever tests an image asks an engine
//! through this exactly what longshore's own containers are asked.

mod answers;
mod create;
mod streams;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use longshore_events::Events;
use longshore_http::{Body as HttpBody, Bytes, Method, Request, Response, header};
use longshore_runtime::{
    ContainerSettings, ContainerState, Execution, ExitStatus, LogLine, Output, Runtime, RuntimeError,
    RuntimeErrorKind, Statistics,
};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::error::{EngineError, EngineErrorKind};
use crate::stream::Body;

use self::answers::{state, statistics};
use self::streams::{Outputs, lines, separated};

/// Time between two looks at whether a container has ended.
const PAUSE: Duration = Duration::from_millis(25);

/// Where an engine's containers run, and what they are told apart from others by.
pub struct EngineRuntime<'e> {
    engine: &'e Engine,
    events: &'e Events,
    description: String,
}

impl<'e> EngineRuntime<'e> {
    /// The containers of an engine. Errors: it does not answer.
    pub fn new(engine: &'e Engine, events: &'e Events) -> Result<EngineRuntime<'e>, EngineError> {
        let info = engine.info(events)?;
        let description = format!("{} {}", info.kind, info.version);
        Ok(EngineRuntime { engine, events, description })
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response, EngineErrorKind> {
        let mut call = self.engine.request(method, path, self.events)?;
        if !query.is_empty() {
            call.url.query_pairs_mut().extend_pairs(query);
        }
        let request = Request::new(call.method, call.url);
        let request = match body {
            Some(body) => {
                let bytes = serde_json::to_vec(body).map_err(EngineErrorKind::Json)?;
                request
                    .text_header(header::CONTENT_TYPE, "application/json")
                    .body(HttpBody::Bytes(Bytes::from(bytes)))
            }
            None => request,
        };
        self.engine.send(&request, self.events)
    }

    fn json(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, EngineErrorKind> {
        let response = self.send(method, path, query, body)?;
        serde_json::from_reader(Body::new(response)).map_err(EngineErrorKind::Json)
    }

    fn failed(&self, action: &'static str, container: &str, kind: EngineErrorKind) -> RuntimeError {
        RuntimeError::new(action, container, self.cause(action, kind))
    }

    /// What an engine's answer means.
    fn cause(&self, action: &'static str, kind: EngineErrorKind) -> RuntimeErrorKind {
        let EngineErrorKind::Status { status, message } = &kind else {
            let error = self.engine.error(action, kind);
            let hint = error.hint();
            return RuntimeErrorKind::Failed { cause: Box::new(error), hint };
        };
        let lower = message.to_ascii_lowercase();
        let not_started =
            |code: i32| RuntimeErrorKind::NotStarted { code, reason: message.clone(), hint: None };
        if lower.contains("no such image") {
            return RuntimeErrorKind::NoImage;
        }
        if lower.contains("no such container") {
            return RuntimeErrorKind::NoContainer;
        }
        if lower.contains("is not running") {
            return RuntimeErrorKind::NotRunning;
        }
        if lower.contains("port is already allocated") || lower.contains("address already in use") {
            let port = message.split_whitespace().find(|word| word.contains(':')).unwrap_or_default();
            return RuntimeErrorKind::PortTaken { port: port.trim_end_matches(':').to_owned(), by: None };
        }
        // What the OCI runtime says of a program that it cannot start, through the engine.
        if lower.contains("executable file not found") || lower.contains("no such file or directory") {
            return not_started(127);
        }
        if lower.contains("permission denied") || lower.contains("exec format error") {
            return not_started(126);
        }
        let is_refused = matches!(status, 400 | 409);
        let reason = kind.to_string();
        let error = self.engine.error(action, kind);
        match is_refused {
            true => RuntimeErrorKind::Setting { setting: self.description.clone(), reason, hint: None },
            false => {
                let hint = error.hint();
                RuntimeErrorKind::Failed { cause: Box::new(error), hint }
            }
        }
    }

    fn details(&self, container: &str) -> Result<Value, EngineErrorKind> {
        self.json(Method::GET, &format!("containers/{container}/json"), &[], None)
    }

    /// Makes an exec, and says its id.
    fn exec(&self, container: &str, execution: &Execution) -> Result<String, EngineErrorKind> {
        let environment = execution.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let order = json!({
            "AttachStdout": true,
            "AttachStderr": true,
            "Cmd": execution.arguments,
            "Env": environment.collect::<Vec<_>>(),
            "WorkingDir": execution.folder.as_deref().unwrap_or_default(),
            "User": execution.user.as_deref().unwrap_or_default(),
        });
        let made = self.json(Method::POST, &format!("containers/{container}/exec"), &[], Some(&order))?;
        Ok(made["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// Starts an exec, and reads both its outputs to their ends. `None` if the time is over first.
    fn outputs(&self, id: &str, timeout: Duration) -> Result<Option<Outputs>, EngineErrorKind> {
        let order = json!({ "Detach": false, "Tty": false });
        let response = self.send(Method::POST, &format!("exec/{id}/start"), &[], Some(&order))?;
        let (sender, receiver) = mpsc::channel();
        // An engine has no way to end one: its reader is left behind, and ends with the container.
        std::thread::spawn(move || sender.send(separated(Body::new(response))));
        match receiver.recv_timeout(timeout) {
            Ok(outputs) => Ok(Some(outputs.map_err(EngineErrorKind::Stream)?)),
            Err(_) => Ok(None),
        }
    }
}

impl Runtime for EngineRuntime<'_> {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn start(&self, settings: &ContainerSettings) -> Result<String, RuntimeError> {
        const ACTION: &str = "run";
        let failed = |kind| self.failed(ACTION, &settings.image, kind);
        let order = create::order(settings);
        let name = settings.name.as_deref().map(|name| ("name", name));
        let made = self.json(Method::POST, "containers/create", name.as_slice(), Some(&order));
        let made = made.map_err(|kind| match (&kind, &settings.name) {
            (EngineErrorKind::Status { status: 409, .. }, Some(name)) => {
                RuntimeError::new(ACTION, &settings.image, RuntimeErrorKind::NameTaken(name.clone()))
            }
            _ => failed(kind),
        })?;
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        match self.send(Method::POST, &format!("containers/{id}/start"), &[], None) {
            Ok(_) => Ok(id),
            Err(kind) => {
                // The first error is the one to be told; what stays is listed by the engine.
                let _ = self.remove(&id, true);
                Err(failed(kind))
            }
        }
    }

    fn inspect(&self, container: &str) -> Result<ContainerState, RuntimeError> {
        let details = self.details(container).map_err(|kind| self.failed("inspect", container, kind))?;
        Ok(state(&details))
    }

    fn logs(&self, container: &str) -> Result<Vec<LogLine>, RuntimeError> {
        const ACTION: &str = "read the log of";
        let failed = |kind| self.failed(ACTION, container, kind);
        let is_terminal = self.details(container).map_err(failed)?["Config"]["Tty"] == true;
        let query = [("stdout", "1"), ("stderr", "1"), ("timestamps", "1")];
        let response = self.send(Method::GET, &format!("containers/{container}/logs"), &query, None);
        let response = response.map_err(failed)?;
        lines(Body::new(response), is_terminal).map_err(|error| failed(EngineErrorKind::Stream(error)))
    }

    fn statistics(&self, container: &str) -> Result<Statistics, RuntimeError> {
        const ACTION: &str = "measure";
        let query = [("stream", "0"), ("one-shot", "1")];
        let found = self.json(Method::GET, &format!("containers/{container}/stats"), &query, None);
        let found = found.map_err(|kind| self.failed(ACTION, container, kind))?;
        statistics(&found).ok_or_else(|| RuntimeError::new(ACTION, container, RuntimeErrorKind::NotRunning))
    }

    fn execute(
        &self,
        container: &str,
        execution: &Execution,
        timeout: Duration,
    ) -> Result<Output, RuntimeError> {
        const ACTION: &str = "run a program in";
        let failed = |kind| match self.failed(ACTION, container, kind) {
            RuntimeError { kind: RuntimeErrorKind::NotStarted { code, reason, .. }, .. } => {
                Ok(Output { code, stdout: Vec::new(), stderr: format!("{reason}\n").into_bytes() })
            }
            error => Err(error),
        };
        let ran = self.exec(container, execution).and_then(|id| Ok((self.outputs(&id, timeout)?, id)));
        let (outputs, id) = match ran {
            Ok(ran) => ran,
            Err(kind) => return failed(kind),
        };
        let Some(Outputs { stdout, stderr }) = outputs else {
            return Err(RuntimeError::new(ACTION, container, RuntimeErrorKind::Timeout(timeout)));
        };
        let ended = self.json(Method::GET, &format!("exec/{id}/json"), &[], None);
        let ended = ended.map_err(|kind| self.failed(ACTION, container, kind))?;
        let code = ended["ExitCode"].as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(-1);
        // Some engines have 126 for a program that is not there, and tell of it as if it had written that.
        let code = if code == 126 && is_not_there(&stdout) { 127 } else { code };
        Ok(Output { code, stdout, stderr })
    }

    fn signal(&self, container: &str, signal: i32) -> Result<(), RuntimeError> {
        let query = [("signal", signal.to_string())];
        let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
        let sent = self.send(Method::POST, &format!("containers/{container}/kill"), &query, None);
        sent.map(drop).map_err(|kind| self.failed("send a signal to", container, kind))
    }

    fn stop(&self, container: &str, timeout: Option<Duration>) -> Result<(), RuntimeError> {
        let seconds = timeout.map(|timeout| timeout.as_secs_f64().ceil().to_string());
        let query = seconds.as_deref().map(|seconds| ("t", seconds));
        let sent = self.send(Method::POST, &format!("containers/{container}/stop"), query.as_slice(), None);
        sent.map(drop).map_err(|kind| self.failed("stop", container, kind))
    }

    fn wait(&self, container: &str, timeout: Option<Duration>) -> Result<Option<ExitStatus>, RuntimeError> {
        // One that is further away than a clock counts is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(exit) = self.inspect(container)?.exit {
                return Ok(Some(exit));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn remove(&self, container: &str, force: bool) -> Result<(), RuntimeError> {
        let force = if force { "1" } else { "0" };
        // Its volumes without a name go with it.
        let query = [("force", force), ("v", "1")];
        match self.send(Method::DELETE, &format!("containers/{container}"), &query, None) {
            Ok(_) => Ok(()),
            Err(EngineErrorKind::Status { status: 409, message }) if message.contains("running") => {
                Err(RuntimeError::new("remove", container, RuntimeErrorKind::Running))
            }
            Err(kind) => Err(self.failed("remove", container, kind)),
        }
    }
}

/// Whether what came instead of a program's output says that there is no such program.
fn is_not_there(stdout: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stdout);
    let reasons = ["no such file or directory", "executable file not found"];
    text.starts_with("OCI runtime exec failed") && reasons.iter().any(|reason| text.contains(reason))
}
