//! Arguments that nobody has to declare a value for: the platforms, and the proxies.

/// Proxy variables that RUN gets from build arguments without an ARG, and that no cache key and no image knows. Lower case too.
pub const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Whether `name` is a proxy variable, in whatever case.
pub fn is_proxy(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// The automatic platform arguments of the global scope, in BuildKit's order. `build` and `target` are platforms as
/// `os[(version)]/architecture[/variant]`, already normalised; `stage` is the name of the target stage, `default` where it has none.
/// A build argument of the same name takes the place of each.
pub fn platform_arguments(
    build: &str,
    target: &str,
    stage: Option<&str>,
    build_arguments: &[(String, String)],
) -> Vec<(String, String)> {
    let [build_os, build_version, build_architecture, build_variant] = parts(build);
    let [os, version, architecture, variant] = parts(target);
    let joined = |os: &str, architecture: &str, variant: &str| {
        let parts = [os, architecture, variant].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("/")
    };
    let build_platform = joined(build_os, build_architecture, build_variant);
    let automatic = [
        ("BUILDPLATFORM", build_platform.as_str()),
        ("BUILDOS", build_os),
        ("BUILDOSVERSION", build_version),
        ("BUILDARCH", build_architecture),
        ("BUILDVARIANT", build_variant),
        ("TARGETPLATFORM", target),
        ("TARGETOS", os),
        ("TARGETOSVERSION", version),
        ("TARGETARCH", architecture),
        ("TARGETVARIANT", variant),
        ("TARGETSTAGE", stage.unwrap_or("default")),
    ];
    let value = |(name, value): (&str, &str)| {
        let given = build_arguments.iter().rev().find(|(given, _)| given == name);
        (name.to_owned(), given.map_or(value, |(_, value)| value).to_owned())
    };
    automatic.into_iter().map(value).collect()
}

/// Operating system, its version, architecture and variant.
fn parts(platform: &str) -> [&str; 4] {
    let mut parts = platform.splitn(3, '/');
    let os = parts.next().unwrap_or_default();
    let (os, version) = os.strip_suffix(')').and_then(|os| os.split_once('(')).unwrap_or((os, ""));
    [os, version, parts.next().unwrap_or_default(), parts.next().unwrap_or_default()]
}
