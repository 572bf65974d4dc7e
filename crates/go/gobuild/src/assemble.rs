//! The image's config and manifest out of its layers.

use std::collections::BTreeMap;

use longshore_image::layer::Layer;
use longshore_image::mutate::{self, Assembled, Draft};
use longshore_oci::{Descriptor, History, Platform, StringMap, annotation};
use longshore_store::Writer;

use crate::base::{BUNDLE_PATH, ForeignBase};
use crate::error::{BuildError, SettingsError};
use crate::recipe::RECIPE_LABEL;
use crate::resolved::{PROGRAM_FOLDER, Resolved};
use crate::time::rfc3339;
use crate::vcs::Commit;

/// Where programs are looked for in the built-in base; the program's own folder comes last, as ko has it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What all platforms of a build have in common.
pub(crate) struct Common<'a> {
    pub(crate) resolved: &'a Resolved,
    pub(crate) name: &'a str,
    pub(crate) module_path: &'a str,
    pub(crate) commit: &'a Commit,
    /// Whether files that went in differ from the commit.
    pub(crate) is_dirty: bool,
    pub(crate) source_date_epoch: Option<i64>,
    pub(crate) recipe: &'a str,
    pub(crate) has_kodata: bool,
}

/// One platform's parts.
pub(crate) struct Parts<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) base: Option<&'a ForeignBase>,
    /// The layers above the base, with what each is.
    pub(crate) layers: &'a [(Layer, &'static str)],
    pub(crate) has_certificates: bool,
}

