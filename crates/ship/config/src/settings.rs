//! What `build` takes, for all services or for one.

use serde::{Deserialize, Serialize};

use crate::decode::{Node, entries, unknown_key};
use crate::values::{
    BaseChoice, BuildMode, Healthcheck, HealthcheckChoice, Include, Port, Presence, Protocol, Strings, Vcs,
    parse_duration,
};
use crate::{ConfigError, ConfigErrorKind, ImageFormat, Scope};

/// The keys of `[build]` or of one `[[service]]`; what was not written is `None` or empty.
///
/// The serialised form is that of recipes in images: keys as in longshore.toml, nothing for what was not written. The image
/// format is not part of it, since an image shows its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// Platforms such as `linux/amd64`, one image each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
    /// Go's build tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Arguments for `go build -ldflags`, after `-s -w` and the stamps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ldflags: Option<Vec<String>>,
    /// Arguments for `go build -gcflags`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcflags: Option<Vec<String>>,
    /// Variables to set with `-X`; values may hold `${version}`, `${revision}` and `${date}`.
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub stamp: Strings,
    /// Whether symbol table and debug information are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip: Option<bool>,
    /// Whether C code is compiled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgo: Option<bool>,
    /// Whether the race detector is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub race: Option<bool>,
    /// What the linker makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_mode: Option<BuildMode>,
    /// Variables for the `go` command.
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub go_env: Strings,
    /// Level of x86-64: `v1` to `v4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goamd64: Option<String>,
    /// Version of 32-bit ARM: `5`, `6` or `7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goarm: Option<String>,
    /// Version of 64-bit ARM and its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goarm64: Option<String>,
    /// What the image tells of the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vcs: Option<Vcs>,
    /// The version to stamp and label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What the image stands on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseChoice>,
    /// `user[:group]`, numbers or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The folder that the program starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The program's environment.
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub env: Strings,
    /// Arguments that are part of the entry point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint_args: Option<Vec<String>>,
    /// Arguments that a user's own replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Ports that the service listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
    /// The signal that asks the program to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How an engine asks whether the service is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthcheckChoice>,
    /// Labels of the image's configuration.
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub labels: Strings,
    /// Annotations of the manifest.
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub annotations: Strings,
    /// Which media types are written.
    #[serde(skip)]
    pub image_format: Option<ImageFormat>,
    /// Whether CA certificates go in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Presence>,
    /// Whether time zones go in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezones: Option<Presence>,
    /// Files of PEM certificates that the program trusts too, relative to the configuration's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_ca: Option<Vec<String>>,
    /// Files that go into the image beside the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<Include>>,
}

impl Settings {
    /// These settings, with `defaults` where nothing was written. Tables are merged key by key, all else is replaced.
    #[must_use]
    pub fn or(self, defaults: &Settings) -> Settings {
        let tables = |own: Strings, defaults: &Strings| -> Strings {
            let mut merged = defaults.clone();
            merged.extend(own);
            merged
        };
        Settings {
            platforms: self.platforms.or_else(|| defaults.platforms.clone()),
            tags: self.tags.or_else(|| defaults.tags.clone()),
            ldflags: self.ldflags.or_else(|| defaults.ldflags.clone()),
            gcflags: self.gcflags.or_else(|| defaults.gcflags.clone()),
            stamp: tables(self.stamp, &defaults.stamp),
            strip: self.strip.or(defaults.strip),
            cgo: self.cgo.or(defaults.cgo),
            race: self.race.or(defaults.race),
            build_mode: self.build_mode.or(defaults.build_mode),
            go_env: tables(self.go_env, &defaults.go_env),
            goamd64: self.goamd64.or_else(|| defaults.goamd64.clone()),
            goarm: self.goarm.or_else(|| defaults.goarm.clone()),
            goarm64: self.goarm64.or_else(|| defaults.goarm64.clone()),
            vcs: self.vcs.or(defaults.vcs),
            version: self.version.or_else(|| defaults.version.clone()),
            base: self.base.or_else(|| defaults.base.clone()),
            user: self.user.or_else(|| defaults.user.clone()),
            workdir: self.workdir.or_else(|| defaults.workdir.clone()),
            env: tables(self.env, &defaults.env),
            entrypoint_args: self.entrypoint_args.or_else(|| defaults.entrypoint_args.clone()),
            cmd: self.cmd.or_else(|| defaults.cmd.clone()),
            ports: self.ports.or_else(|| defaults.ports.clone()),
            stop_signal: self.stop_signal.or_else(|| defaults.stop_signal.clone()),
            healthcheck: self.healthcheck.or_else(|| defaults.healthcheck.clone()),
            labels: tables(self.labels, &defaults.labels),
            annotations: tables(self.annotations, &defaults.annotations),
            image_format: self.image_format.or(defaults.image_format),
            certificates: self.certificates.or(defaults.certificates),
            timezones: self.timezones.or(defaults.timezones),
            extra_ca: self.extra_ca.or_else(|| defaults.extra_ca.clone()),
            include: self.include.or_else(|| defaults.include.clone()),
        }
    }

