//! RUN: one process in the sandbox, and what it leaves.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use longshore_dockerfile::arguments::is_proxy;
use longshore_dockerfile::instruction::{CommandLine, Run};
use longshore_dockerfile::{Word, expand};
use longshore_events::Task;
use longshore_sandbox::{Ended, Isolation, Network, Stream, User};
use longshore_snapshot::{Snapshot, View};

use crate::error::InstructionErrorKind;
use crate::key::{Key, KeyWriter};
use crate::mounts::{Mounted, PreparedMount};
use crate::origin::failed;
use crate::request::NetworkMode;
use crate::solve::{At, Mode, Solve, Stop};
use crate::source::{StageFiles, StepFacts};
use crate::state::StageState;
use crate::step::Doing;
use crate::transfer::MAX_USERS;
use longshore_sandbox::{Identity, process_identity};

/// Host name that steps see; BuildKit's, since build scripts were seen to print it into files.
const HOSTNAME: &str = "buildkitsandbox";

/// Where a script that stands in the Dockerfile is found by the step.
const SCRIPTS: &str = "/dev/pipes";

/// Lines of output that an error shows.
const LAST_LINES: usize = 20;

/// Longest line that is kept whole, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// What a RUN does, made sense of.
pub(crate) struct Command {
    pub(crate) arguments: Vec<String>,
    /// A script to be there under [`SCRIPTS`]: name and text.
    script: Option<(String, String)>,
    network: Network,
    insecure: bool,
}

impl<'a> Solve<'a> {
    /// RUN.
    pub(crate) fn run_step(
        &self,
        state: &mut StageState,
        at: At<'_>,
        run: &Run,
        mode: Mode,
    ) -> Result<(), Stop> {
        let command = self.command(state, &at, run)?;
        let (key, mounts) = self.lazily(&at, mode, &|mode| {
            let mounts = self.prepare_mounts(state, &at, run, mode)?;
            Ok((self.run_key(state, &command, &mounts), mounts))
        })?;
        let below = state.clone();
        let key =
            self.step(&below, &at, key, mode, &mut |doing| self.execute(doing, &at, &command, &mounts))?;
        let created_by = format!("RUN {} # buildkit", told(state, &command.arguments));
        state.push(key, key, created_by);
        Ok(())
    }

    fn command(&self, state: &StageState, at: &At<'_>, run: &Run) -> Result<Command, Stop> {
        let mut script = None;
        let arguments = match &run.command {
            CommandLine::Exec(words) => words.clone(),
            CommandLine::Shell(line) => {
                let (line, shebang) = shell_line(line, run);
                match shebang {
                    Some((name, text)) => {
                        let path = format!("{SCRIPTS}/{name}");
                        script = Some((name, text));
                        [state.shell(), vec![path]].concat()
                    }
                    None => [state.shell(), vec![line]].concat(),
                }
            }
        };
        let word = |word: &Option<Word>| -> Result<Option<String>, Stop> {
            let Some(word) = word else { return Ok(None) };
            state.expand(&word.text, self.file.escape).map(Some).map_err(|error| failed(at, error))
        };
        let refuse = |what, value: String, expected: &str| {
            failed(at, InstructionErrorKind::Value { what, value, expected: expected.to_owned() })
        };
        let network = match word(&run.network)?.as_deref() {
            None | Some("" | "default") => match self.request.network {
                NetworkMode::Host => Network::Host,
                NetworkMode::None => Network::None,
            },
            Some("none") => Network::None,
            Some("host") => Network::Host,
            Some(other) => return Err(refuse("--network", other.to_owned(), "default, none or host")),
        };
        let insecure = match word(&run.security)?.as_deref() {
            None | Some("" | "sandbox") => false,
            Some("insecure") if self.request.allow_insecure => true,
            Some("insecure") => return Err(failed(at, InstructionErrorKind::Insecure)),
            Some(other) => return Err(refuse("--security", other.to_owned(), "sandbox or insecure")),
        };
        Ok(Command { arguments, script, network, insecure })
    }

    /// What the result depends on: words, environment, folder, user, mounts and what is below; no addresses of hosts, no proxies, no
    /// content of caches or secrets.
    fn run_key(&self, state: &StageState, command: &Command, mounts: &[PreparedMount]) -> Key {
        let mut key = KeyWriter::new("run");
        key.key(&state.key).list(command.arguments.iter().map(String::as_str));
        key.optional(command.script.as_ref().map(|(_, text)| text.as_str()));
        key.number(state.variables.len() as u64);
        for (name, value) in &state.variables {
            key.text(name).text(value);
        }
        key.text(state.folder()).text(&state.config.config.user);
        key.text(match command.network {
            Network::Host => "host",
            Network::None => "none",
            Network::Own => "own",
        });
        key.flag(command.insecure).text(&state.platform.to_string());
        key.list(self.request.hosts.iter().map(|(name, _)| name.as_str()));
        key.number(mounts.len() as u64);
        for mount in mounts {
            mount.describe(&mut key);
        }
        key.finish()
    }

