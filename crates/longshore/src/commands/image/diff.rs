//! `longshore image diff`.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use clap::Args;
use longshore_image::Image;
use longshore_image::diff::{Differences, FileDifference, FileField, LayerFacts, diff as compare};
use longshore_image::flatten::{FileKind, TreeFile};
use longshore_oci::{Digest, Platform};
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Report, Ui, size, visible};

/// Show what differs between two images: files, configuration, layers
///
/// Ends with 0 if nothing does, with 3 if something does, with 4 if they cannot be compared.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// One image: a name or digest of the store, or a transport and a place
    #[arg(value_name = "IMAGE")]
    a: ImageLocation,

    /// The other
    #[arg(value_name = "OTHER")]
    b: ImageLocation,

    /// Of images for several platforms, which one [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn diff(arguments: &DiffArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let open = |location: &ImageLocation| -> Result<Image, CommandError> {
        let image = images::open(location, context, ui.events()).map_err(CommandError::unchecked)?;
        image.select(&platform).map_err(CommandError::unchecked)
    };
    let (a, b) = (open(&arguments.a)?, open(&arguments.b)?);
    let differences = compare(&a, &b, ui.events()).map_err(CommandError::unchecked)?;
    let same = differences.is_empty();
    let report = DiffReport { a: a.digest().clone(), b: b.digest().clone(), same, differences };
    ui.report(&report, arguments.output.format)?;
    Ok(if same { Exit::Done } else { Exit::Findings })
}

#[derive(Debug, Serialize)]
struct DiffReport {
    a: Digest,
    b: Digest,
    /// Whether nothing differs.
    same: bool,
    differences: Differences,
}

const HEADING: Style = Style::new().bold();
const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();

impl Report for DiffReport {
    fn human(&self) -> String {
        if self.same {
            return format!("no differences: {}\n", self.a);
        }
        let mut text = format!("- {}\n+ {}\n", self.a, self.b);
        self.layers(&mut text);
        self.files(&mut text);
        let documents = [("config", &self.differences.config), ("manifest", &self.differences.manifest)];
        for (heading, values) in documents.into_iter().filter(|(_, values)| !values.is_empty()) {
            let _ = writeln!(text, "{HEADING}{heading}{HEADING:#}");
            for value in values {
                let shown = |value: &Option<serde_json::Value>| {
                    value.as_ref().map_or("nothing".to_owned(), ToString::to_string)
                };
                let change = format!("{}: {} -> {}", value.path, shown(&value.a), shown(&value.b));
                let _ = writeln!(text, "  {CHANGED}~{CHANGED:#} {}", visible(&change));
            }
        }
        text
    }
}

// Writing to a string cannot fail: the results are dropped throughout.
impl DiffReport {
    fn layers(&self, text: &mut String) {
        if self.differences.layers.is_empty() {
            return;
        }
        let _ = writeln!(text, "{HEADING}layers{HEADING:#}");
        let shown = |layer: &Option<LayerFacts>| match layer {
            Some(layer) => format!("{} {}", layer.digest.short(), size(layer.size)),
            None => "nothing".to_owned(),
        };
        for layer in &self.differences.layers {
            let same = if layer.same_tar { " (the same tar, compressed otherwise)" } else { "" };
            let _ = writeln!(
                text,
                "  {CHANGED}~{CHANGED:#} {}: {} -> {}{same}",
                layer.number,
                shown(&layer.a),
                shown(&layer.b)
            );
        }
    }

    fn files(&self, text: &mut String) {
        if self.differences.files.is_empty() {
            return;
        }
        let _ = writeln!(text, "{HEADING}files{HEADING:#}");
        for file in &self.differences.files {
            let path = file.path.to_string_lossy();
            let path = in_one_line(&path);
            let _ = match (&file.a, &file.b) {
                (None, Some(added)) => writeln!(text, "  {ADDED}+{ADDED:#} {path}  {}", describe(added)),
                (Some(removed), None) => {
                    writeln!(text, "  {REMOVED}-{REMOVED:#} {path}  {}", describe(removed))
                }
                _ => writeln!(text, "  {CHANGED}~{CHANGED:#} {path}  {}", in_one_line(&changes(file))),
            };
        }
    }
}

/// A name from a layer: a line break in it must not pass for another line of the report.
fn in_one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n")
}

fn kind(file: &TreeFile) -> &'static str {
    match file.kind {
        FileKind::File => "file",
        FileKind::Directory => "folder",
        FileKind::Symlink => "link",
        FileKind::Hardlink => "hard link",
        _ => "device",
    }
}

fn describe(file: &TreeFile) -> String {
    let size = if file.kind == FileKind::File { format!(" {}", size(file.size)) } else { String::new() };
    format!("{} {:04o} {}:{}{size}", kind(file), file.mode, file.uid, file.gid)
}

fn changes(file: &FileDifference) -> String {
    let (Some(a), Some(b)) = (&file.a, &file.b) else { return String::new() };
    let target = |file: &TreeFile| {
        file.target.as_ref().map_or("nothing".to_owned(), |path| path.display().to_string())
    };
    let change = |field: &FileField| match field {
        FileField::Kind => format!("{} -> {}", kind(a), kind(b)),
        FileField::Content => "content".to_owned(),
        FileField::Size => format!("size {} -> {}", a.size, b.size),
        FileField::Mode => format!("mode {:04o} -> {:04o}", a.mode, b.mode),
        FileField::Owner => format!("owner {}:{} -> {}:{}", a.uid, a.gid, b.uid, b.gid),
        FileField::Mtime => format!("time {} -> {}", a.mtime, b.mtime),
        FileField::Link => format!("link {} -> {}", target(a), target(b)),
        _ => "extended attributes".to_owned(),
    };
    file.fields.iter().map(change).collect::<Vec<_>>().join(", ")
}
