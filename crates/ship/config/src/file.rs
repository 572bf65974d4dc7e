//! The file as a whole: defaults for all services, and the services.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use toml_edit::Document;

use crate::decode::{Node, Source, entries, unknown_key};
use crate::{ConfigError, ConfigErrorKind, Scope, Settings, nearest};

/// The name of the configuration file, beside go.mod or go.work.
pub const CONFIG_FILE: &str = "longshore.toml";

/// No configuration is longer; a larger file is something else.
const SIZE_LIMIT: u64 = 1 << 20;

/// What a project asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[build]`: what holds for every service.
    pub build: Settings,
    /// `[[service]]`: one main package each, in the order of the file.
    pub services: Vec<Service>,
}

/// One main package and what is asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The package's folder as it was written: `./cmd/api` or `.`.
    pub main: String,
    /// The name that stands for the service, and for its program in the image.
    pub name: Option<String>,
    /// Its own keys.
    pub settings: Settings,
}

impl Service {
    /// The package's folder, relative to the configuration's, without `./` and trailing slashes; `.` for the folder itself.
    pub fn folder(&self) -> &str {
        fold(&self.main)
    }
}

impl Config {
    /// Reads the file in `folder`; without one, everything is as default.
    ///
    /// Errors: the file cannot be read, is not TOML, or holds what it should not.
    pub fn load(folder: &Path) -> Result<Config, ConfigError> {
        let path = folder.join(CONFIG_FILE);
        match read(&path)? {
            Some(text) => Config::parse(&path, &text),
            None => Ok(Config::default()),
        }
    }

    /// Reads a file at any path, which must exist.
    ///
    /// Errors: as [`Config::load`], and if there is no file.
    pub fn load_file(path: &Path) -> Result<Config, ConfigError> {
        let missing = || ConfigErrorKind::Unreadable(std::io::ErrorKind::NotFound.into());
        let error = || ConfigError { file: path.to_owned(), position: None, kind: Box::new(missing()) };
        Config::parse(path, &read(path)?.ok_or_else(error)?)
    }

    /// Reads `text`; `file` is for errors only.
    ///
    /// Errors: not TOML, or a key or value that is none.
    pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigError> {
        let source = Source { file, text };
        let document = Document::parse(text).map_err(|error| {
            let message = error.message().replace('\n', ", ");
            source.error(error.span(), ConfigErrorKind::Syntax { message })
        })?;
        let mut config = Config::default();
        for (name, span, node) in entries(source, "", document.as_table()) {
            match name.as_str() {
                "build" => config.build = build(&node)?,
                "service" => config.services = services(&node)?,
                _ => return Err(unknown_table(&node, &name, span)),
            }
        }
        Ok(config)
    }

    /// What holds for the main package in `folder`, relative to the configuration's folder: its own keys over `[build]`'s.
    pub fn settings_for(&self, folder: &str) -> Settings {
        let own = self.service_for(folder).map(|service| service.settings.clone()).unwrap_or_default();
        own.or(&self.build)
    }

    /// The service for the main package in `folder`, if the file names it.
    pub fn service_for(&self, folder: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.folder() == fold(folder))
    }

    /// The service called `name`, by its `name` or, if it has none, by its folder's.
    pub fn service_named(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| display_name(service) == name)
    }
}

fn fold(folder: &str) -> &str {
    let mut rest = folder;
    while let Some(shorter) = rest.strip_prefix("./") {
        rest = shorter.trim_start_matches('/');
    }
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() { "." } else { rest }
}

fn display_name(service: &Service) -> &str {
    let folder = service.folder();
    service.name.as_deref().unwrap_or_else(|| folder.rsplit('/').next().unwrap_or(folder))
}

fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let error = |kind| ConfigError { file: path.to_owned(), position: None, kind: Box::new(kind) };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(error(ConfigErrorKind::Unreadable(source))),
    };
    let mut bytes = Vec::new();
    let unreadable = |source| error(ConfigErrorKind::Unreadable(source));
    file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SIZE_LIMIT {
        let size = std::fs::metadata(path).map_or(SIZE_LIMIT + 1, |metadata| metadata.len());
        return Err(error(ConfigErrorKind::TooLarge { size, limit: SIZE_LIMIT }));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| error(ConfigErrorKind::NotText))
}

fn unknown_table(node: &Node<'_>, name: &str, span: Option<std::ops::Range<usize>>) -> ConfigError {
    let in_build = crate::KEYS.iter().filter(|key| key.scope == Scope::Both);
    // A key of `[build]` written above any table is the likelier mistake than a misspelt table.
    let exact = in_build.clone().find(|key| key.name == name).map(|key| format!("build.{}", key.name));
    let table = || {
        nearest(name, ["build", "service"])
            .map(|table| if table == "build" { "[build]" } else { "[[service]]" })
    };
    let inner = || nearest(name, in_build.map(|key| key.name)).map(|key| format!("build.{key}"));
    let nearest = exact.or_else(|| table().map(str::to_owned)).or_else(inner);
    node.source.error(span, ConfigErrorKind::UnknownKey { key: name.to_owned(), nearest })
}

fn build(node: &Node<'_>) -> Result<Settings, ConfigError> {
    let mut settings = Settings::default();
    for (name, span, node) in entries(node.source, &node.path, node.table("a table")?) {
        if !settings.set(&name, &node)? {
            return Err(unknown_key(&node, &name, span, &[Scope::Both]));
        }
    }
    Ok(settings)
}

fn services(node: &Node<'_>) -> Result<Vec<Service>, ConfigError> {
    let mut services = Vec::new();
    let mut names = BTreeSet::new();
    let mut mains = BTreeSet::new();
    for node in node.elements("an array of tables, written [[service]]")? {
        let service = service(&node)?;
        let duplicate = |name: &str| {
            node.source.error(node.span.clone(), ConfigErrorKind::DuplicateService { name: name.to_owned() })
        };
        if !names.insert(display_name(&service).to_owned()) {
            return Err(duplicate(display_name(&service)));
        }
        if !mains.insert(service.folder().to_owned()) {
            return Err(duplicate(service.folder()));
        }
        services.push(service);
    }
    Ok(services)
}

fn service(node: &Node<'_>) -> Result<Service, ConfigError> {
    let (mut main, mut service_name) = (None, None);
    let mut settings = Settings::default();
    for (name, span, node) in entries(node.source, &node.path, node.table("a table")?) {
        match name.as_str() {
            "main" => main = Some(main_package(&node)?),
            "name" => service_name = Some(program_name(&node)?),
            _ if settings.set(&name, &node)? => {}
            _ => return Err(unknown_key(&node, &name, span, &[Scope::Both, Scope::Service])),
        }
    }
    let missing = || {
        let kind = ConfigErrorKind::MissingKey { key: format!("{}.main", node.path) };
        node.source.error(node.span.clone(), kind)
    };
    Ok(Service { main: main.ok_or_else(missing)?, name: service_name, settings })
}

fn main_package(node: &Node<'_>) -> Result<String, ConfigError> {
    let text = node.non_empty()?;
    if text.starts_with('/') || text.split('/').any(|part| part == ".." || part == "...") {
        return Err(node.bad_value("a folder below the one of longshore.toml, such as ./cmd/api", text));
    }
    Ok(text)
}

fn program_name(node: &Node<'_>) -> Result<String, ConfigError> {
    let text = node.string()?;
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let first = text.chars().next().is_some_and(|character| character.is_ascii_alphanumeric());
    if !first || text.len() > 128 || !text.chars().all(allowed) {
        return Err(node.bad_value("a name of letters, digits, `.`, `_` and `-`", text));
    }
    Ok(text)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
