//! `--output`: what else becomes of an image.
//!
//! Two ways to say it are understood: buildx's (`type=local,dest=out`, or `out` for short) and skopeo's, which the other commands have
//! (`oci:out`). What does not name its kind is a folder for the image's files, as with buildx.

mod deliver;

use std::path::PathBuf;
use std::str::FromStr;

use longshore_builder::FileChoice;
use longshore_oci::Reference;

use super::tags::TagTemplate;
use super::values::boolean;
use crate::commands::TerminalError;
use crate::context::Context;
use crate::location::{ImageLocation, Place};
use crate::ui::CommandError;

pub(super) use deliver::{Delivery, deliver};

/// One value of `--output`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Destination {
    /// The image, to a place that is a file, a folder, a registry or an engine.
    Image(ImageLocation),
    /// The image, as an archive on standard output, under these names where there are some.
    Stream(Vec<TagTemplate>),
    /// The image's files in a folder.
    Folder(PathBuf, FileChoice),
    /// The image's files in a tar; on standard output where no file is named.
    Tar(Option<PathBuf>, FileChoice),
    /// The image in Docker, under these names as well.
    Engine(Vec<TagTemplate>),
    /// The image in the store under these names, and in their registries too where it is pushed.
    Names {
        /// The names; those of `--tag` where there are none.
        names: Vec<TagTemplate>,
        /// Whether they are pushed.
        push: bool,
    },
}

/// Outputs that do not go together, or not with what is built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DestinationError {
    /// Standard output is one stream.
    #[error("standard output takes one output, and {0} are to go there")]
    Streams(usize),
    /// Files of several services in one folder or tar.
    #[error("the files of {0} services would be mixed in one output")]
    Services(usize),
    /// Files of several platforms in one folder or tar.
    #[error("the files of {0} platforms would be mixed in one output")]
    Platforms(usize),
    /// A registry needs a name.
    #[error("the image has no name to be pushed under")]
    NoName,
}

impl DestinationError {
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            DestinationError::Streams(_) => "name a file for all but one of them: type=tar,dest=FILE",
            DestinationError::Services(_) => "choose one with --main",
            DestinationError::Platforms(_) => "without platform-split=false each has a folder of its own",
            DestinationError::NoName => "give it one with -t NAME, or with type=registry,name=NAME",
        };
        Some(hint.to_owned())
    }
}

impl Destination {
    /// Whether it takes the image's files rather than the image.
    pub(super) fn takes_files(&self) -> bool {
        matches!(self, Destination::Folder(..) | Destination::Tar(..))
    }

    /// Whether it goes to standard output.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Destination::Stream(_) | Destination::Tar(None, _))
    }

    /// Names that the image gets because of it.
    pub(super) fn names(&self) -> &[TagTemplate] {
        match self {
            Destination::Names { names, .. } | Destination::Engine(names) | Destination::Stream(names) => {
                names
            }
            _ => &[],
        }
    }
}

/// Whether outputs go together. `services` is how many images there will be, `tags` are the names that were typed for them.
pub(super) fn check(
    outputs: &[Destination],
    (services, tags): (usize, &[TagTemplate]),
    context: &Context,
) -> Result<(), CommandError> {
    let streams = outputs.iter().filter(|output| output.is_stream()).count();
    let streams = if streams > 0 { streams + services.saturating_sub(1) } else { 0 };
    if streams > 1 {
        return Err(CommandError::usage(DestinationError::Streams(streams)));
    }
    if streams == 1 && context.environment.stdout_is_terminal() {
        return Err(CommandError::usage(TerminalError));
    }
    if services > 1 && outputs.iter().any(Destination::takes_files) {
        return Err(CommandError::usage(DestinationError::Services(services)));
    }
    let pushes_tags =
        |output: &Destination| matches!(output, Destination::Names { names, push: true } if names.is_empty());
    if tags.is_empty() && outputs.iter().any(pushes_tags) {
        return Err(CommandError::usage(DestinationError::NoName));
    }
    Ok(())
}

