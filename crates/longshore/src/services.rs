//! From a folder to the services in it: what the source says, what longshore.toml says, and which main packages are meant.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use longshore_config::{CONFIG_FILE, Config, Settings};
use longshore_oci::Platform;
use longshore_project::{DetectOptions, Main, Project, Workspace};

use crate::context::Context;
use crate::settings::{GO_OPTIONS, SettingsArgs};
use crate::ui::{CommandError, Ui};

/// Which service, and how it is built.
#[derive(Debug, Args)]
pub(crate) struct ServicesArgs {
    /// Folder of a Go module, or of a package in it
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) path: PathBuf,

    /// Main package to take: its name, folder or import path
    #[arg(long, value_name = "NAME", help_heading = GO_OPTIONS)]
    pub(crate) main: Option<String>,

    /// Take every main package in PATH
    #[arg(long, conflicts_with = "main", help_heading = GO_OPTIONS)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// A project with its configuration.
#[derive(Debug)]
pub(crate) struct Services {
    /// What the source says.
    pub(crate) project: Project,
    /// The folder of longshore.toml, or where it would be.
    pub(crate) root: PathBuf,
    /// Whether there is a longshore.toml.
    pub(crate) has_config: bool,
    /// The services that were asked for, at least one.
    pub(crate) chosen: Vec<Service>,
}

/// A main package and all that is known of it before it is built.
#[derive(Debug)]
pub(crate) struct Service {
    /// What the source says.
    pub(crate) main: Main,
    /// The name of its program and, without another, of its image.
    pub(crate) name: String,
    /// What is typed, over what longshore.toml says.
    pub(crate) settings: Settings,
    /// What is typed alone.
    pub(crate) typed: Settings,
}

/// No service can be chosen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServicesError {
    /// There is no main package.
    #[error("no main package in {}", path.display())]
    NoMain {
        /// The folder that was asked about.
        path: PathBuf,
        /// Main packages elsewhere in the project.
        elsewhere: Vec<String>,
    },
    /// Every file of the main packages is C's, and cgo is off.
    #[error("the main package {} has C code, and cgo is off", mains.join(", "))]
    NeedsCgo {
        /// Their folders.
        mains: Vec<String>,
    },
    /// There are several and none was named.
    #[error("{} main packages in {}: {}", mains.len(), path.display(), mains.join(", "))]
    Several {
        /// The folder that was asked about.
        path: PathBuf,
        /// Their folders.
        mains: Vec<String>,
    },
    /// The named one is not there.
    #[error("no main package is called `{name}`")]
    NoSuchMain {
        /// The name.
        name: String,
        /// The folders there are.
        mains: Vec<String>,
    },
    /// A configuration that does not rule over the module.
    #[error("{} is below the go.mod of its module", file.display())]
    MisplacedConfig {
        /// The file.
        file: PathBuf,
    },
}

impl ServicesError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            ServicesError::NoMain { elsewhere, .. } if elsewhere.is_empty() => {
                "an image needs a package called main with a function main".to_owned()
            }
            ServicesError::NoMain { elsewhere, .. } => format!("there are some in {}", elsewhere.join(", ")),
            ServicesError::NeedsCgo { .. } => {
                "build with --cgo, or set `cgo = true` in longshore.toml; the base then needs a C library"
                    .to_owned()
            }
            ServicesError::Several { .. } => {
                "choose one with --main NAME or by its folder, or take every one with --all".to_owned()
            }
            ServicesError::NoSuchMain { mains, .. } => format!("there are {}", mains.join(", ")),
            ServicesError::MisplacedConfig { .. } => {
                "move it beside go.mod, and give the service a [[service]] there".to_owned()
            }
        })
    }
}

/// What to do where several main packages may be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Several {
    /// Take all of them.
    All,
    /// Ask on a terminal; elsewhere it is an error.
    Ask,
}

/// Reads a project and chooses its services.
pub(crate) fn resolve(
    arguments: &ServicesArgs,
    several: Several,
    context: &Context,
    ui: &mut Ui,
) -> Result<Services, CommandError> {
    // Links are resolved first, so that the folders of the project and of its configuration can be compared.
    let path = std::fs::canonicalize(&arguments.path).unwrap_or_else(|_| arguments.path.clone());
    let found = find_config(&path);
    let config = match &found {
        Some(folder) => Config::load(folder)?,
        None => Config::default(),
    };
    let options = detect_options(context, &arguments.settings.over(&config.build));
    let project = longshore_project::detect(&path, &options)?;
    if project.mains.is_empty() && !options.cgo {
        let with_cgo = DetectOptions { cgo: true, ..options };
        let hidden = longshore_project::detect(&path, &with_cgo)?.mains;
        if !hidden.is_empty() {
            return Err(ServicesError::NeedsCgo { mains: folders(&hidden) }.into());
        }
    }
    let root = found.clone().unwrap_or_else(|| project.root.clone());
    let mut chosen = Vec::new();
    let mains = match choose(arguments, &project, &config)? {
        Chosen::These(mains) => mains,
        Chosen::OneOf(mains) if several == Several::All => mains,
        Chosen::OneOf(mains) => vec![ask(&mains, arguments, context, ui)?],
    };
    for main in mains {
        chosen.push(service(main.clone(), &project, &root, &config, &arguments.settings)?);
    }
    Ok(Services { project, root, has_config: found.is_some(), chosen })
}

