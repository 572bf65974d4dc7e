//! Commands, each in a container of its own.
//!
//! A command without setup and teardown is its container's program. One with them must find what they did: there the container's program only waits,
//! which takes a `sleep` in the image, and all the commands run beside it.

use std::time::Duration;

use longshore_runtime::{
    ContainerSettings, Execution, LogLine, LogStream, MountSettings, MountSource, Output, Runtime,
    RuntimeError,
};

use super::document::{CommandTest, Document, RunOptions};
use super::files::{chain, find, matches};
use super::{Target, environment, expand};
use crate::check::{Outcome, Problem};
use crate::hint::refused;

/// Time that a command may take.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Programs that only wait.
const SLEEPS: [&str; 2] = ["/bin/sleep", "/usr/bin/sleep"];

pub(super) fn command(document: &Document, test: &CommandTest, target: &Target<'_>) -> Outcome {
    let runtime = match &target.runtime {
        Ok(runtime) => *runtime,
        Err(reason) => return Outcome::unchecked(reason),
    };
    let own = environment(target.config);
    let variables = document.global_env_vars.iter().chain(&test.env_vars);
    let variables: Vec<(String, String)> =
        variables.map(|variable| (variable.key.clone(), expand(&variable.value, &own))).collect();
    let settings = match settings(&document.container_run_options, target.image, variables) {
        Ok(settings) => settings,
        Err(reason) => return Outcome::unchecked(reason),
    };
    let all: Vec<(String, String)> = own.into_iter().chain(settings.environment.iter().cloned()).collect();
    let words = std::iter::once(&test.command).chain(&test.args).map(|word| expand(word, &all)).collect();
    let output = match test.setup.is_empty() && test.teardown.is_empty() {
        true => alone(runtime, settings, words),
        false => beside(runtime, settings, words, test, target),
    };
    match output {
        Ok(output) => judge(test, &output),
        Err(outcome) => *outcome,
    }
}

fn settings(
    options: &RunOptions,
    image: &str,
    variables: Vec<(String, String)>,
) -> Result<ContainerSettings, String> {
    if options.privileged {
        return Err("containerRunOptions.privileged: no container is given all rights here".to_owned());
    }
    if let Some(file) = &options.env_file {
        return Err(format!("containerRunOptions.envFile: {file} is not read; write envVars"));
    }
    if !options.env_vars.is_empty() {
        return Err("containerRunOptions.envVars passes on variables of whoever tests; write globalEnvVars"
            .to_owned());
    }
    let mut settings = ContainerSettings {
        image: image.to_owned(),
        environment: variables,
        user: options.user.clone(),
        terminal: options.allocate_tty,
        ..ContainerSettings::default()
    };
    let names = options.capabilities.iter().map(|name| name.to_uppercase().replace("CAP_", ""));
    settings.capabilities.add = names.collect();
    for mount in &options.bind_mounts {
        let parts: Vec<&str> = mount.split(':').collect();
        let [source, target, flags @ ..] = &parts[..] else {
            return Err(format!("containerRunOptions.bindMounts: `{mount}` is not HOST:CONTAINER"));
        };
        settings.mounts.push(MountSettings {
            target: (*target).to_owned(),
            source: MountSource::Bind((*source).into()),
            read_only: flags.contains(&"ro"),
        });
    }
    Ok(settings)
}

/// The command as its container's program.
fn alone(
    runtime: &dyn Runtime,
    mut settings: ContainerSettings,
    mut words: Vec<String>,
) -> Result<Output, Box<Outcome>> {
    let command = words.split_off(1);
    settings.entrypoint = Some(words);
    settings.command = Some(command);
    let finished = match runtime.run(&settings, TIMEOUT) {
        Ok(finished) => finished,
        Err(error) => return not_started(&error),
    };
    let of = |stream: LogStream| {
        let lines = finished.logs.iter().filter(|line: &&LogLine| line.stream == stream);
        lines.flat_map(|line| line.text.iter().copied()).collect()
    };
    Ok(Output { code: finished.exit.code, stdout: of(LogStream::Stdout), stderr: of(LogStream::Stderr) })
}

