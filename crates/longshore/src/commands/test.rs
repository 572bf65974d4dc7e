//! `longshore test`.

mod deployed;
mod render;
mod subject;

use clap::Args;
use longshore_container::{Containers, Launch, OwnRuntime};
use longshore_docker::{Address, EngineKind, EngineRuntime};
use longshore_image::archive::SavedImage;
use longshore_oci::{Platform, Reference};
use longshore_prove::structure::{Document, Target, structure};
use longshore_prove::{Checks, Outcome, Users, Verdict, as_deployed, behaviour, hardening};
use longshore_runtime::Runtime;
use longshore_sandbox::Isolation;

use self::deployed::{DeployedArgs, Deployment};
use self::render::TestReport;
use self::subject::Tested;
use crate::arguments::OutputFormat;
use crate::context::Context;
use crate::exit::Exit;
use crate::inside;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Ui};

pub(crate) use self::deployed::WorkloadError;

/// Test an image: its structure, how it behaves, what hardening it bears
///
/// Structure tests are container-structure-test's files, as they are. Behaviour and hardening need no file: what is expected is read from the image.
/// With --compose and --k8s it is tested under exactly the settings of a deployment. Without any of these named, behaviour and hardening are tested. Ends with 3 if a check failed, with 4 if one could not be made.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Image: a name or digest of the store, or a transport and a place, such as oci:DIR
    image: ImageLocation,

    /// File of structure tests, YAML or JSON; can be given several times
    #[arg(long, value_name = "FILE")]
    structure: Vec<std::path::PathBuf>,

    /// Test how it starts, answers, and ends
    #[arg(long)]
    behaviour: bool,

    /// Test the same under each constraint of a hardened deployment, and under all
    #[arg(long)]
    hardening: bool,

    #[command(flatten)]
    deployed: DeployedArgs,

    /// Platform of the image, such as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,

    /// Port inside that it serves HTTP on [default: the lowest that it exposes, or its PORT]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Path whose 2xx shows its health [default: HEALTHCHECK, else /health, /healthz, /ready, /readyz, /livez, /]
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,

    /// Seconds in which it must become healthy [default: 30, or as the deployment's probes leave it]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,

    /// Seconds in which it must end when asked [default: 10, or the deployment's]
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,

    /// Variable of its containers, NAME=VALUE; can be given several times
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// Stop at the first check that fails or cannot be made
    #[arg(long)]
    fail_fast: bool,

    /// Run its containers by an engine instead of longshore; DOCKER_HOST and contexts say where it is
    #[arg(long, value_name = "ENGINE", value_enum, conflicts_with = "isolation")]
    engine: Option<EngineChoice>,

    /// How it is isolated [default: the best that works here; see `longshore doctor`]
    #[arg(long, value_name = "NAME")]
    isolation: Option<Isolation>,

    /// Form of the report; JSON has a version and a schema in docs/schema
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: TestFormat,
}

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum EngineChoice {
    /// Docker
    Docker,
    /// Podman
    Podman,
}

impl From<EngineChoice> for EngineKind {
    fn from(choice: EngineChoice) -> EngineKind {
        match choice {
            EngineChoice::Docker => EngineKind::Docker,
            EngineChoice::Podman => EngineKind::Podman,
        }
    }
}

/// The form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum TestFormat {
    /// Lines for a person
    #[default]
    Human,
    /// One JSON document
    Json,
    /// JUnit's XML
    Junit,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// What is to be tested.
struct Wanted {
    documents: Vec<Document>,
    behaves: bool,
    is_hardened: bool,
    deployments: Vec<Deployment>,
}

impl Wanted {
    /// What was asked for; its deployments are read later, since standard input can be read once.
    fn of(arguments: &TestArgs) -> Result<Wanted, CommandError> {
        let documents = documents(arguments)?;
        let named = arguments.behaviour || arguments.hardening || arguments.deployed.any();
        let default = documents.is_empty() && !named;
        Ok(Wanted {
            documents,
            behaves: arguments.behaviour || default,
            is_hardened: arguments.hardening || default,
            deployments: Vec::new(),
        })
    }

    /// Whether anything must run for it.
    fn runs(&self, arguments: &TestArgs) -> bool {
        let commands = self.documents.iter().any(|document| !document.command_tests.is_empty());
        self.behaves || self.is_hardened || arguments.deployed.any() || commands
    }
}

pub(crate) fn test(arguments: &TestArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut wanted = Wanted::of(arguments)?;
    let isolation = match wanted.runs(arguments) && arguments.engine.is_none() {
        true => inside::for_containers(arguments.isolation).map_err(|error| error.to_string()),
        false => Err(String::new()),
    };
    if let Ok(isolation) = isolation
        && isolation.is_inside()
        && longshore_sandbox::inside() != Some(isolation)
    {
        return inside::go_inside(isolation, ui);
    }
    wanted.deployments = arguments.deployed.deployments(&arguments.image.to_string(), context, ui)?;
    let tested = Tested::open(arguments, context, ui).map_err(|error| error.ending(Exit::Unchecked))?;
    let mut checks = Checks::new(arguments.fail_fast).interruptible(ui.events());
    match arguments.engine {
        Some(kind) if wanted.runs(arguments) => {
            on_engine(kind, (arguments, &wanted), tested, context, ui, &mut checks)
                .map_err(|error| error.ending(Exit::Unchecked))
                .and_then(|tested| report(arguments, &tested, &checks, ui))
        }
        _ => {
            let containers = Containers::of(&context.store()?);
            let image = |_: &str| Ok(tested.image.clone());
            let launch = |isolation| Launch {
                containers: &containers,
                snapshots: &tested.snapshots,
                isolation,
                init: longshore_gobuild::probe(&Platform::host().architecture),
                events: ui.events(),
            };
            let own = isolation
                .and_then(|isolation| tested.for_this_machine().map(|()| isolation))
                .map(|isolation| OwnRuntime { launch: launch(isolation), images: &image });
            let runtime = own.as_ref().map(|runtime| runtime as &dyn Runtime).map_err(Clone::clone);
            checked(arguments, &wanted, &tested, runtime, &mut checks)?;
            report(arguments, &tested, &checks, ui)
        }
    }
}