const TRANSPORTS: &str = "oci:DIR, oci-archive:FILE or docker-archive:FILE";

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" {
            return Ok(Destination::Tar(None, FileChoice::default()));
        }
        let fields = || text.split(',');
        if fields().any(|field| field.starts_with("type=")) {
            return typed(text);
        }
        if fields().any(|field| field.starts_with("dest=")) {
            return Err(
                "it has dest= and no type=: expected type=local,dest=DIR or type=tar,dest=FILE".to_owned()
            );
        }
        if ImageLocation::has_transport(text) {
            let location = text.parse::<ImageLocation>().map_err(|error| error.to_string())?;
            return Ok(Destination::Image(location));
        }
        match text.split_once(':') {
            _ if text.is_empty() => Err("expected a folder for the image's files, or type=…".to_owned()),
            // It may be meant as an image's name, or as a transport that there is not.
            Some((start, _)) if !start.contains('/') => Err(format!(
                "expected DIR, type=…, {TRANSPORTS}; an image is named by --tag, and a folder of this name is ./{text}"
            )),
            _ => Ok(Destination::Folder(PathBuf::from(text), FileChoice::default())),
        }
    }
}

/// The keys of each type.
const TYPES: [(&str, &[&str]); 6] = [
    ("local", &["dest", "src", "platform-split"]),
    ("tar", &["dest", "src", "platform-split"]),
    ("oci", &["dest", "name", "tar"]),
    ("docker", &["dest", "name", "tar"]),
    ("image", &["name", "push"]),
    ("registry", &["name"]),
];

/// `KEY=VALUE,…` with a `type`.
#[derive(Default)]
struct Fields<'t> {
    kind: &'t str,
    dest: Option<PathBuf>,
    choice: FileChoice,
    names: Vec<TagTemplate>,
    tar: Option<bool>,
    push: Option<bool>,
}

fn typed(text: &str) -> Result<Destination, String> {
    let fields = read_fields(text)?;
    let file = fields.dest.clone().filter(|path| path.as_os_str() != "-");
    Ok(match (fields.kind, &fields.dest) {
        ("local", None) => return Err("type=local needs dest=DIR".to_owned()),
        ("local", Some(dest)) => Destination::Folder(dest.clone(), fields.choice),
        ("tar", _) => Destination::Tar(file, fields.choice),
        ("docker", None) => Destination::Engine(fields.names),
        ("oci" | "docker", _) => return archive(fields, file),
        ("registry", _) => Destination::Names { names: fields.names, push: true },
        _ => Destination::Names { names: fields.names, push: fields.push.unwrap_or(false) },
    })
}

fn archive(fields: Fields<'_>, file: Option<PathBuf>) -> Result<Destination, String> {
    let name = match fields.names.as_slice() {
        [] => None,
        [name] => Some(name.to_string()),
        _ => return Err(format!("type={} takes one name", fields.kind)),
    };
    let Some(path) = file else {
        return match fields.tar {
            Some(false) => Err("tar=false writes a folder, which dest=DIR must name".to_owned()),
            _ => Ok(Destination::Stream(fields.names)),
        };
    };
    let reference = name.as_ref().map(|name| name.parse::<Reference>()).transpose();
    let reference = reference.map_err(|error| error.to_string())?;
    // A layout's names are tags.
    let tag = reference.and_then(|name| name.with_default_tag().tag().map(str::to_owned));
    Ok(Destination::Image(match (fields.kind, fields.tar) {
        (_, Some(false)) => ImageLocation::Layout(Place { path, name: tag }),
        ("docker", _) => ImageLocation::DockerArchive(Place { path, name }),
        _ => ImageLocation::OciArchive(Place { path, name }),
    }))
}

fn read_fields(text: &str) -> Result<Fields<'_>, String> {
    let mut fields = Fields::default();
    let pairs: Vec<(&str, &str)> = text
        .split(',')
        .map(|field| field.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, and got `{field}`")))
        .collect::<Result<_, _>>()?;
    let of = |wanted: &str| pairs.iter().filter(move |(key, _)| *key == wanted).count();
    let kind = pairs.iter().find(|(key, _)| *key == "type").map_or("", |(_, value)| value);
    let Some((kind, known)) = TYPES.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no type `{kind}`, but {}", names.join(", ")));
    };
    fields.kind = kind;
    for (key, value) in pairs.iter().copied() {
        if key != "type" && !known.contains(&key) {
            return Err(format!("`{key}` means nothing for type={kind}, which takes {}", known.join(", ")));
        }
        if key != "name" && of(key) > 1 {
            return Err(format!("`{key}` stands there twice"));
        }
        if value.is_empty() {
            return Err(format!("`{key}` has no value"));
        }
        match key {
            "dest" => fields.dest = Some(PathBuf::from(value)),
            "src" => fields.choice.source = Some(PathBuf::from(value)),
            "platform-split" => fields.choice.split = Some(switch(key, value)?),
            "tar" => fields.tar = Some(switch(key, value)?),
            "push" => fields.push = Some(switch(key, value)?),
            "name" => fields.names.push(value.parse()?),
            _ => {}
        }
    }
    Ok(fields)
}

