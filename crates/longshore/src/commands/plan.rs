//! `longshore plan`: what a build would make of a project, and why.

mod decide;

use std::fmt::Write;

use anstyle::Style;
use clap::Args;
use longshore_project::{Evidence, Project};
use longshore_toolchain::{Choice, Source, ToolchainRequest};
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::services::{self, Service, Services, ServicesArgs};
use crate::ui::{CommandError, Report, Ui, count, visible};

/// Show what would be built, and why
///
/// What was found in the source, each decision, its reason and where it was read. Nothing is run and nothing is fetched; the code need not compile, and Go need not be installed.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    services: ServicesArgs,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn plan(arguments: &PlanArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    // Planning several services is no problem: there is no need to choose one.
    let services = services::resolve(&arguments.services, services::Several::All, context, ui)?;
    let report = PlanReport {
        go: go(&services, context, ui)?,
        services: services.chosen.iter().map(|service| planned(service, &services)).collect(),
        project: services.project,
    };
    ui.report(&report, arguments.output.format)?;
    Ok(Exit::Done)
}

/// One thing that is decided, and why.
#[derive(Debug, Serialize)]
struct Decision {
    /// What is decided.
    what: &'static str,
    /// What it was decided to be.
    value: String,
    /// Why.
    reason: String,
    /// Where in the project that was read.
    evidence: Option<Evidence>,
}

#[derive(Debug, Serialize)]
struct PlanReport {
    go: Decision,
    services: Vec<PlannedService>,
    /// All that was found in the source.
    project: Project,
}

#[derive(Debug, Serialize)]
struct PlannedService {
    name: String,
    import_path: String,
    /// The package's folder, relative to the project's root.
    folder: String,
    decisions: Vec<Decision>,
}

fn planned(service: &Service, services: &Services) -> PlannedService {
    PlannedService {
        name: service.name.clone(),
        import_path: service.main.import_path.clone(),
        folder: service.main.dir.clone(),
        decisions: decide::decisions(service, services),
    }
}

fn go(services: &Services, context: &Context, ui: &Ui) -> Result<Decision, CommandError> {
    let lines = services.project.toolchain_lines();
    let request = ToolchainRequest { lines, file: None, pin: None };
    let fact = services.project.go.as_ref();
    let asked = fact.map_or_else(|| "no go line".to_owned(), |go| format!("go {}", go.value));
    let (value, reason) = match context.toolchains()?.choose(&request, ui.events())? {
        Choice::Ready(toolchain) => match toolchain.source {
            Source::Installed => (
                format!("{} in {}", toolchain.name, toolchain.goroot.display()),
                format!("installed, and satisfies the project ({asked})"),
            ),
            Source::Fetched { .. } => {
                (toolchain.name.to_string(), format!("fetched before, and satisfies the project ({asked})"))
            }
        },
        Choice::Fetch { version, .. } => (
            version.map_or_else(|| "the newest release".to_owned(), |version| version.name().to_string()),
            format!("no installed Go satisfies the project ({asked}); it will be fetched and verified"),
        ),
    };
    Ok(Decision { what: "go", value, reason, evidence: fact.map(|go| go.evidence.clone()) })
}

const HEADING: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

impl Report for PlanReport {
    fn human(&self) -> String {
        let mut text = String::new();
        let kind = match self.project.kind {
            longshore_project::RootKind::Workspace => "workspace",
            _ => "module",
        };
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{HEADING}{kind}{HEADING:#} {}", visible(&self.project.root.to_string_lossy()));
        for module in &self.project.modules {
            let _ = writeln!(
                text,
                "  {:15} {} in {}, {}",
                "module",
                visible(&module.path),
                visible(&module.dir),
                count(module.requirements, "requirement")
            );
            for replaced in &module.replaced {
                let outside = if replaced.outside { ", outside of the project" } else { "" };
                let _ = writeln!(
                    text,
                    "  {:15} {} by {}{outside}{}",
                    "replaced",
                    visible(&replaced.path),
                    visible(&replaced.dir),
                    place(Some(&replaced.evidence))
                );
            }
            for private in &module.private {
                let _ = writeln!(
                    text,
                    "  {:15} {} {}{}",
                    "private",
                    visible(&private.path),
                    visible(&private.version),
                    place(Some(&private.evidence))
                );
            }
        }
        if let Some(vendor) = &self.project.vendor {
            let _ =
                writeln!(text, "  {:15} {} in {}", "vendored", count(vendor.modules, "module"), vendor.dir);
        }
        line(&mut text, &self.go);
        for service in &self.services {
            let _ = writeln!(
                text,
                "\n{HEADING}{}{HEADING:#} {}",
                visible(&service.name),
                visible(&service.import_path)
            );
            service.decisions.iter().for_each(|decision| line(&mut text, decision));
        }
        for odd in &self.project.diagnostics {
            let _ = writeln!(text, "\nnote: {}{}", visible(&odd.message), place(Some(&odd.evidence)));
        }
        text
    }
}

fn line(text: &mut String, decision: &Decision) {
    let place = place(decision.evidence.as_ref());
    let _ = write!(text, "  {:15} {}", decision.what, visible(&decision.value));
    if !decision.reason.is_empty() {
        let _ = write!(text, "  {DIM}{}{DIM:#}", visible(&decision.reason));
    }
    let _ = writeln!(text, "{place}");
}

fn place(evidence: Option<&Evidence>) -> String {
    evidence.map(|at| format!("  {DIM}({}:{}){DIM:#}", visible(&at.file), at.line)).unwrap_or_default()
}