    fn execute(
        &self,
        doing: &Doing<'_>,
        at: &At<'_>,
        command: &Command,
        mounts: &[PreparedMount],
    ) -> Result<Snapshot, Stop> {
        let state = doing.state;
        let chain = self.chain(state)?;
        let view = chain.view(&self.events)?;
        let identity = self.identity(state, at, &view)?;
        let isolation = self.builder.isolate.for_run()?;
        let mut draft = self.snapshots().draft(&chain)?;
        if view.lookup(Path::new(state.folder()))?.is_none() {
            let mut writer = draft.writer(chain.view(&self.events)?)?;
            let folder = crate::tree::below_root(&view.resolve(Path::new(state.folder()))?);
            writer.create_folders(&folder, 0o755, identity.uid, identity.gid, (self.now, 0))?;
        }
        let mut mounted = self.mount(at, mounts)?;
        if let Some((name, text)) = &command.script {
            mounted.script(self, Path::new(SCRIPTS), (name, text))?;
        }
        if let Some(bundle) = &self.request.host_ca {
            mounted.host_authorities(bundle);
        }
        self.advise(doing, (at, command, isolation), (&view, &identity), &mut mounted);
        let step = longshore_sandbox::Step {
            isolation,
            root: draft.root(&self.events)?,
            mounts: std::mem::take(&mut mounted.mounts),
            arguments: command.arguments.iter().map(OsString::from).collect(),
            environment: self.environment(state, &identity, &mounted),
            folder: PathBuf::from(state.folder()),
            user: User { uid: identity.uid, gid: identity.gid, groups: identity.groups.clone() },
            hostname: HOSTNAME.to_owned(),
            network: command.network,
            address: None,
            insecure: command.insecure,
            rights: longshore_sandbox::Rights::default(),
            read_only: false,
            hosts: self.request.hosts.clone(),
            limits: self.request.limits.clone(),
            input: None,
            owners: draft.owners_table(),
            mount_owners: std::mem::take(&mut mounted.owners),
        };
        let mut output = Output::new(doing.task);
        let ended =
            longshore_sandbox::run(&step, &self.events, &mut |stream, bytes| output.take(stream, bytes));
        output.finish();
        let ended = ended.map_err(|error| failed(at, error))?;
        drop(mounted);
        if !ended.status.is_success() {
            return Err(failed(at, exit_error(command, &ended, self.builder.store.root(), output.last)));
        }
        Ok(draft.commit(&doing.key.snapshot())?)
    }

    fn identity(&self, state: &StageState, at: &At<'_>, view: &View) -> Result<Identity, Stop> {
        let read = |path: &str| view.read_small(Path::new(path), MAX_USERS).map(Option::unwrap_or_default);
        let (passwd, group) = (read("/etc/passwd")?, read("/etc/group")?);
        process_identity(&state.config.config.user, &passwd, &group).map_err(|error| failed(at, error))
    }

    /// The step's whole environment: the stage's variables, proxies given from outside, secrets, advice.
    fn environment(
        &self,
        state: &StageState,
        identity: &Identity,
        mounted: &Mounted,
    ) -> Vec<(OsString, OsString)> {
        let mut variables: Vec<(String, OsString)> =
            state.variables.iter().map(|(name, value)| (name.clone(), OsString::from(value))).collect();
        let mut add = |name: &str, value: OsString| {
            variables.retain(|(known, _)| known != name);
            variables.push((name.to_owned(), value));
        };
        for (name, value) in self.request.build_args.iter().filter(|(name, _)| is_proxy(name)) {
            // Programs differ in which of the two they read.
            for name in [name.to_ascii_uppercase(), name.to_ascii_lowercase()] {
                if state.variable(&name).is_none() {
                    add(&name, OsString::from(value));
                }
            }
        }
        for (name, value) in &mounted.environment {
            add(name, value.clone());
        }
        if state.variable("HOME").is_none() {
            let home =
                identity.home.clone().filter(|home| !home.is_empty()).unwrap_or_else(|| "/".to_owned());
            add("HOME", OsString::from(home));
        }
        variables.into_iter().map(|(name, value)| (OsString::from(name), value)).collect()
    }

