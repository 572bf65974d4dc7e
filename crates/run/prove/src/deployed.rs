//! The same behaviour under exactly the settings of a deployment: a compose service, a container of a Kubernetes workload.
//!
//! What a deployment asks for and a container here cannot be given is a check of its own that could not be made: all others may pass, and it is
//! still not known that the image bears what it will meet.

use longshore_runtime::MountSource;

use crate::behaviour::walk;
use crate::check::{Checks, Outcome, Verdict};
use crate::service::Subject;

/// A deployment whose settings a subject has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployed {
    /// What its checks are listed under: "compose.yaml: shop".
    pub name: String,
    /// Whether the image must name a user by a number that is not 0, unless the deployment does (`runAsNonRoot`).
    pub not_root: bool,
    /// The image's own user.
    pub image_user: String,
    /// What it asks for and the settings do not hold, each with the reason.
    pub missing: Vec<String>,
}

/// Makes the checks of a deployment. The subject's settings are the deployment's.
pub fn as_deployed(subject: &Subject<'_>, deployed: &Deployed, checks: &mut Checks) {
    if deployed.not_root {
        let admitted = || admitted(subject, &deployed.image_user);
        let verdict = checks.make(&deployed.name, "is admitted with runAsNonRoot", admitted);
        if verdict != Some(Verdict::Passed) {
            return;
        }
    }
    checks.make(&deployed.name, "has all that is asked for", || whole(subject, &deployed.missing));
    // Tests leave the volumes of a deployment alone: empty ones stand for them, and take over what the image has there, as new ones do.
    let mut settings = subject.settings.clone();
    for mount in &mut settings.mounts {
        if let MountSource::Volume(name) = &mut mount.source {
            *name = None;
        }
    }
    walk(subject, &settings, true, &mut |name, check| checks.make(&deployed.name, name, check));
}

/// What a kubelet says to `runAsNonRoot` before it starts anything.
fn admitted(subject: &Subject<'_>, image_user: &str) -> Outcome {
    let expected = "a user whose number is known and is not 0";
    let own = subject.settings.user.as_deref();
    let user = own.unwrap_or(image_user).split(':').next().unwrap_or_default();
    let hint = || Some("say runAsUser, or USER with a number in the image".to_owned());
    match (user, user.parse::<u32>()) {
        ("", _) => Outcome::failed(expected, "the image names no user, which is root").hinted(hint()),
        (_, Ok(0)) => Outcome::failed(expected, "0, which is root").hinted(hint()),
        (_, Ok(number)) => Outcome::passed().saying(format!("uid {number}")),
        (name, Err(_)) => {
            Outcome::failed(expected, format!("the name {name}, whose number a kubelet does not look up"))
                .hinted(hint())
        }
    }
}

fn whole(subject: &Subject<'_>, missing: &[String]) -> Outcome {
    if !missing.is_empty() {
        return Outcome::unchecked(missing.join("; "));
    }
    let mounts = &subject.settings.mounts;
    let memory = mounts.iter().filter(|mount| matches!(mount.source, MountSource::Tmpfs { .. })).count();
    match mounts.len() {
        0 => Outcome::passed(),
        count => Outcome::passed().saying(format!("{count} mounts, {memory} of them in memory")),
    }
}
