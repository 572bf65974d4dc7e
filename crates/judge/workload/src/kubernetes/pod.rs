//! A container of a pod as the settings of a container.

use longshore_runtime::{HealthSettings, NetworkMode, RestartPolicy};

use crate::document::Node;
use crate::fields::{Fields, Findings};
use crate::lowered::{Lowered, Note};
use crate::values::thousandths;

use super::{DIALECT, Manifests, Workload, environment, probes, security, text, volumes};

/// Seconds that a pod has to end where it does not say.
const GRACE: u64 = 30;

/// What is lowered, and where it stands.
pub(super) struct Subject<'s> {
    pub(super) manifests: &'s Manifests,
    pub(super) workload: &'s Workload,
    pub(super) object: &'s Node,
    pub(super) spec: &'s Node,
    pub(super) node: &'s Node,
}

/// The container.
pub(super) fn lower(subject: &Subject<'_>, findings: &Findings) -> Lowered {
    let mut lowered = Lowered::default();
    let Some(pod) = Fields::of(subject.spec, "spec", findings, DIALECT) else { return lowered };
    let name = text(subject.node, "name").unwrap_or_default();
    let path = format!("{}.{name}", pod.path("containers"));
    let Some(container) = Fields::of(subject.node, path, findings, DIALECT) else { return lowered };
    let settings = &mut lowered.settings;
    settings.image = container.string("image").unwrap_or_default();
    settings.folder = container.string("workingDir");
    settings.terminal = container.boolean("tty").unwrap_or_default();
    settings.interactive = container.boolean("stdin").unwrap_or_default();
    resources(&container, settings);
    security::security(&pod, &container, &mut lowered);
    environment::environment(subject, &container, &mut lowered);
    let words = |key| {
        let words: Vec<String> = container.strings(key);
        let expand = |word: &String| environment::expanded(word, &lowered, subject.node, &container);
        let expanded = words.iter().filter_map(expand).collect::<Vec<_>>();
        (!expanded.is_empty()).then_some(expanded)
    };
    // What is here the command is ENTRYPOINT in an image, and its arguments are CMD.
    (lowered.settings.entrypoint, lowered.settings.command) = (words("command"), words("args"));
    volumes::mounts(subject, &pod, &container, &mut lowered);
    // An engine's HEALTHCHECK means nothing to a kubelet.
    lowered.settings.health =
        Some(HealthSettings { test: vec!["NONE".to_owned()], ..HealthSettings::default() });
    ports(&container, &mut lowered);
    probes::probes(&container, &mut lowered);
    of_the_pod(&pod, &mut lowered);
    left_out(&container);
    container.finish();
    pod.finish();
    lowered
}

fn resources(container: &Fields<'_>, settings: &mut longshore_runtime::ContainerSettings) {
    let Some(resources) = container.fields("resources") else { return };
    if let Some(limits) = resources.fields("limits") {
        let bytes = |text: &str| {
            thousandths(text).map(|value| u64::try_from(value.div_ceil(1_000)).unwrap_or(u64::MAX))
        };
        let count = |text: &str| thousandths(text).map(|value| u64::try_from(value).unwrap_or(u64::MAX));
        settings.resources.memory = limits.parsed("memory", bytes).filter(|bytes| *bytes > 0);
        settings.resources.processors = limits.parsed("cpu", count).filter(|count| *count > 0);
        limits.known(&["ephemeral-storage"]);
        limits.missing("nvidia.com/gpu", "devices cannot be had");
    }
    resources.known(&["requests", "claims"]);
    resources.finish();
}

fn ports(container: &Fields<'_>, lowered: &mut Lowered) {
    for item in container.list("ports") {
        let path = container.path("ports");
        let Some(port) = Fields::of(item, path, container.findings, DIALECT) else { continue };
        let number = port.number::<u16>("containerPort");
        let is_tcp = port.string("protocol").is_none_or(|protocol| protocol == "TCP");
        port.ignored("hostPort", "ports of the node are not taken");
        port.known(&["name", "hostIP"]);
        port.finish();
        lowered.asked.port = lowered.asked.port.or(number.filter(|_| is_tcp));
    }
}

fn of_the_pod(pod: &Fields<'_>, lowered: &mut Lowered) {
    let settings = &mut lowered.settings;
    settings.hostname = pod.string("hostname");
    settings.restart = match pod.string("restartPolicy").as_deref() {
        Some("Never") => RestartPolicy::No,
        Some("OnFailure") => RestartPolicy::OnFailure(None),
        _ => RestartPolicy::Always,
    };
    if pod.boolean("hostNetwork") == Some(true) {
        settings.network = NetworkMode::Host;
    }
    let grace = pod.number::<u64>("terminationGracePeriodSeconds").unwrap_or(GRACE);
    settings.stop_timeout = Some(std::time::Duration::from_secs(grace));
    lowered.asked.grace = settings.stop_timeout;
    for item in pod.list("hostAliases") {
        let path = pod.path("hostAliases");
        let Some(alias) = Fields::of(item, path, pod.findings, DIALECT) else { continue };
        let address = alias.string("ip").unwrap_or_default();
        let names = alias.strings("hostnames");
        settings.hosts.extend(names.into_iter().map(|name| (name, address.clone())));
        alias.finish();
    }
    if let Some(node) = pod.get("initContainers") {
        let why = "containers that run before it are not run";
        pod.findings.note(Note::missing(node.span, pod.path("initContainers"), why));
    }
    if pod.list("containers").len() > 1 {
        pod.ignored("containers", "the other containers of the pod are not started");
    }
    pod.missing("hostPID", "namespaces are not shared");
    pod.missing("hostIPC", "namespaces are not shared");
    pod.missing("shareProcessNamespace", "namespaces are not shared");
    pod.missing("runtimeClassName", "there is a single runtime");
    pod.missing("resourceClaims", "devices cannot be had");
    pod.known(&[
        "activeDeadlineSeconds",
        "affinity",
        "automountServiceAccountToken",
        "dnsConfig",
        "dnsPolicy",
    ]);
    pod.known(&[
        "enableServiceLinks",
        "ephemeralContainers",
        "hostUsers",
        "hostnameOverride",
        "imagePullSecrets",
    ]);
    pod.known(&["nodeName", "nodeSelector", "os", "overhead", "preemptionPolicy", "priority"]);
    pod.known(&["priorityClassName", "readinessGates", "resources", "schedulerName", "schedulingGates"]);
    pod.known(&["schedulingGroup", "serviceAccount", "serviceAccountName", "setHostnameAsFQDN", "subdomain"]);
    pod.known(&["tolerations", "topologySpreadConstraints", "workloadRef"]);
}

fn left_out(container: &Fields<'_>) {
    container.missing("volumeDevices", "devices cannot be had");
    if let Some(lifecycle) = container.fields("lifecycle") {
        lifecycle.ignored("preStop", "hooks are not run");
        lifecycle.ignored("postStart", "hooks are not run");
        lifecycle.known(&["stopSignal"]);
        lifecycle.finish();
    }
    container.known(&["name", "imagePullPolicy", "resizePolicy", "restartPolicy", "restartPolicyRules"]);
    container.known(&["stdinOnce", "terminationMessagePath", "terminationMessagePolicy"]);
}
