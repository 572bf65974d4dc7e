//! The flags that say how a program is compiled and what its image is, for the commands that build or plan one. What is typed
//! here goes before what longshore.toml says.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use longshore_config::{BaseChoice, BuildMode, ImageFormat, Port, Settings};
use longshore_oci::{Platform, Reference};

/// Where the help lists what only counts for Go services, not for Dockerfiles.
pub(crate) const GO_OPTIONS: &str = "Go options";

/// How the program is compiled, and what the image is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Build options")]
pub(crate) struct SettingsArgs {
    /// Platforms, separated by commas; several make one index [default: this machine's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_delimiter = ',', value_parser = linux)]
    platform: Vec<Platform>,

    /// Image to stand on, or `built-in`: certificates, time zones and users as the program needs them
    #[arg(long, value_name = "IMAGE", help_heading = GO_OPTIONS)]
    base: Option<Base>,

    /// Go's build tags, separated by commas
    #[arg(long, value_name = "TAGS", value_delimiter = ',', help_heading = GO_OPTIONS)]
    tags: Option<Vec<String>>,

    /// Arguments for Go's linker, after `-s -w` and the stamps
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true, help_heading = GO_OPTIONS)]
    ldflags: Option<GoWords>,

    /// What the linker makes
    #[arg(long, value_name = "MODE", value_enum, help_heading = GO_OPTIONS)]
    build_mode: Option<Mode>,

    /// Build with the race detector; needs cgo and a base with a C library
    #[arg(long, help_heading = GO_OPTIONS)]
    race: bool,

    /// Compile C code; needs a C compiler, and a base with a C library unless all is linked statically
    #[arg(long, help_heading = GO_OPTIONS)]
    cgo: bool,

    /// User that the program runs as [default: 65532:65532]
    #[arg(long, short, value_name = "USER[:GROUP]", help_heading = GO_OPTIONS)]
    user: Option<String>,

    /// Environment variable of the program
    #[arg(long, short, value_name = "NAME=VALUE", help_heading = GO_OPTIONS)]
    env: Vec<Pair>,

    /// Label of the image's configuration
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<Pair>,

    /// Annotation of the manifest
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<Pair>,

    /// Port that the service listens on [default: those found in the source]
    #[arg(long, value_name = "PORT[/PROTOCOL]", help_heading = GO_OPTIONS)]
    port: Vec<Port>,

    /// Family of media types; only Docker's has a health check
    #[arg(long, value_name = "FORMAT", value_enum)]
    image_format: Option<Format>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// A program at a fixed address
    Default,
    /// A program that the loader may place anywhere
    Pie,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Docker's
    Docker,
    /// OCI's
    Oci,
}

fn linux(text: &str) -> Result<Platform, String> {
    let platform: Platform = text.parse().map_err(|error: longshore_oci::PlatformError| error.to_string())?;
    if platform.os == "linux" { Ok(platform) } else { Err("images are built for linux alone".to_owned()) }
}

#[derive(Debug, Clone)]
struct Base(BaseChoice);

impl FromStr for Base {
    type Err = longshore_oci::ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "built-in" {
            return Ok(Base(BaseChoice::BuiltIn));
        }
        text.parse::<Reference>()?;
        Ok(Base(BaseChoice::Image(text.to_owned())))
    }
}

#[derive(Debug, Clone)]
struct Pair(String, String);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Pair(name.to_owned(), value.to_owned())),
            _ => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

/// Words as Go's flags separate them: by white space, a word with white space in single or double quotes.
/// `cmd/internal/quoted` of Go 1.26.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GoWords(Vec<String>);

impl FromStr for GoWords {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let (word, after) = if matches!(first, '"' | '\'') {
                rest[1..].split_once(first).ok_or_else(|| format!("the quote {first} has no end"))?
            } else {
                rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
            };
            words.push(word.to_owned());
            rest = after.trim_start();
        }
        Ok(GoWords(words))
    }
}

impl SettingsArgs {
    /// What was typed, over what the file says for the same service.
    pub(crate) fn over(&self, file: &Settings) -> Settings {
        let some = |items: Vec<String>| (!items.is_empty()).then_some(items);
        let pairs = |pairs: &[Pair]| pairs.iter().map(|pair| (pair.0.clone(), pair.1.clone())).collect();
        let typed = Settings {
            platforms: some(self.platform.iter().map(Platform::to_string).collect()),
            tags: self.tags.clone(),
            ldflags: self.ldflags.clone().map(|words| words.0),
            cgo: (self.cgo || self.race).then_some(true),
            race: self.race.then_some(true),
            build_mode: self.build_mode.map(|mode| match mode {
                Mode::Default => BuildMode::Exe,
                Mode::Pie => BuildMode::Pie,
            }),
            base: self.base.clone().map(|base| base.0),
            user: self.user.clone(),
            env: pairs(&self.env),
            labels: pairs(&self.label),
            annotations: pairs(&self.annotation),
            ports: (!self.port.is_empty()).then(|| self.port.clone()),
            image_format: self.image_format.map(|format| match format {
                Format::Docker => ImageFormat::Docker,
                Format::Oci => ImageFormat::Oci,
            }),
            ..Settings::default()
        };
        typed.or(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linker_flags_are_split_as_go_splits_them() {
        let words = |text: &str| text.parse::<GoWords>().map(|words| words.0);
        for (text, expected) in [
            ("", Ok(vec![])),
            ("-X main.a=1  -w", Ok(vec!["-X", "main.a=1", "-w"])),
            ("-X 'main.a=b c' \"-x y\"", Ok(vec!["-X", "main.a=b c", "-x y"])),
            ("-X main.a='b", Ok(vec!["-X", "main.a='b"])),
            ("'open", Err("the quote ' has no end".to_owned())),
        ] {
            let expected = expected.map(|words: Vec<&str>| words.into_iter().map(str::to_owned).collect());
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_typed_goes_before_the_file_and_tables_are_merged() {
        let file = Settings {
            user: Some("1000".to_owned()),
            tags: Some(vec!["a".to_owned()]),
            env: [("A", "file"), ("B", "file")].map(|(name, value)| (name.into(), value.into())).into(),
            ..Settings::default()
        };
        let typed = SettingsArgs {
            tags: Some(vec!["b".to_owned()]),
            env: vec!["A=typed".parse().unwrap()],
            race: true,
            ..SettingsArgs::default()
        };
        let settings = typed.over(&file);
        assert_eq!(settings.user.as_deref(), Some("1000"));
        assert_eq!(settings.tags, Some(vec!["b".to_owned()]));
        assert_eq!((settings.race, settings.cgo), (Some(true), Some(true)));
        let env: Vec<_> = settings.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["A=typed", "B=file"]);
    }
}
