//! The list of the keys, from which suggestions are made and against which the documentation is checked.

/// Where a key may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In `[build]` and in each `[[service]]`.
    Both,
    /// In a `[[service]]` alone.
    Service,
    /// In a `healthcheck` table.
    Healthcheck,
    /// In an entry of `include`.
    Include,
}

/// One key of `longshore.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The key as it is written.
    pub name: &'static str,
    /// Where it may stand.
    pub scope: Scope,
    /// What it takes, for a person.
    pub takes: &'static str,
    /// What holds without it, for a person.
    pub default: &'static str,
    /// A value that it takes, as TOML.
    pub example: &'static str,
}

const fn key(
    name: &'static str,
    scope: Scope,
    takes: &'static str,
    default: &'static str,
    example: &'static str,
) -> Key {
    Key { name, scope, takes, default, example }
}

/// Every key, in the order of the documentation.
pub const KEYS: &[Key] = &[
    key("main", Scope::Service, "string", "required", "\"./cmd/api\""),
    key("name", Scope::Service, "string", "the folder's name", "\"api\""),
    key(
        "platforms",
        Scope::Both,
        "array of strings",
        "this machine's",
        "[\"linux/amd64\", \"linux/arm64/v8\"]",
    ),
    key("tags", Scope::Both, "array of strings", "none", "[\"netgo\"]"),
    key("ldflags", Scope::Both, "array of strings", "none", "[\"-X\", \"main.region=eu\"]"),
    key("gcflags", Scope::Both, "array of strings", "none", "[\"-l\"]"),
    key("stamp", Scope::Both, "table of strings", "none", "{ \"main.version\" = \"${version}\" }"),
    key("strip", Scope::Both, "boolean", "`true`", "false"),
    key("cgo", Scope::Both, "boolean", "`false`", "true"),
    key("race", Scope::Both, "boolean", "`false`", "true"),
    key("build-mode", Scope::Both, "`\"exe\"` or `\"pie\"`", "`\"exe\"`", "\"pie\""),
    key("go-env", Scope::Both, "table of strings", "none", "{ GOEXPERIMENT = \"jsonv2\" }"),
    key("goamd64", Scope::Both, "`\"v1\"` to `\"v4\"`", "`\"v1\"`", "\"v3\""),
    key("goarm", Scope::Both, "`\"5\"`, `\"6\"` or `\"7\"`", "the platform's variant", "\"7\""),
    key("goarm64", Scope::Both, "string", "`\"v8.0\"`", "\"v8.1,lse\""),
    key("vcs", Scope::Both, "`\"commit\"`, `\"full\"` or `\"off\"`", "`\"commit\"`", "\"full\""),
    key(
        "version",
        Scope::Both,
        "string",
        "none; the commit's version tag with `vcs = \"full\"`",
        "\"1.4.0\"",
    ),
    key(
        "base",
        Scope::Both,
        "`\"built-in\"` or an image",
        "`\"built-in\"`",
        "\"docker.io/library/alpine:3.22\"",
    ),
    key("user", Scope::Both, "string", "`\"65532:65532\"`", "\"1000:1000\""),
    key("workdir", Scope::Both, "string", "`\"/\"`", "\"/srv\""),
    key("env", Scope::Both, "table of strings", "none", "{ TZ = \"Europe/Berlin\" }"),
    key("entrypoint-args", Scope::Both, "array of strings", "none", "[\"serve\"]"),
    key("cmd", Scope::Both, "array of strings", "none", "[\"--verbose\"]"),
    key("ports", Scope::Both, "array of integers and strings", "found in the source", "[8080, \"53/udp\"]"),
    key("stop-signal", Scope::Both, "string", "`\"SIGTERM\"`", "\"SIGINT\""),
    key(
        "healthcheck",
        Scope::Both,
        "table or `false`",
        "the `health` sub-command, or a health route",
        "{ command = [\"/app/api\", \"health\"], interval = \"10s\" }",
    ),
    key("labels", Scope::Both, "table of strings", "none", "{ \"com.example.team\" = \"core\" }"),
    key("annotations", Scope::Both, "table of strings", "none", "{ \"com.example.team\" = \"core\" }"),
    key("image-format", Scope::Both, "`\"docker\"` or `\"oci\"`", "`\"oci\"`", "\"docker\""),
    key("certificates", Scope::Both, "boolean or `\"auto\"`", "`\"auto\"`", "true"),
    key("timezones", Scope::Both, "boolean or `\"auto\"`", "`\"auto\"`", "\"auto\""),
    key("extra-ca", Scope::Both, "array of strings", "none", "[\"certs/company.pem\"]"),
    key(
        "include",
        Scope::Both,
        "array of tables",
        "none",
        "[{ source = \"assets/**\", destination = \"/srv/assets\", mode = \"0644\" }]",
    ),
    key(
        "command",
        Scope::Healthcheck,
        "array of strings",
        "the `health` sub-command, or the probe",
        "[\"/app/api\", \"health\"]",
    ),
    key("interval", Scope::Healthcheck, "duration", "`\"30s\"`", "\"10s\""),
    key("timeout", Scope::Healthcheck, "duration", "`\"3s\"`", "\"1s500ms\""),
    key("start-period", Scope::Healthcheck, "duration", "`\"5s\"`", "\"1m\""),
    key("start-interval", Scope::Healthcheck, "duration", "the engine's", "\"1s\""),
    key("retries", Scope::Healthcheck, "integer", "`3`", "5"),
    key("source", Scope::Include, "string", "required", "\"assets/**\""),
    key("destination", Scope::Include, "string", "required", "\"/srv/assets\""),
    key("mode", Scope::Include, "string of octal digits", "`\"0444\"`, `\"0555\"` if executable", "\"0644\""),
];

/// The one of `known` that `word` was probably meant to be: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let wanted = word.to_ascii_lowercase().replace('_', "-");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, name), name))
        .filter(|(distance, name)| *distance <= name.len().max(wanted.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_and_a_far_one_is_not() {
        let names = || KEYS.iter().map(|key| key.name);
        let cases = [
            ("usr", Some("user")),
            ("platform", Some("platforms")),
            ("Stop_Signal", Some("stop-signal")),
            ("ldflag", Some("ldflags")),
            ("quartermaster", None),
            (&"x".repeat(10_000), None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, names()), expected, "{word:.20}");
        }
    }
}
