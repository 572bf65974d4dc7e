//! `securityContext`, of the pod and of the container, where the container's counts before the pod's.

use longshore_runtime::{Capabilities, Seccomp};

use crate::document::Problem;
use crate::fields::Fields;
use crate::lowered::{Lowered, Note};

/// Takes over what both contexts say.
pub(super) fn security(pod: &Fields<'_>, container: &Fields<'_>, lowered: &mut Lowered) {
    let (outer, own) = (pod.fields("securityContext"), container.fields("securityContext"));
    let both = [own.as_ref(), outer.as_ref()];
    let number = |key| both.iter().flatten().find_map(|context| context.number::<u32>(key));
    let settings = &mut lowered.settings;
    settings.user = match (number("runAsUser"), number("runAsGroup")) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user.to_string()),
        (None, Some(_)) => {
            let context = both.into_iter().flatten().find(|context| context.get("runAsGroup").is_some());
            if let Some(context) = context {
                context.missing("runAsGroup", "a group without `runAsUser` cannot be had");
            }
            None
        }
        (None, None) => None,
    };
    lowered.asked.not_root =
        both.iter().flatten().find_map(|context| context.boolean("runAsNonRoot")).unwrap_or_default();
    let filters: Vec<Seccomp> = both.iter().flatten().filter_map(|context| profile(context)).collect();
    // A kubelet sets none unless it is told to.
    settings.seccomp = filters.into_iter().next().unwrap_or(Seccomp::Unconfined);
    settings.no_new_privileges = false;
    if let Some(own) = &own {
        settings.read_only = own.boolean("readOnlyRootFilesystem").unwrap_or_default();
        settings.no_new_privileges = own.boolean("allowPrivilegeEscalation") == Some(false);
        settings.capabilities = own.fields("capabilities").map(|one| capabilities(&one)).unwrap_or_default();
        own.missing("privileged", "a container of its own gets no rights over the machine");
        if let Some(node) =
            own.get("procMount").filter(|node| node.scalar().is_some_and(|one| one.text != "Default"))
        {
            let why = "/proc is masked as it is by default";
            own.findings.note(Note::missing(node.span, own.path("procMount"), why));
        }
    }
    if let Some(outer) = &outer {
        settings.groups = outer
            .list("supplementalGroups")
            .iter()
            .filter_map(|item| Some(item.scalar()?.text.clone()))
            .collect();
        settings.groups.extend(outer.number::<u32>("fsGroup").map(|group| group.to_string()));
        outer.missing("sysctls", "settings of the kernel are not set");
        outer.known(&["fsGroupChangePolicy", "supplementalGroupsPolicy", "seLinuxChangePolicy"]);
    }
    for context in both.into_iter().flatten() {
        context.known(&["seLinuxOptions", "windowsOptions", "appArmorProfile"]);
    }
    own.into_iter().chain(outer).for_each(Fields::finish);
}

fn capabilities(fields: &Fields<'_>) -> Capabilities {
    let names =
        |key| fields.strings(key).iter().map(|name| name.trim_start_matches("CAP_").to_owned()).collect();
    Capabilities { add: names("add"), drop: names("drop") }
}

fn profile(context: &Fields<'_>) -> Option<Seccomp> {
    let profile = context.fields("seccompProfile")?;
    let kind = profile.string("type");
    profile.known(&["localhostProfile"]);
    let filter = match kind.as_deref() {
        Some("RuntimeDefault") => Seccomp::Default,
        Some("Unconfined") => Seccomp::Unconfined,
        Some("Localhost") => {
            profile.missing("localhostProfile", "it is a file of the node: there is no filter here");
            Seccomp::Unconfined
        }
        other => {
            let message = match other {
                Some(other) => format!("{} is not {other}", profile.path("type")),
                None => format!("{} has no type", context.path("seccompProfile")),
            };
            let hint = "RuntimeDefault, Localhost or Unconfined";
            profile.findings.problem(Problem::new(profile.span(), message).hinted(hint));
            return None;
        }
    };
    profile.finish();
    Some(filter)
}
