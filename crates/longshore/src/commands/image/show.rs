//! `longshore image show`.

use std::fmt::Write;

use clap::Args;
use longshore_image::{ContentError, Image};
use longshore_oci::{ContainerConfig, Digest, ImageConfig, Manifest, Platform};
use serde::Serialize;

use crate::arguments::OutputArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::images;
use crate::location::ImageLocation;
use crate::ui::{CommandError, Report, Ui, count, size, visible};

/// Show what an image is: platforms, configuration, layers
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Image: a name or digest of the store, or a transport and a place, such as oci:DIR
    #[arg(value_name = "IMAGE")]
    image: ImageLocation,

    /// Show the image for one platform alone
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,

    /// Print the manifest or index as it is stored, byte for byte
    #[arg(long, conflicts_with = "format")]
    raw: bool,

    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn show(arguments: &ShowArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let mut image = images::open(&arguments.image, context, ui.events())?;
    if let Some(platform) = &arguments.platform {
        image = image.select(platform)?;
    }
    if arguments.raw {
        ui.write(&image.raw()?)?;
    } else {
        ui.report(&ShowReport::of(arguments.image.to_string(), &image)?, arguments.output.format)?;
    }
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct ShowReport {
    image: String,
    digest: Digest,
    media_type: String,
    images: Vec<PlatformImage>,
}

#[derive(Debug, Serialize)]
struct PlatformImage {
    platform: Platform,
    digest: Digest,
    /// Bytes of the layers as they are stored.
    size: u64,
    manifest: Manifest,
    config: ImageConfig,
}

impl ShowReport {
    fn of(name: String, image: &Image) -> Result<Self, ContentError> {
        let describe = |image: &Image| {
            let (manifest, config) = (image.manifest()?, image.config()?);
            let size = manifest.layers.iter().map(|layer| layer.size).sum();
            Ok(PlatformImage {
                platform: image.platform()?,
                digest: image.digest().clone(),
                size,
                manifest,
                config,
            })
        };
        Ok(ShowReport {
            image: name,
            digest: image.digest().clone(),
            media_type: image.descriptor().media_type.clone(),
            images: image.images()?.iter().map(describe).collect::<Result<_, ContentError>>()?,
        })
    }
}

impl Report for ShowReport {
    fn human(&self) -> String {
        let mut text = String::new();
        field(&mut text, "", "Image", &self.image);
        field(&mut text, "", "Digest", &self.digest.to_string());
        field(&mut text, "", "Media type", &self.media_type);
        for image in &self.images {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n{}", image.platform);
            image.human(&mut text);
        }
        text
    }
}

impl PlatformImage {
    fn human(&self, text: &mut String) {
        let mut line = |name: &str, value: &str| field(text, "  ", name, value);
        line("Digest", &self.digest.to_string());
        line("Created", self.config.created.as_deref().unwrap_or("not said"));
        let config = &self.config.config;
        line("User", if config.user.is_empty() { "root (none is set)" } else { &config.user });
        for (name, words) in [("Entrypoint", &config.entrypoint), ("Command", &config.cmd)] {
            if let Some(words) = words {
                line(name, &serde_json::json!(words).to_string());
            }
        }
        if !config.working_dir.is_empty() {
            line("Working dir", &config.working_dir);
        }
        lines(&mut line, "Environment", config.env.iter().cloned());
        lines(&mut line, "Ports", config.exposed_ports.keys().cloned());
        lines(&mut line, "Volumes", config.volumes.keys().cloned());
        if let Some(signal) = &config.stop_signal {
            line("Stop signal", signal);
        }
        if let Some(check) = health(config) {
            line("Healthcheck", &check);
        }
        let pairs = |(name, value): (&String, &String)| format!("{name}={value}");
        lines(&mut line, "Labels", config.labels.iter().map(pairs));
        lines(&mut line, "Annotations", self.manifest.annotations.iter().map(pairs));
        line("Size", &format!("{} in {}", size(self.size), count(self.manifest.layers.len(), "layer")));
        let layer = |layer: &longshore_oci::Descriptor| format!("{}  {}", layer.digest, size(layer.size));
        lines(&mut line, "Layers", self.manifest.layers.iter().map(layer));
    }
}

fn health(config: &ContainerConfig) -> Option<String> {
    let check = config.healthcheck.as_ref()?;
    let mut text = check.test.join(" ");
    let seconds = |nanoseconds: i64| format!("{}s", nanoseconds / 1_000_000_000);
    for (name, nanoseconds) in
        [("every", check.interval), ("timeout", check.timeout), ("start", check.start_period)]
    {
        if nanoseconds != 0 {
            text.push_str(&format!(", {name} {}", seconds(nanoseconds)));
        }
    }
    if check.retries != 0 {
        text.push_str(&format!(", {} retries", check.retries));
    }
    Some(text)
}

fn lines(line: &mut impl FnMut(&str, &str), name: &str, values: impl Iterator<Item = String>) {
    values.enumerate().for_each(|(index, value)| line(if index == 0 { name } else { "" }, &value));
}

fn field(text: &mut String, indent: &str, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{indent}{name:12} {}", visible(value).replace('\n', " "));
}
