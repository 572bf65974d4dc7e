//! `longshore image validate`.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use clap::Args;
use longshore_image::validate::{Severity, Violation, validate as validate_image, validate_layout};
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Report, Ui, count, visible};

/// Check images against the specifications, byte for byte
///
/// Recomputes every digest, size and diff id, reads every layer to its end, and lists every violation. Ends with 3 if there is
/// any, with 4 if an image cannot be checked.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Images: names or digests of the store, or transports and places; oci:DIR alone means the whole layout [default: the
    /// whole store]
    #[arg(value_name = "IMAGE")]
    images: Vec<ImageLocation>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn validate(
    arguments: &ValidateArgs,
    context: &Context,
    ui: &mut Ui,
) -> Result<Exit, CommandError> {
    let mut checked = Vec::new();
    if arguments.images.is_empty() {
        let store = context.store().map_err(CommandError::unchecked)?;
        let violations = validate_layout(store.layout().folder(), ui.events())?;
        checked.push(CheckedImage { image: format!("the store in {}", store.root().display()), violations });
    }
    for location in &arguments.images {
        let violations = match location {
            ImageLocation::Layout(place) if place.name.is_none() => {
                validate_layout(&place.path, ui.events())?
            }
            _ => {
                let image = images::open(location, context, ui.events()).map_err(CommandError::unchecked)?;
                validate_image(&image, ui.events())?
            }
        };
        checked.push(CheckedImage { image: location.to_string(), violations });
    }
    let report = ValidateReport { images: checked };
    ui.report(&report, arguments.output.format)?;
    Ok(if report.errors() == 0 { Exit::Done } else { Exit::Findings })
}

#[derive(Debug, Serialize)]
struct ValidateReport {
    images: Vec<CheckedImage>,
}

#[derive(Debug, Serialize)]
struct CheckedImage {
    image: String,
    violations: Vec<Violation>,
}

impl CheckedImage {
    fn count(&self, severity: Severity) -> usize {
        self.violations.iter().filter(|violation| violation.severity == severity).count()
    }
}

impl ValidateReport {
    fn errors(&self) -> usize {
        self.images.iter().map(|image| image.count(Severity::Error)).sum()
    }
}

impl Report for ValidateReport {
    fn human(&self) -> String {
        let mut text = String::new();
        for image in &self.images {
            let notices = match image.count(Severity::Notice) {
                0 => String::new(),
                notices => format!(", {}", count(notices, "notice")),
            };
            let verdict = match image.count(Severity::Error) {
                0 => "valid".to_owned(),
                errors => count(errors, "violation"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}: {verdict}{notices}", visible(&image.image));
            for violation in &image.violations {
                let (word, style) = match violation.severity {
                    Severity::Error => ("error", AnsiColor::Red.on_default()),
                    Severity::Notice => ("notice", Style::new().dimmed()),
                };
                let _ = writeln!(text, "  {style}{word}{style:#} {}", visible(&violation.to_string()));
            }
        }
        text
    }
}