fn switch(key: &str, value: &str) -> Result<bool, String> {
    boolean(value).ok_or_else(|| format!("`{key}` is `{value}`, and must be true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str) -> Destination {
        Destination::Folder(path.into(), FileChoice::default())
    }

    #[test]
    fn the_words_of_buildx_and_of_skopeo_are_understood() {
        let names =
            |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<TagTemplate>>();
        let tar = |path: Option<&str>| Destination::Tar(path.map(PathBuf::from), FileChoice::default());
        let image = |text: &str| Destination::Image(text.parse().unwrap());
        let choice = FileChoice { source: Some("/app".into()), split: Some(true) };
        for (text, expected) in [
            ("out", folder("out")),
            ("./a:b", folder("./a:b")),
            (".", folder(".")),
            ("type=local,dest=out", folder("out")),
            ("dest=out,type=local", folder("out")),
            ("type=local,dest=-", folder("-")),
            ("type=local,dest=o,src=/app,platform-split=1", Destination::Folder("o".into(), choice)),
            ("-", tar(None)),
            ("type=tar", tar(None)),
            ("type=tar,dest=-", tar(None)),
            ("type=tar,dest=a.tar", tar(Some("a.tar"))),
            ("oci:out", image("oci:out")),
            ("oci-archive:a.tar:v1", image("oci-archive:a.tar:v1")),
            ("docker://host/a:1", image("docker://host/a:1")),
            ("type=oci,dest=a.tar", image("oci-archive:a.tar")),
            ("type=oci,dest=a.tar,name=x:1", image("oci-archive:a.tar:x:1")),
            ("type=oci,dest=out,tar=false", image("oci:out")),
            ("type=oci,dest=out,tar=false,name=host/x:1", image("oci:out:1")),
            ("type=docker,dest=a.tar", image("docker-archive:a.tar")),
            ("type=docker", Destination::Engine(Vec::new())),
            ("type=docker,name=x", Destination::Engine(names(&["x"]))),
            ("type=oci", Destination::Stream(Vec::new())),
            ("type=docker,dest=-,name=x", Destination::Stream(names(&["x"]))),
            ("type=image,name=x:1", Destination::Names { names: names(&["x:1"]), push: false }),
            (
                "type=image,name=x,name=y,push=true",
                Destination::Names { names: names(&["x", "y"]), push: true },
            ),
            ("type=registry", Destination::Names { names: Vec::new(), push: true }),
        ] {
            assert_eq!(text.parse::<Destination>(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_told_what_would() {
        for (text, message) in [
            ("", "expected a folder for the image's files, or type=…"),
            ("type=zip", "there is no type `zip`, but local, tar, oci, docker, image, registry"),
            ("type=", "there is no type ``, but local, tar, oci, docker, image, registry"),
            ("type=local", "type=local needs dest=DIR"),
            ("type=local,dest=", "`dest` has no value"),
            ("dest=out", "it has dest= and no type=: expected type=local,dest=DIR or type=tar,dest=FILE"),
            ("type=local,dest=a,dest=b", "`dest` stands there twice"),
            ("type=tar,type=local", "`type` stands there twice"),
            ("type=local,out", "expected KEY=VALUE, and got `out`"),
            (
                "type=tar,dest=a,compression=gzip",
                "`compression` means nothing for type=tar, which takes dest, src, platform-split",
            ),
            ("type=image,push=maybe", "`push` is `maybe`, and must be true or false"),
            ("type=oci,tar=false", "tar=false writes a folder, which dest=DIR must name"),
            ("type=oci,dest=a,name=x,name=y", "type=oci takes one name"),
            (
                "type=oci,dest=a,name={name}",
                "`{name}` is not an image reference: `{name}` is not a repository component: expected a-z, 0-9 and single separators (. _ __ -) between them",
            ),
            (
                "app:1",
                "expected DIR, type=…, oci:DIR, oci-archive:FILE or docker-archive:FILE; an image is named by --tag, and a folder of this name is ./app:1",
            ),
            ("oci:", "`oci:` names no folder after `oci:`"),
        ] {
            assert_eq!(text.parse::<Destination>(), Err(message.to_owned()), "{text}");
        }
    }
}
