//! The image's config and manifest out of its layers.

use std::collections::BTreeMap;

use longshore_image::layer::Layer;
use longshore_oci::{Descriptor, History, ImageConfig, Index, Manifest, Platform, StringMap, annotation};
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
    /// Writes a platform's config and manifest, and returns the manifest's descriptor and the size of all layers.
    pub(crate) fn image(&self, parts: &Parts<'_>, writer: &Writer) -> Result<(Descriptor, u64), BuildError> {
        let config = self.config(parts).map_err(|problem| self.settings_error(problem))?;
        let json = to_json(&config);
        let config = writer.bytes(self.resolved.format.config(), &json)?;
        let mut layers = parts.base.map(|base| base.manifest.layers.clone()).unwrap_or_default();
        // A base's layers keep their digests; their media types become the format's own.
        for layer in &mut layers {
            if let Some(compression) = longshore_oci::media_type::layer_compression(&layer.media_type) {
                layer.media_type = self.resolved.format.layer(compression).to_owned();
            }
        }
        layers.extend(parts.layers.iter().map(|(layer, _)| layer.descriptor.clone()));
        let size = layers.iter().map(|layer| layer.size).sum();
        let mut manifest = Manifest::new(self.resolved.format, config, layers);
        manifest.annotations =
            self.annotations(parts.base).map_err(|problem| self.settings_error(problem))?;
        let mut descriptor = writer.bytes(self.resolved.format.manifest(), &to_json(&manifest))?;
        descriptor.platform = Some(parts.platform.clone());
        Ok((descriptor, size))
    }

    /// Writes the index of several platforms' manifests.
    pub(crate) fn index(
        &self,
        manifests: Vec<Descriptor>,
        writer: &Writer,
    ) -> Result<Descriptor, BuildError> {
        let mut index = Index::new(self.resolved.format, manifests);
        index.annotations = self.annotations(None).map_err(|problem| self.settings_error(problem))?;
        Ok(writer.bytes(self.resolved.format.index(), &to_json(&index))?)
    }

    fn settings_error(&self, problem: SettingsError) -> BuildError {
        BuildError::Settings { service: self.name.to_owned(), problem }
    }

    /// The image's date: SOURCE_DATE_EPOCH, else the commit's, else 1970.
    fn created(&self) -> Result<String, SettingsError> {
        rfc3339(self.source_date_epoch.or(self.commit.time).unwrap_or(0))
    }

    fn config(&self, parts: &Parts<'_>) -> Result<ImageConfig, SettingsError> {
        let created = self.created()?;
        let mut image = ImageConfig::new(parts.platform);
        if let Some(base) = parts.base {
            image = base.config.clone();
            image.unknown.clear();
        }
        image.created = Some(created.clone());
        image.author = None;
        for (layer, what) in parts.layers {
            image.rootfs.diff_ids.push(layer.diff_id.clone());
            image.history.push(History {
                created: Some(created.clone()),
                created_by: Some(format!("longshore: {what}")),
                ..History::default()
            });
        }
        let resolved = self.resolved;
        let config = &mut image.config;
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
        config.healthcheck = match resolved.format {
            longshore_config::ImageFormat::Docker => resolved.healthcheck.clone(),
            // OCI's config has no field for it, and the base's would ask the wrong program.
            longshore_config::ImageFormat::Oci => None,
        };
        config.labels = self.labels(std::mem::take(&mut config.labels))?;
        Ok(image)
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

/// JSON as it is hashed and stored. These structs hold maps of strings and numbers alone, which always have a JSON form.
fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
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