impl Common<'_> {
    /// A platform's config and manifest, and the size of all layers in bytes.
    pub(crate) fn image(&self, parts: &Parts<'_>) -> Result<(Assembled, u64), BuildError> {
        let mut draft = match parts.base {
            Some(base) => Draft::on(&base.image)?,
            None => Draft::empty(parts.platform),
        };
        self.fill(&mut draft, parts).map_err(|problem| self.settings_error(problem))?;
        let size = draft.layers().iter().map(|layer| layer.size).sum();
        let mut assembled = draft.finish(self.resolved.format).map_err(BuildError::Document)?;
        assembled.root.platform = Some(parts.platform.clone());
        Ok((assembled, size))
    }

    /// Writes the documents of the images, and of their index where there are several. Returns the root.
    pub(crate) fn write(&self, images: &[Assembled], writer: &Writer) -> Result<Descriptor, BuildError> {
        let whole = match images {
            [only] => only.clone(),
            several => {
                let annotations = self.annotations(None).map_err(|problem| self.settings_error(problem))?;
                mutate::index(several, annotations, self.resolved.format).map_err(BuildError::Document)?
            }
        };
        for document in &whole.documents {
            writer.bytes(&document.descriptor.media_type, &document.bytes)?;
        }
        Ok(whole.root)
    }

    fn settings_error(&self, problem: SettingsError) -> BuildError {
        BuildError::Settings { service: self.name.to_owned(), problem }
    }

    /// The image's date: SOURCE_DATE_EPOCH, else the commit's, else 1970.
    fn created(&self) -> Result<String, SettingsError> {
        rfc3339(self.source_date_epoch.or(self.commit.time).unwrap_or(0))
    }

    /// Puts the layers on top and says how the program is started. A health check is for Docker's format, which alone keeps it; the
    /// base's own would ask the wrong program.
    fn fill(&self, draft: &mut Draft, parts: &Parts<'_>) -> Result<(), SettingsError> {
        let created = self.created()?;
        draft.annotations = self.annotations(parts.base)?;
        draft.config.unknown.clear();
        draft.config.created = Some(created.clone());
        draft.config.author = None;
        for (layer, what) in parts.layers {
            let created_by = Some(format!("longshore: {what}"));
            draft.append(layer, History { created: Some(created.clone()), created_by, ..History::default() });
        }
        let resolved = self.resolved;
        let config = &mut draft.config.config;
        config.user.clone_from(&resolved.user);
        config.env = self.environment(&config.env, parts);
        let program = format!("/{PROGRAM_FOLDER}/{}", self.name);
        config.entrypoint =
            Some([program].into_iter().chain(resolved.entrypoint_args.iter().cloned()).collect());
        config.cmd = (!resolved.cmd.is_empty()).then(|| resolved.cmd.clone());
        match &resolved.workdir {
            Some(folder) => config.working_dir.clone_from(folder),
            None if config.working_dir.is_empty() => "/".clone_into(&mut config.working_dir),
            None => {}
        }
        for port in &resolved.ports {
            config.exposed_ports.insert(port.to_string(), serde_json::Value::Object(serde_json::Map::new()));
        }
        if resolved.stop_signal.is_some() {
            config.stop_signal.clone_from(&resolved.stop_signal);
        }
        config.healthcheck = resolved.healthcheck_of(parts.platform).cloned();
        config.labels = self.labels(std::mem::take(&mut config.labels))?;
        Ok(())
    }

    fn environment(&self, inherited: &[String], parts: &Parts<'_>) -> Vec<String> {
        let mut variables: Vec<(String, String)> = inherited
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut set = |name: &str, value: String| match variables.iter_mut().find(|(known, _)| known == name)
        {
            Some((_, old)) => *old = value,
            None => variables.push((name.to_owned(), value)),
        };
        let path = inherited.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(PATH);
        set("PATH", format!("{path}:/{PROGRAM_FOLDER}"));
        if parts.base.is_none() && parts.has_certificates {
            set("SSL_CERT_FILE", format!("/{BUNDLE_PATH}"));
        }
        if self.has_kodata {
            set("KO_DATA_PATH", format!("/{}", crate::assets::KO_DATA));
        }
        for (name, value) in &self.resolved.env {
            set(name, value.clone());
        }
        variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    fn labels(&self, mut inherited: StringMap) -> Result<StringMap, SettingsError> {
        // What a base says of itself is not true of the image.
        inherited.retain(|name, _| !name.starts_with("org.opencontainers.image."));
        let mut labels: BTreeMap<String, String> = inherited.into_iter().collect();
        labels.extend(self.facts(None)?);
        labels.insert(RECIPE_LABEL.to_owned(), self.recipe.to_owned());
        labels.extend(self.resolved.labels.clone());
        Ok(labels.into_iter().collect())
    }

    fn annotations(&self, base: Option<&ForeignBase>) -> Result<StringMap, SettingsError> {
        let mut annotations = self.facts(base)?;
        annotations.extend(self.resolved.annotations.clone());
        Ok(annotations.into_iter().collect())
    }

    /// OCI image-spec 1.1, annotations.md: the facts that both labels and annotations tell.
    fn facts(&self, base: Option<&ForeignBase>) -> Result<BTreeMap<String, String>, SettingsError> {
        let mut facts = BTreeMap::new();
        let mut tell = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                facts.insert(key.to_owned(), value);
            }
        };
        tell(annotation::TITLE, Some(self.name.to_owned()));
        tell(annotation::CREATED, Some(self.created()?));
        tell(annotation::VERSION, self.commit.version.clone());
        let dirty = if self.is_dirty { "-dirty" } else { "" };
        tell(
            annotation::REVISION,
            self.commit.revision.as_ref().map(|revision| format!("{revision}{dirty}")),
        );
        tell(annotation::SOURCE, source_of(self.module_path));
        tell(annotation::BASE_NAME, base.map(|base| base.reference.clone()));
        tell(annotation::BASE_DIGEST, base.map(|base| base.digest.to_string()));
        Ok(facts)
    }
}

/// Where a module's source is, as far as its path tells: a clone's own remote would differ from clone to clone.
fn source_of(module: &str) -> Option<String> {
    let mut parts = module.split('/');
    let (host, owner, repository) = (parts.next()?, parts.next()?, parts.next()?);
    let known = ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org"];
    known.contains(&host).then(|| format!("https://{host}/{owner}/{repository}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosted_module_tells_its_source() {
        let cases = [
            ("github.com/a/b", Some("https://github.com/a/b")),
            ("github.com/a/b/v2", Some("https://github.com/a/b")),
            ("example.com/a/b", None),
            ("github.com/a", None),
            ("hello", None),
        ];
        for (module, expected) in cases {
            assert_eq!(source_of(module).as_deref(), expected, "{module}");
        }
    }
}
