//! Settings with every default in place, checked against each other.

use std::collections::BTreeMap;

use longshore_config::{
    BaseChoice, BuildMode, Healthcheck, HealthcheckChoice, ImageFormat, Include, Port, Presence, Vcs,
};
use longshore_oci::{Healthcheck as OciHealthcheck, Platform, nanoseconds};

use crate::error::SettingsError;
use crate::probe::{PROBE_PATH, probe};
use crate::request::{BuildRequest, ServiceFacts};

/// The folder that programs lie in.
pub(crate) const PROGRAM_FOLDER: &str = "app";
/// Who programs run as unless somebody says otherwise; distroless images use the same number.
const NONROOT: &str = "65532:65532";

/// What a build does.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) platforms: Vec<Platform>,
    pub(crate) tags: Vec<String>,
    pub(crate) ldflags: Vec<String>,
    pub(crate) gcflags: Vec<String>,
    pub(crate) stamp: BTreeMap<String, String>,
    pub(crate) strip: bool,
    pub(crate) cgo: bool,
    pub(crate) race: bool,
    pub(crate) mode: BuildMode,
    pub(crate) go_env: BTreeMap<String, String>,
    goamd64: Option<String>,
    goarm: Option<String>,
    goarm64: Option<String>,
    pub(crate) vcs: Vcs,
    pub(crate) version: Option<String>,
    pub(crate) base: BaseChoice,
    pub(crate) user: String,
    pub(crate) workdir: Option<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) entrypoint_args: Vec<String>,
    pub(crate) cmd: Vec<String>,
    pub(crate) ports: Vec<Port>,
    pub(crate) stop_signal: Option<String>,
    pub(crate) healthcheck: Option<OciHealthcheck>,
    /// Whether the settings name the probe as the health check's program.
    names_probe: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) format: ImageFormat,
    pub(crate) certificates: Presence,
    pub(crate) timezones: Presence,
    pub(crate) extra_ca: Vec<String>,
    pub(crate) include: Vec<Include>,
}

impl Resolved {
    /// The request's settings with defaults. Errors: they contradict each other.
    pub(crate) fn new(request: &BuildRequest) -> Result<Resolved, SettingsError> {
        let settings = request.settings.clone();
        let program = format!("/{PROGRAM_FOLDER}/{}", request.name);
        let names_probe = names_probe(settings.healthcheck.as_ref());
        let resolved = Resolved {
            platforms: platforms(settings.platforms.as_deref())?,
            tags: settings.tags.unwrap_or_default(),
            ldflags: settings.ldflags.unwrap_or_default(),
            gcflags: settings.gcflags.unwrap_or_default(),
            stamp: settings.stamp,
            strip: settings.strip.unwrap_or(true),
            cgo: settings.cgo.unwrap_or(false),
            race: settings.race.unwrap_or(false),
            mode: settings.build_mode.unwrap_or_default(),
            go_env: settings.go_env,
            goamd64: settings.goamd64,
            goarm: settings.goarm,
            goarm64: settings.goarm64,
            vcs: settings.vcs.unwrap_or_default(),
            version: settings.version,
            base: settings.base.unwrap_or_default(),
            user: settings.user.unwrap_or_else(|| NONROOT.to_owned()),
            workdir: settings.workdir,
            env: settings.env,
            entrypoint_args: settings.entrypoint_args.unwrap_or_default(),
            cmd: settings.cmd.unwrap_or_default(),
            ports: sorted(settings.ports.unwrap_or_else(|| request.facts.ports.clone())),
            stop_signal: settings.stop_signal,
            healthcheck: healthcheck(settings.healthcheck, &request.facts, &program)?,
            names_probe,
            labels: settings.labels,
            annotations: settings.annotations,
            format: settings.image_format.unwrap_or_default(),
            certificates: settings.certificates.unwrap_or_default(),
            timezones: settings.timezones.unwrap_or_default(),
            extra_ca: settings.extra_ca.unwrap_or_default(),
            include: settings.include.unwrap_or_default(),
        };
        resolved.check()?;
        if resolved.names_probe {
            resolved.check_probe()?;
        }
        Ok(resolved)
    }

