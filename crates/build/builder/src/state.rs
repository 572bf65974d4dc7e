//! What is known of a stage while its instructions are gone through: files, configuration, variables.

use longshore_dockerfile::paths;
use longshore_image::Image;
use longshore_oci::{History, ImageConfig, Platform};
use longshore_snapshot::Chain;

use crate::key::Key;

/// The comment that BuildKit's Dockerfile frontend leaves in histories; other tools tell builders apart by it.
const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// PATH of images that set none.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One layer that a stage's instructions made, or will have made.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// The key that names its snapshot: that of the state after it, unless it does not depend on what is below (`--link`).
    pub(crate) snapshot: Key,
    /// Whether it was made on nothing, whatever is below.
    pub(crate) is_linked: bool,
}

/// A stage under way.
#[derive(Debug, Clone)]
pub(crate) struct StageState {
    /// Identity of the files so far.
    pub(crate) key: Key,
    /// The base's layers, before any step.
    pub(crate) base: Chain,
    /// The image that the stage stands on; none on scratch.
    pub(crate) base_image: Option<Image>,
    /// The steps since.
    pub(crate) steps: Vec<Step>,
    /// The configuration so far; `rootfs` and the base's history included.
    pub(crate) config: ImageConfig,
    /// How many entries of the history were there before the Dockerfile's first stage: the base's.
    pub(crate) base_history: usize,
    /// What RUN steps and expansion see: the image's environment and declared arguments, in the order in which they were set last.
    pub(crate) variables: Vec<(String, String)>,
    /// ARG instructions so far: name, and value where there is one.
    pub(crate) arguments: Vec<(String, Option<String>)>,
    /// Whether this Dockerfile set CMD: ENTRYPOINT then leaves it alone.
    pub(crate) cmd_is_set: bool,
    /// Platform of the stage.
    pub(crate) platform: Platform,
}

impl StageState {
    /// A stage on an image's files and configuration.
    pub(crate) fn new(key: Key, base: Chain, mut config: ImageConfig, platform: Platform) -> Self {
        // The time of the base is not that of what is built on it.
        config.created = None;
        let base_history = config.history.len();
        StageState {
            key,
            base,
            base_image: None,
            steps: Vec::new(),
            config,
            base_history,
            variables: Vec::new(),
            arguments: Vec::new(),
            cmd_is_set: false,
            platform,
        }
    }

    /// Takes over the image's environment, with a PATH in any case.
    pub(crate) fn start(&mut self) {
        let has_path = self.config.config.env.iter().any(|pair| pair.starts_with("PATH="));
        if !has_path && self.config.os != "windows" {
            self.config.config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
        for pair in self.config.config.env.clone() {
            let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
            self.set_variable(name, value);
        }
    }

    /// A stage that begins where this one ends.
    pub(crate) fn child(&self) -> StageState {
        let mut child = self.clone();
        child.config.config.on_build.clear();
        child.cmd_is_set = false;
        child
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets a variable, which then stands last.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Sets a variable of the image; one that is there keeps its place.
    pub(crate) fn set_image_variable(&mut self, name: &str, value: &str) {
        let pair = format!("{name}={value}");
        let env = &mut self.config.config.env;
        match env.iter_mut().find(|known| known.split('=').next() == Some(name)) {
            Some(known) => *known = pair,
            None => env.push(pair),
        }
    }

    /// Folder that relative paths start at.
    pub(crate) fn folder(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            folder => folder,
        }
    }

    /// A path as the stage means it: absolute, without `.` and `..`, a slash at its end kept.
    pub(crate) fn absolute(&self, path: &str) -> String {
        let joined =
            if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.folder()) };
        let keeps_slash = crate::tree::names_folder(path) || path.is_empty();
        let mut clean = paths::clean(&joined);
        if keeps_slash && clean != "/" {
            clean.push('/');
        }
        clean
    }

    /// The shell of shell-form instructions.
    pub(crate) fn shell(&self) -> Vec<String> {
        match &self.config.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        }
    }

    /// Notes an instruction that made no layer.
    pub(crate) fn note(&mut self, created_by: String) {
        self.history(created_by, true);
    }

    /// Notes an instruction that made a layer.
    pub(crate) fn push(&mut self, key: Key, snapshot: Key, created_by: String) {
        self.key = key;
        self.steps.push(Step { snapshot, is_linked: false });
        self.history(created_by, false);
    }

    fn history(&mut self, created_by: String, empty_layer: bool) {
        self.config.history.push(History {
            created_by: Some(created_by),
            comment: Some(HISTORY_COMMENT.to_owned()),
            empty_layer,
            ..History::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_working_folder_and_stay_below_the_root() {
        let mut state = sample();
        for (folder, path, expected) in [
            ("", "a", "/a"),
            ("/app", "a", "/app/a"),
            ("/app", "a/", "/app/a/"),
            ("/app", ".", "/app/"),
            ("/app", "./", "/app/"),
            ("/app", "/x/../y", "/y"),
            ("/app", "../../..", "/"),
            ("/app", "", "/app/"),
            ("/", "/", "/"),
        ] {
            state.config.config.working_dir = folder.to_owned();
            assert_eq!(state.absolute(path), expected, "{folder} {path}");
        }
    }

    #[test]
    fn an_image_variable_keeps_its_place_and_a_variable_moves_to_the_end() {
        let mut state = sample();
        state.config.config.env = vec!["A=1".to_owned(), "B=2".to_owned()];
        state.start();
        state.set_image_variable("A", "3");
        state.set_variable("A", "3");
        assert_eq!(state.config.config.env, ["A=3", "B=2", &format!("PATH={DEFAULT_PATH}")]);
        let names: Vec<_> = state.variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, state.variable("A")), (vec!["B", "PATH", "A"], Some("3")));
    }

    fn sample() -> StageState {
        let platform: Platform = "linux/amd64".parse().unwrap();
        let key = crate::key::KeyWriter::new("test").finish();
        StageState::new(key, Chain::default(), ImageConfig::new(&platform), platform)
    }
}
