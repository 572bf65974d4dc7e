//! The configs of the base images.

use longshore_image::mutate::Draft;
use longshore_oci::{Healthcheck, Platform};
use serde_json::json;

use super::{CREATED_TEXT, history};

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// What every base has: a PATH and a shell to start.
pub(super) fn plain(platform: &Platform) -> Draft {
    let mut draft = Draft::empty(platform);
    draft.config.created = Some(CREATED_TEXT.to_owned());
    draft.config.config.env = words(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    draft.config.config.cmd = Some(words(["sh"]));
    draft
}

/// Everything that a build inherits.
pub(super) fn configured(mut draft: Draft) -> Draft {
    draft.config.author = Some("The Base <base@example.com>".to_owned());
    let config = &mut draft.config.config;
    config.env.extend(words(["BASE_ONE=first", "BASE_TWO=second value"]));
    config.entrypoint = Some(words(["/bin/base-entrypoint", "--flag"]));
    config.cmd = Some(words(["base-argument"]));
    config.user = "app:app".to_owned();
    config.working_dir = "/home/app".to_owned();
    config.exposed_ports = [("7000/tcp".to_owned(), json!({}))].into_iter().collect();
    config.volumes = [("/volume".to_owned(), json!({}))].into_iter().collect();
    config.labels.insert("base.label".to_owned(), "kept".to_owned());
    config.labels.insert("base.replaced".to_owned(), "base".to_owned());
    config.stop_signal = Some("SIGINT".to_owned());
    config.shell = Some(words(["/bin/ash", "-e", "-c"]));
    config.healthcheck = Some(Healthcheck {
        test: words(["CMD", "/bin/true"]),
        interval: 7_000_000_000,
        timeout: 3_000_000_000,
        retries: 5,
        ..Healthcheck::default()
    });
    for what in ["ENV BASE_ONE=first", "ENTRYPOINT base-entrypoint"] {
        draft.note(history(what));
    }
    draft
}

/// Triggers that run in the build on top.
pub(super) fn with_triggers(mut draft: Draft) -> Draft {
    draft.config.config.on_build = words([
        "ARG TRIGGERED=by-default",
        "ENV FROM_TRIGGER=$TRIGGERED",
        "RUN echo \"$FROM_TRIGGER\" > /from-trigger",
        "LABEL trigger.label=\"$FROM_TRIGGER\"",
    ]);
    draft
}