    fn advise(
        &self,
        doing: &Doing<'_>,
        (at, command, isolation): (&At<'_>, &Command, Isolation),
        (view, identity): (&View, &Identity),
        mounted: &mut Mounted,
    ) {
        if self.builder.advisors.is_empty() {
            return;
        }
        let stage = &self.graph.stages[at.stage];
        let later: Vec<String> = self.later(at);
        let copied = self.copied_from(at.stage);
        let targets: Vec<String> =
            mounted.mounts.iter().map(|mount| mount.target.to_string_lossy().into_owned()).collect();
        let facts = StepFacts {
            project: &self.project(),
            stage: &stage.label(),
            is_exported: self.is_exported(at.stage),
            arguments: &command.arguments,
            environment: &doing.state.variables,
            folder: doing.state.folder(),
            user: &doing.state.config.config.user,
            home: identity.home.as_deref(),
            mounts: &targets,
            later: &later,
            copied: &copied,
            has_proc: isolation.has_proc(),
            files: &Files(view),
        };
        for advisor in &self.builder.advisors {
            let advice = advisor.advise(&facts);
            if !advice.reason.is_empty() {
                doing.task.output(advice.reason.clone());
            }
            mounted.advice(advice);
        }
    }
}

struct Files<'v>(&'v View);

impl StageFiles for Files<'_> {
    fn read(&self, path: &str, limit: u64) -> Option<Vec<u8>> {
        self.0.read_small(Path::new(path), limit).ok().flatten()
    }
}

/// The line for the shell, and the script if the heredoc is one: a single heredoc and nothing else is the script or the shell's line
/// itself, another is given to the shell as it was written.
fn shell_line(line: &Word, run: &Run) -> (String, Option<(String, String)>) {
    let Some(first) = run.heredocs.first() else { return (line.text.clone(), None) };
    if is_script(&line.text) && run.heredocs.len() == 1 {
        let text = first.text();
        if text.starts_with("#!") {
            return (String::new(), Some((first.name.clone(), text)));
        }
        return (text, None);
    }
    let mut whole = line.text.clone();
    for heredoc in &run.heredocs {
        whole.push('\n');
        whole.push_str(&heredoc.content);
        whole.push_str(&heredoc.name);
    }
    (whole, None)
}

/// Whether a line is one heredoc and nothing else: `<<EOF`, `<<-"EOF"`, `3<<EOF`.
fn is_script(line: &str) -> bool {
    let rest = line.trim().trim_start_matches(|character: char| character.is_ascii_digit());
    let Some(name) = rest.strip_prefix("<<") else { return false };
    let name = name.strip_prefix('-').unwrap_or(name);
    let words = expand::expand_words(name, '\\', &|_| None);
    !name.contains('<') && words.is_ok_and(|words| words.len() == 1)
}

/// The words as the history has them: declared arguments first, with how many they are.
fn told(state: &StageState, arguments: &[String]) -> String {
    let mut declared: Vec<(&str, String)> = Vec::new();
    for (name, value) in &state.arguments {
        let value = state.variable(name).map(str::to_owned).or_else(|| value.clone()).unwrap_or_default();
        match declared.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => declared.push((name, value)),
        }
    }
    let mut words = Vec::new();
    if !declared.is_empty() {
        words.push(format!("|{}", declared.len()));
        words.extend(declared.iter().map(|(name, value)| format!("{name}={value}")));
    }
    words.extend(arguments.iter().cloned());
    words.join(" ")
}

fn exit_error(
    command: &Command,
    ended: &Ended,
    store: &Path,
    output: VecDeque<String>,
) -> InstructionErrorKind {
    let output: Vec<String> = output.into_iter().collect();
    let (command, full) = (command.arguments.join(" "), ended.full.then(|| store.to_owned()));
    InstructionErrorKind::Exit { command, status: ended.status, output, full, exceeded: ended.exceeded }
}

/// Cuts output into lines, passes them on and keeps the last ones.
struct Output<'t> {
    task: &'t Task,
    pending: [Vec<u8>; 2],
    last: VecDeque<String>,
}

impl<'t> Output<'t> {
    fn new(task: &'t Task) -> Self {
        Output { task, pending: [Vec::new(), Vec::new()], last: VecDeque::new() }
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let index = usize::from(stream == Stream::Stderr);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending[index].extend_from_slice(part);
            if part.ends_with(b"\n") || self.pending[index].len() >= MAX_LINE {
                self.line(index);
            }
        }
    }

    fn line(&mut self, index: usize) {
        let bytes = std::mem::take(&mut self.pending[index]);
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        // A progress bar draws over its line again and again: what stands there last is what counts.
        let bytes = bytes.rsplit(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(bytes).into_owned();
        self.task.output(line.clone());
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    fn finish(&mut self) {
        for index in 0..2 {
            if !self.pending[index].is_empty() {
                self.line(index);
            }
        }
    }
}

/// Expands the values of a mount in a stage.
pub(crate) fn expander<'s>(
    state: &'s StageState,
    escape: char,
) -> impl Fn(&str) -> Result<String, expand::ExpandError> + 's {
    move |text| state.expand(text, escape)
}