    /// The program that the health check is made with, where an image of this platform has such a check. Who names it gets it in OCI images too,
    /// which have no health check: for one that is written elsewhere, such as an exec probe of Kubernetes.
    pub(crate) fn probe_of(&self, platform: &Platform) -> Option<&'static [u8]> {
        let is_carried = self.format == ImageFormat::Docker || self.names_probe;
        let is_asked = is_carried && self.healthcheck.as_ref().is_some_and(uses_probe);
        probe(&platform.architecture).filter(|_| is_asked && platform.os == "linux")
    }

    /// The health check of an image of this platform: none where it would need a program that there is not.
    pub(crate) fn healthcheck_of(&self, platform: &Platform) -> Option<&OciHealthcheck> {
        let check = self.healthcheck.as_ref()?;
        (!uses_probe(check) || self.probe_of(platform).is_some()).then_some(check)
    }

    fn check(&self) -> Result<(), SettingsError> {
        if self.race && !self.cgo {
            return Err(SettingsError::RaceWithoutCgo);
        }
        for platform in &self.platforms {
            let known = ["amd64", "arm64", "ppc64le", "s390x", "riscv64", "loong64"];
            if self.race && !known.contains(&platform.architecture.as_str()) {
                return Err(SettingsError::RacePlatform(platform.to_string()));
            }
        }
        let architectures = [
            (self.goamd64.is_some(), "goamd64", "amd64"),
            (self.goarm.is_some(), "goarm", "arm"),
            (self.goarm64.is_some(), "goarm64", "arm64"),
        ];
        for (set, setting, architecture) in architectures {
            let fits = self.platforms.iter().any(|platform| platform.architecture == architecture);
            if let (true, false, Some(platform)) = (set, fits, self.platforms.first()) {
                return Err(SettingsError::Architecture { setting, platform: platform.to_string() });
            }
        }
        if self.base == BaseChoice::BuiltIn && !crate::base::has_user(&self.user) {
            return Err(SettingsError::User(self.user.clone()));
        }
        for name in self.go_env.keys() {
            if let Some(instead) = forbidden(name) {
                return Err(SettingsError::GoEnvironment { name: name.clone(), instead });
            }
        }
        Ok(())
    }

    /// Whether there is a probe for each platform: one that was asked for by name cannot be left out.
    fn check_probe(&self) -> Result<(), SettingsError> {
        match self.platforms.iter().find(|platform| probe(&platform.architecture).is_none()) {
            Some(platform) => Err(SettingsError::NoProbe(platform.to_string())),
            None => Ok(()),
        }
    }

    /// Whether the settings say which processors of an architecture are meant.
    pub(crate) fn has_level(&self, variable: &str) -> bool {
        match variable {
            "GOAMD64" => self.goamd64.is_some(),
            "GOARM" => self.goarm.is_some(),
            "GOARM64" => self.goarm64.is_some(),
            _ => false,
        }
    }

    /// The variables that say which processors of an architecture the program runs on.
    pub(crate) fn levels(&self, platform: &Platform) -> Vec<(&'static str, String)> {
        let variant = platform.variant.as_deref().and_then(|variant| variant.strip_prefix('v'));
        let of = |name, value: String| vec![(name, value)];
        match platform.architecture.as_str() {
            "amd64" => {
                let own = self.goamd64.clone();
                of(
                    "GOAMD64",
                    own.or_else(|| variant.map(|v| format!("v{v}"))).unwrap_or_else(|| "v1".to_owned()),
                )
            }
            "arm" => {
                let own = self.goarm.clone();
                of("GOARM", own.or_else(|| variant.map(str::to_owned)).unwrap_or_else(|| "7".to_owned()))
            }
            "arm64" => {
                let from_variant =
                    |v: &str| if v.contains('.') { format!("v{v}") } else { format!("v{v}.0") };
                let own = self.goarm64.clone();
                of("GOARM64", own.or_else(|| variant.map(from_variant)).unwrap_or_else(|| "v8.0".to_owned()))
            }
            "386" => of("GO386", "sse2".to_owned()),
            "ppc64" | "ppc64le" => of("GOPPC64", "power8".to_owned()),
            "riscv64" => of("GORISCV64", "rva20u64".to_owned()),
            "mips" | "mipsle" => of("GOMIPS", "hardfloat".to_owned()),
            "mips64" | "mips64le" => of("GOMIPS64", "hardfloat".to_owned()),
            _ => Vec::new(),
        }
    }
}

