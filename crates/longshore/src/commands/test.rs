//! `longshore test`.

mod deployed;
mod render;
mod subject;

use clap::Args;
use longshore_container::{Containers, Launch, OwnRuntime};
use longshore_oci::Platform;
use longshore_prove::structure::{Document, Target, structure};
use longshore_prove::{Checks, Outcome, Verdict, as_deployed, behaviour, hardening};
use longshore_runtime::Runtime;
use longshore_sandbox::Isolation;

use self::deployed::DeployedArgs;
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

    /// How it is isolated [default: the best that works here; see `longshore doctor`]
    #[arg(long, value_name = "NAME")]
    isolation: Option<Isolation>,

    /// Form of the report; JSON has a version and a schema in docs/schema
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: TestFormat,
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

pub(crate) fn test(arguments: &TestArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let documents = documents(arguments)?;
    let default =
        documents.is_empty() && !arguments.behaviour && !arguments.hardening && !arguments.deployed.any();
    let behaves = arguments.behaviour || default;
    let is_hardened = arguments.hardening || default;
    let deploys = arguments.deployed.any();
    let runs = behaves
        || is_hardened
        || deploys
        || documents.iter().any(|document| !document.command_tests.is_empty());
    let isolation = match runs {
        true => inside::for_containers(arguments.isolation).map_err(|error| error.to_string()),
        false => Err(String::new()),
    };
    if let Ok(isolation) = isolation
        && isolation.is_inside()
        && longshore_sandbox::inside() != Some(isolation)
    {
        return inside::go_inside(isolation, ui);
    }
    let name = arguments.image.to_string();
    let deployments = arguments.deployed.deployments(&name, context, ui)?;
    let tested = Tested::open(arguments, context, ui).map_err(|error| error.ending(Exit::Unchecked))?;
    let containers = Containers::of(&context.store()?);
    let launch = |isolation| Launch {
        containers: &containers,
        snapshots: &tested.snapshots,
        isolation,
        init: longshore_gobuild::probe(&Platform::host().architecture),
        events: ui.events(),
    };
    let image = |_: &str| Ok(tested.image.clone());
    let own = isolation
        .and_then(|isolation| tested.for_this_machine().map(|()| isolation))
        .map(|isolation| OwnRuntime { launch: launch(isolation), images: &image });
    let runtime = own.as_ref().map(|runtime| runtime as &dyn Runtime).map_err(Clone::clone);

    let mut checks = Checks::new(arguments.fail_fast);
    let target =
        Target { image: &name, config: &tested.config, view: &tested.view, runtime: runtime.clone() };
    documents.iter().for_each(|document| structure(document, &target, &mut checks));
    match runtime {
        Ok(runtime) => {
            let subject = tested.subject(arguments, runtime)?;
            if behaves {
                behaviour(&subject, &mut checks);
            }
            if is_hardened {
                hardening(&subject, &mut checks);
            }
            for deployment in &deployments {
                let subject = tested.deployed(arguments, runtime, deployment)?;
                let deployed = deployment.deployed(&tested.config.user, &arguments.env);
                as_deployed(&subject, &deployed, &mut checks);
            }
        }
        Err(reason) => {
            let suites = [("behaviour", behaves), ("hardening", is_hardened)];
            let wanted = suites.into_iter().filter(|(_, wanted)| *wanted).map(|(suite, _)| suite);
            for suite in wanted.chain(deployments.iter().map(|deployment| deployment.name.as_str())) {
                checks.make(suite, "starts", || Outcome::unchecked(&reason));
            }
        }
    }
    report(name, &tested, &checks, arguments.format, ui)
}

fn report(
    image: String,
    tested: &Tested,
    checks: &Checks,
    format: TestFormat,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let report = TestReport { image, platform: tested.platform.to_string(), checks: checks.made() };
    match format {
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