/// Makes all checks.
fn checked(
    arguments: &TestArgs,
    wanted: &Wanted,
    tested: &Tested,
    runtime: Result<&dyn Runtime, String>,
    checks: &mut Checks,
) -> Result<(), CommandError> {
    let target =
        Target { image: &tested.name, config: &tested.config, view: &tested.view, runtime: runtime.clone() };
    wanted.documents.iter().for_each(|document| structure(document, &target, checks));
    match runtime {
        Ok(runtime) => {
            let subject = tested.subject(arguments, runtime)?;
            if wanted.behaves {
                behaviour(&subject, checks);
            }
            if wanted.is_hardened {
                hardening(&subject, checks);
            }
            for deployment in &wanted.deployments {
                let subject = tested.deployed(arguments, runtime, deployment)?;
                let deployed = deployment.deployed(&tested.config.user, &arguments.env);
                as_deployed(&subject, &deployed, checks);
            }
        }
        Err(reason) => {
            let suites = [("behaviour", wanted.behaves), ("hardening", wanted.is_hardened)];
            let suites = suites.into_iter().filter(|(_, wanted)| *wanted).map(|(suite, _)| suite);
            for suite in suites.chain(wanted.deployments.iter().map(|deployment| deployment.name.as_str())) {
                checks.make(suite, "starts", || Outcome::unchecked(&reason));
            }
        }
    }
    Ok(())
}

/// Makes all checks with containers of an engine, which is given the image under a name of its own and keeps nothing of it.
fn on_engine(
    kind: EngineChoice,
    (arguments, wanted): (&TestArgs, &Wanted),
    mut tested: Tested,
    context: &Context,
    ui: &Ui,
    checks: &mut Checks,
) -> Result<Tested, CommandError> {
    let engine = context.engine(kind.into(), ui.events())?;
    let runtime = EngineRuntime::new(&engine, ui.events())?;
    if !matches!(engine.endpoint().address, Address::Unix(_)) {
        let reason = "the engine is on another machine, whose ports cannot be asked from here".to_owned();
        checked(arguments, wanted, &tested, Err(reason), checks)?;
        return Ok(tested);
    }
    if let Err(reason) = tested.for_this_machine() {
        checked(arguments, wanted, &tested, Err(reason), checks)?;
        return Ok(tested);
    }
    let digest = tested.image.descriptor().digest.encoded().get(..12).unwrap_or_default().to_owned();
    let name: Reference = format!("localhost/longshore-test:{digest}-{}", std::process::id()).parse()?;
    let saved = SavedImage { image: tested.image.clone(), names: vec![name.clone()] };
    engine.load(&[saved], &Platform::host(), ui.events())?;
    tested.name = name.to_string();
    tested.users = Users::Unseen;
    let made = checked(arguments, wanted, &tested, Ok(&runtime), checks);
    // What failed first is what is told.
    let removed = engine.remove(&tested.name, true, ui.events());
    made?;
    removed?;
    Ok(tested)
}

fn report(arguments: &TestArgs, tested: &Tested, checks: &Checks, ui: &mut Ui) -> Result<Exit, CommandError> {
    // A report of half of the checks would be taken for one of all.
    ui.events().check()?;
    let image = arguments.image.to_string();
    let report = TestReport { image, platform: tested.platform.to_string(), checks: checks.made() };
    match arguments.format {
        TestFormat::Human => ui.report(&report, OutputFormat::Human)?,
        TestFormat::Json => ui.report(&report, OutputFormat::Json)?,
        TestFormat::Junit => ui.write(longshore_prove::junit(&report.image, report.checks).as_bytes())?,
    }
    Ok(match (checks.count(Verdict::Failed), checks.count(Verdict::Unchecked)) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::Unchecked,
        _ => Exit::Findings,
    })
}

fn documents(arguments: &TestArgs) -> Result<Vec<Document>, CommandError> {
    let mut documents = Vec::new();
    for path in &arguments.structure {
        let bytes = std::fs::read(path)
            .map_err(|source| CommandError::usage(FileError { path: path.display().to_string(), source }))?;
        let document = Document::parse(&path.display().to_string(), &bytes);
        documents.push(document.map_err(|error| {
            let hint = error.hint();
            let error = CommandError::usage(error);
            match hint {
                Some(hint) => error.hinted(hint),
                None => error,
            }
        })?);
    }
    Ok(documents)
}

/// A file of structure tests that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}")]
struct FileError {
    path: String,
    #[source]
    source: std::io::Error,
}