/// A command that there is not ends with 127, which a test may expect.
fn not_started(error: &RuntimeError) -> Result<Output, Box<Outcome>> {
    match &error.kind {
        longshore_runtime::RuntimeErrorKind::NotStarted { code, reason, .. } => {
            Ok(Output { code: *code, stdout: Vec::new(), stderr: format!("{reason}\n").into_bytes() })
        }
        _ => Err(Box::new(refused(error))),
    }
}

/// The command after its setup, in a container whose program waits.
fn beside(
    runtime: &dyn Runtime,
    mut settings: ContainerSettings,
    words: Vec<String>,
    test: &CommandTest,
    target: &Target<'_>,
) -> Result<Output, Box<Outcome>> {
    let mut sleep = None;
    for path in SLEEPS {
        match find(target.view, path, false) {
            Ok(Some(_)) => sleep = sleep.or(Some(path)),
            Ok(None) => {}
            Err(error) => return Err(Box::new(Outcome::unchecked(chain(&error)))),
        }
    }
    let Some(sleep) = sleep else {
        return Err(Box::new(Outcome::unchecked(
            "setup and teardown need a program that keeps their container alive, and the image has no sleep",
        )));
    };
    settings.entrypoint = Some(vec![sleep.to_owned(), "86400".to_owned()]);
    settings.command = Some(Vec::new());
    let id = runtime.start(&settings).map_err(|error| Box::new(refused(&error)))?;
    let output = in_order(runtime, &id, words, test);
    let removed = runtime.remove(&id, true).map_err(|error| Box::new(refused(&error)));
    output.and_then(|output| removed.map(|()| output))
}

fn in_order(
    runtime: &dyn Runtime,
    id: &str,
    words: Vec<String>,
    test: &CommandTest,
) -> Result<Output, Box<Outcome>> {
    let run = |words: Vec<String>| {
        let execution = Execution { arguments: words, ..Execution::default() };
        runtime.execute(id, &execution, TIMEOUT).map_err(|error| Box::new(refused(&error)))
    };
    let helper = |what: &str, words: &Vec<String>| {
        let output = run(words.clone())?;
        if output.code == 0 {
            return Ok(());
        }
        let wrote = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
        let outcome = Outcome::unchecked(format!("{what} {words:?} ended with {}", output.code));
        Err(Box::new(outcome.with_logs(wrote)))
    };
    test.setup.iter().try_for_each(|words| helper("setup", words))?;
    let output = run(words)?;
    test.teardown.iter().try_for_each(|words| helper("teardown", words))?;
    Ok(output)
}

fn judge(test: &CommandTest, output: &Output) -> Outcome {
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let mut problems = Vec::new();
    if output.code != test.exit_code {
        let (expected, found) =
            (format!("exit code {}", test.exit_code), format!("exit code {}", output.code));
        problems.push(Problem { expected, found });
    }
    for (what, patterns, text, wanted) in [
        ("standard output", &test.expected_output, &stdout, true),
        ("standard output", &test.excluded_output, &stdout, false),
        ("standard error output", &test.expected_error, &stderr, true),
        ("standard error output", &test.excluded_error, &stderr, false),
    ] {
        match matches(patterns, text, wanted) {
            Ok(found) => problems.extend(
                found
                    .into_iter()
                    .map(|problem| Problem { expected: format!("{what}: {}", problem.expected), ..problem }),
            ),
            Err(reason) => return Outcome::unchecked(reason),
        }
    }
    let failed = !problems.is_empty();
    let wrote = stderr.lines().map(str::to_owned).collect::<Vec<_>>();
    let outcome = Outcome::judged(problems);
    if failed {
        outcome.with_logs(wrote.split_at(wrote.len().saturating_sub(10)).1.to_vec())
    } else {
        outcome
    }
}