/// Go 1.26 takes any GOAMD64 without a word, and an image would then promise a processor that does not exist.
fn check_variant(platform: &Platform) -> Result<(), SettingsError> {
    let Some(variant) = platform.variant.as_deref() else { return Ok(()) };
    let (fits, known) = match platform.architecture.as_str() {
        "amd64" => (matches!(variant, "v1" | "v2" | "v3" | "v4"), "v1 to v4"),
        "arm" => (matches!(variant, "v5" | "v6" | "v7"), "v5, v6 and v7"),
        "arm64" => (variant.starts_with("v8") || variant.starts_with("v9"), "v8.0 to v8.9 and v9.0 to v9.5"),
        _ => (true, ""),
    };
    let wrong = || SettingsError::Variant {
        variant: variant.to_owned(),
        architecture: platform.architecture.clone(),
        known,
    };
    if fits { Ok(()) } else { Err(wrong()) }
}

fn platforms(names: Option<&[String]>) -> Result<Vec<Platform>, SettingsError> {
    let Some(names) = names else { return Ok(vec![Platform::host()]) };
    let mut platforms: Vec<Platform> = Vec::new();
    for name in names {
        let platform: Platform = name.parse().map_err(|_| SettingsError::Platform(name.clone()))?;
        check_variant(&platform)?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if platforms.is_empty() { Ok(vec![Platform::host()]) } else { Ok(platforms) }
}

fn sorted(mut ports: Vec<Port>) -> Vec<Port> {
    ports.sort();
    ports.dedup();
    ports
}

/// What to use in place of a variable that `go-env` may not set.
fn forbidden(name: &str) -> Option<&'static str> {
    Some(match name {
        "GOOS" | "GOARCH" => "write `platforms`",
        "CGO_ENABLED" => "write `cgo`",
        "GOAMD64" => "write `goamd64`",
        "GOARM" => "write `goarm`",
        "GOARM64" => "write `goarm64`",
        "GOFLAGS" => "write `tags`, `ldflags` or `gcflags`",
        "GOTOOLCHAIN" => "go.mod's `toolchain` line says which Go is used",
        "GOROOT" | "GOENV" | "PWD" | "GO111MODULE" | "PATH" | "HOME" => "longshore sets it",
        _ => return None,
    })
}

/// Whether the settings name the probe as the program that is asked.
fn names_probe(choice: Option<&HealthcheckChoice>) -> bool {
    let Some(HealthcheckChoice::On(check)) = choice else { return false };
    check.command.as_ref().and_then(|command| command.first()).is_some_and(|program| program == PROBE_PATH)
}

/// Whether a health check is made with the probe that longshore puts into images.
fn uses_probe(check: &OciHealthcheck) -> bool {
    matches!(check.test.as_slice(), [form, program, ..] if form == "CMD" && program == PROBE_PATH)
}

/// How an engine asks for health: as the settings say, else with the program's own arguments, else with the probe.
fn healthcheck(
    choice: Option<HealthcheckChoice>,
    facts: &ServiceFacts,
    program: &str,
) -> Result<Option<OciHealthcheck>, SettingsError> {
    let own = facts.health.as_ref().map(|arguments| [&[program.to_owned()], arguments.as_slice()].concat());
    let found = own.or_else(|| Some(vec![PROBE_PATH.to_owned(), facts.health_url.clone()?]));
    let (check, command) = match (choice, found) {
        (Some(HealthcheckChoice::Off), _) | (None, None) => return Ok(None),
        (None, Some(found)) => (Healthcheck::default(), found),
        (Some(HealthcheckChoice::On(check)), found) => {
            let command = check.command.clone().or(found).ok_or(SettingsError::NoHealthCommand)?;
            (check, command)
        }
    };
    let or_seconds = |duration: Option<std::time::Duration>, seconds| {
        nanoseconds(duration.unwrap_or(std::time::Duration::from_secs(seconds)))
    };
    Ok(Some(OciHealthcheck {
        test: ["CMD".to_owned()].into_iter().chain(command).collect(),
        interval: or_seconds(check.interval, 30),
        timeout: or_seconds(check.timeout, 3),
        start_period: or_seconds(check.start_period, 5),
        start_interval: check.start_interval.map_or(0, nanoseconds),
        retries: i64::from(check.retries.unwrap_or(3)),
        ..OciHealthcheck::default()
    }))
}