/// The nearest longshore.toml upward, no further than the repository that the folder belongs to.
fn find_config(path: &Path) -> Option<PathBuf> {
    for folder in path.ancestors() {
        if folder.join(CONFIG_FILE).is_file() {
            return Some(folder.to_owned());
        }
        if folder.join(".git").exists() {
            return None;
        }
    }
    None
}

fn detect_options(context: &Context, settings: &Settings) -> DetectOptions {
    let named = settings.platforms.as_ref().and_then(|platforms| platforms.first()?.parse().ok());
    let platform: Platform = named.unwrap_or_else(Platform::host);
    let variable = |name| context.environment.variable(name).and_then(|value| value.to_str());
    DetectOptions {
        os: platform.os,
        arch: platform.architecture,
        cgo: settings.cgo.unwrap_or(false),
        tags: settings.tags.iter().flatten().cloned().collect::<BTreeSet<_>>(),
        go_minor: None,
        workspace: match variable("GOWORK") {
            None => Workspace::Find,
            Some("off") => Workspace::Off,
            Some(file) => Workspace::File(PathBuf::from(file)),
        },
        private: variable("GOPRIVATE").unwrap_or_default().to_owned(),
        programs: true,
    }
}

enum Chosen<'a> {
    These(Vec<&'a Main>),
    OneOf(Vec<&'a Main>),
}

fn choose<'a>(
    arguments: &ServicesArgs,
    project: &'a Project,
    config: &Config,
) -> Result<Chosen<'a>, CommandError> {
    let here: Vec<&Main> = project.mains_under_start().collect();
    if let Some(name) = &arguments.main {
        let candidates = if here.is_empty() { project.mains.iter().collect() } else { here };
        return named(name, &candidates, config).map(|main| Chosen::These(vec![main]));
    }
    match here.len() {
        0 => {
            let elsewhere = folders(&project.mains);
            Err(ServicesError::NoMain { path: arguments.path.clone(), elsewhere }.into())
        }
        1 => Ok(Chosen::These(here)),
        _ if arguments.all => Ok(Chosen::These(here)),
        // A package named by its own folder is meant even where others lie below it.
        _ => match here.iter().find(|main| project.start != "." && main.dir == project.start) {
            Some(main) => Ok(Chosen::These(vec![main])),
            None => Ok(Chosen::OneOf(here)),
        },
    }
}

fn ask<'a>(
    mains: &[&'a Main],
    arguments: &ServicesArgs,
    context: &Context,
    ui: &mut Ui,
) -> Result<&'a Main, CommandError> {
    let folders = folders(mains.iter().copied());
    let several = |mains| ServicesError::Several { path: arguments.path.clone(), mains };
    if !context.environment.can_ask() {
        return Err(CommandError::usage(several(folders)));
    }
    let index = ui.choose("Which main package?", &folders)?;
    mains.get(index).copied().ok_or_else(|| CommandError::usage(several(folders)))
}

fn named<'a>(name: &str, mains: &[&'a Main], config: &Config) -> Result<&'a Main, CommandError> {
    let wanted = name.trim_start_matches("./").trim_end_matches('/');
    let service = config.service_named(name).map(|service| service.folder().to_owned());
    let is = |main: &&&Main| {
        main.dir == wanted || main.import_path == name || service.as_deref() == Some(main.dir.as_str())
    };
    let found = mains.iter().find(is).or_else(|| mains.iter().find(|main| main.name == name));
    found.copied().ok_or_else(|| {
        CommandError::usage(ServicesError::NoSuchMain {
            name: name.to_owned(),
            mains: folders(mains.iter().copied()),
        })
    })
}

fn folders<'a>(mains: impl IntoIterator<Item = &'a Main>) -> Vec<String> {
    mains
        .into_iter()
        .map(|main| if main.dir == "." { ".".to_owned() } else { format!("./{}", main.dir) })
        .collect()
}

fn service(
    main: Main,
    project: &Project,
    root: &Path,
    config: &Config,
    typed: &SettingsArgs,
) -> Result<Service, ServicesError> {
    let folder = project.root.join(&main.dir);
    let module = module_folder(project, &main);
    // `main` of a [[service]] is relative to the configuration's folder, which may lie above the project's.
    if !module.starts_with(root) {
        return Err(ServicesError::MisplacedConfig { file: root.join(CONFIG_FILE) });
    }
    let relative = folder.strip_prefix(root).unwrap_or(Path::new(""));
    let parts = relative.components().filter(|part| *part != Component::CurDir);
    let relative: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
    let relative = if relative.is_empty() { ".".to_owned() } else { relative.join("/") };
    let named = config.service_for(&relative).and_then(|service| service.name.clone());
    let settings = typed.over(&config.settings_for(&relative));
    Ok(Service {
        name: named.unwrap_or_else(|| main.name.clone()),
        main,
        settings,
        typed: typed.over(&Settings::default()),
    })
}

/// The absolute folder of the go.mod that a main package belongs to.
pub(crate) fn module_folder(project: &Project, main: &Main) -> PathBuf {
    let module = project.modules.iter().find(|module| module.path == main.module);
    match module.map(|module| module.dir.as_str()) {
        None | Some(".") => project.root.clone(),
        Some(dir) => project.root.join(dir),
    }
}