    /// Takes the value of key `name`; says `false` if there is no such key.
    pub(crate) fn set(&mut self, name: &str, node: &Node<'_>) -> Result<bool, ConfigError> {
        Ok(self.set_compilation(name, node)? || self.set_image(name, node)?)
    }

    fn set_compilation(&mut self, name: &str, node: &Node<'_>) -> Result<bool, ConfigError> {
        match name {
            "platforms" => self.platforms = Some(platforms(node)?),
            "tags" => self.tags = Some(each(node, "an array of build tags", build_tag)?),
            "ldflags" => self.ldflags = Some(node.strings()?),
            "gcflags" => self.gcflags = Some(node.strings()?),
            "stamp" => self.stamp = node.string_table("a variable such as main.version", is_variable)?,
            "strip" => self.strip = Some(node.boolean()?),
            "cgo" => self.cgo = Some(node.boolean()?),
            "race" => self.race = Some(node.boolean()?),
            "build-mode" => {
                self.build_mode = Some(node.word(&[("exe", BuildMode::Exe), ("pie", BuildMode::Pie)])?);
            }
            "go-env" => self.go_env = node.string_table("a variable's name", is_environment_name)?,
            "goamd64" => self.goamd64 = Some(words(node, &["v1", "v2", "v3", "v4"])?),
            "goarm" => self.goarm = Some(words(node, &["5", "6", "7"])?),
            "goarm64" => self.goarm64 = Some(node.non_empty()?),
            "vcs" => {
                let known = [("commit", Vcs::Commit), ("full", Vcs::Full), ("off", Vcs::Off)];
                self.vcs = Some(node.word(&known)?);
            }
            "version" => self.version = Some(node.non_empty()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn set_image(&mut self, name: &str, node: &Node<'_>) -> Result<bool, ConfigError> {
        match name {
            "base" => self.base = Some(base(node)?),
            "user" => self.user = Some(node.non_empty()?),
            "workdir" => self.workdir = Some(absolute(node)?),
            "env" => self.env = node.string_table("a variable's name", is_environment_name)?,
            "entrypoint-args" => self.entrypoint_args = Some(node.strings()?),
            "cmd" => self.cmd = Some(node.strings()?),
            "ports" => self.ports = Some(each(node, "an array of ports", port)?),
            "stop-signal" => self.stop_signal = Some(signal(node)?),
            "healthcheck" => self.healthcheck = Some(healthcheck(node)?),
            "labels" => self.labels = node.string_table("a label's name", is_name)?,
            "annotations" => self.annotations = node.string_table("an annotation's name", is_name)?,
            "image-format" => {
                self.image_format =
                    Some(node.word(&[("docker", ImageFormat::Docker), ("oci", ImageFormat::Oci)])?);
            }
            "certificates" => self.certificates = Some(presence(node)?),
            "timezones" => self.timezones = Some(presence(node)?),
            "extra-ca" => self.extra_ca = Some(each(node, "an array of files", |node| node.non_empty())?),
            "include" => self.include = Some(each(node, "an array of tables", include)?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn each<T>(
    node: &Node<'_>,
    expected: &str,
    read: impl Fn(&Node<'_>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    node.elements(expected)?.iter().map(read).collect()
}

fn words(node: &Node<'_>, known: &[&str]) -> Result<String, ConfigError> {
    let pairs: Vec<(&str, usize)> = known.iter().enumerate().map(|(index, word)| (*word, index)).collect();
    node.word(&pairs).map(|index| known[index].to_owned())
}

fn platforms(node: &Node<'_>) -> Result<Vec<String>, ConfigError> {
    let platforms = each(node, "an array of platforms", |node| {
        let text = node.string()?;
        match text.parse::<longshore_oci::Platform>() {
            Ok(platform) if platform.os == "linux" => Ok(text),
            Ok(_) => Err(node.bad_value("a platform of linux, such as linux/arm64", text)),
            Err(_) => Err(node.bad_value("a platform such as linux/arm64", text)),
        }
    })?;
    if platforms.is_empty() { Err(node.bad_value("at least one platform", "[]")) } else { Ok(platforms) }
}

fn build_tag(node: &Node<'_>) -> Result<String, ConfigError> {
    let tag = node.string()?;
    let allowed = |character: char| character.is_alphanumeric() || character == '_' || character == '.';
    if tag.is_empty() || !tag.chars().all(allowed) {
        return Err(node.bad_value("a build tag of letters, digits, `_` and `.`", tag));
    }
    Ok(tag)
}

fn is_variable(name: &str) -> bool {
    let variable =
        name.rsplit_once('.').is_some_and(|(package, variable)| !package.is_empty() && !variable.is_empty());
    variable && !name.contains(['=', ' ', '\'', '"'])
}

fn is_environment_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
}

fn base(node: &Node<'_>) -> Result<BaseChoice, ConfigError> {
    let text = node.non_empty()?;
    if text == "built-in" {
        return Ok(BaseChoice::BuiltIn);
    }
    match text.parse::<longshore_oci::Reference>() {
        Ok(_) => Ok(BaseChoice::Image(text)),
        Err(_) => Err(node.bad_value("\"built-in\" or an image such as docker.io/library/alpine:3.22", text)),
    }
}

fn absolute(node: &Node<'_>) -> Result<String, ConfigError> {
    let path = node.string()?;
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(node.bad_value("an absolute path in the image", path));
    }
    Ok(path)
}

fn port(node: &Node<'_>) -> Result<Port, ConfigError> {
    let expected = "a port such as 8080 or \"53/udp\"";
    if let Some(number) = node.item.as_integer() {
        return match u16::try_from(number) {
            Ok(number) if number > 0 => Ok(Port { number, protocol: Protocol::Tcp }),
            _ => Err(node.bad_value(expected, number.to_string())),
        };
    }
    let text = node.item.as_str().ok_or_else(|| node.wrong_type(expected))?;
    text.parse().map_err(|_| node.bad_value(expected, text))
}

fn signal(node: &Node<'_>) -> Result<String, ConfigError> {
    let text = node.string()?;
    let name = text.strip_prefix("SIG").is_some_and(|name| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'+')
    });
    let number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    if name || number { Ok(text) } else { Err(node.bad_value("a signal such as SIGTERM or 15", text)) }
}

fn presence(node: &Node<'_>) -> Result<Presence, ConfigError> {
    if let Some(flag) = node.item.as_bool() {
        return Ok(if flag { Presence::On } else { Presence::Off });
    }
    if node.item.as_str() == Some("auto") {
        return Ok(Presence::Auto);
    }
    Err(node.wrong_type("`true`, `false` or \"auto\""))
}

fn healthcheck(node: &Node<'_>) -> Result<HealthcheckChoice, ConfigError> {
    if node.item.as_bool() == Some(false) {
        return Ok(HealthcheckChoice::Off);
    }
    let mut check = Healthcheck::default();
    for (name, span, node) in entries(node.source, &node.path, node.table("a table or `false`")?) {
        match name.as_str() {
            "command" => check.command = Some(node.strings()?),
            "interval" => check.interval = Some(duration(&node)?),
            "timeout" => check.timeout = Some(duration(&node)?),
            "start-period" => check.start_period = Some(duration(&node)?),
            "start-interval" => check.start_interval = Some(duration(&node)?),
            "retries" => check.retries = Some(retries(&node)?),
            _ => return Err(unknown_key(&node, &name, span, &[Scope::Healthcheck])),
        }
    }
    Ok(HealthcheckChoice::On(check))
}

fn duration(node: &Node<'_>) -> Result<std::time::Duration, ConfigError> {
    let expected = "a duration such as \"30s\" or \"1m30s\"";
    let text = node.item.as_str().ok_or_else(|| node.wrong_type(expected))?;
    parse_duration(text).ok_or_else(|| node.bad_value(expected, text))
}

fn retries(node: &Node<'_>) -> Result<u32, ConfigError> {
    let expected = "an integer from 1 to 1000";
    let number = node.item.as_integer().ok_or_else(|| node.wrong_type(expected))?;
    match u32::try_from(number) {
        Ok(retries @ 1..=1000) => Ok(retries),
        _ => Err(node.bad_value(expected, number.to_string())),
    }
}

fn include(node: &Node<'_>) -> Result<Include, ConfigError> {
    let (mut from, mut to, mut mode) = (None, None, None);
    for (name, span, node) in
        entries(node.source, &node.path, node.table("a table with source and destination")?)
    {
        match name.as_str() {
            "source" => from = Some(relative(&node)?),
            "destination" => to = Some(absolute(&node)?),
            "mode" => mode = Some(octal(&node)?),
            _ => return Err(unknown_key(&node, &name, span, &[Scope::Include])),
        }
    }
    let missing = |key: &str| {
        let kind = ConfigErrorKind::MissingKey { key: format!("{}.{key}", node.path) };
        node.source.error(node.span.clone(), kind)
    };
    let source = from.ok_or_else(|| missing("source"))?;
    let destination = to.ok_or_else(|| missing("destination"))?;
    Ok(Include { source, destination, mode })
}

fn relative(node: &Node<'_>) -> Result<String, ConfigError> {
    let path = node.non_empty()?;
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(node.bad_value("a path below the folder of longshore.toml", path));
    }
    Ok(path)
}

fn octal(node: &Node<'_>) -> Result<u32, ConfigError> {
    let expected = "a string of octal digits up to \"0777\"";
    let text = node.item.as_str().ok_or_else(|| node.wrong_type(expected))?;
    let digits = !text.is_empty() && text.bytes().all(|byte| (b'0'..b'8').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if digits && mode <= 0o777 => Ok(mode),
        _ => Err(node.bad_value(expected, text)),
    }
}
