//! Routers: what they are called, what their methods register, and how they hang below each other.
//!
//! A route is kept relative to its router. Where a router hangs is often known only later (`r.Mount("/admin", adminRouter())`),
//! so that full paths are made at the end.

use std::collections::BTreeMap;

use super::Analyzer;
use super::calls::Call;
use super::program::without_major;
use super::value::Value;
use crate::facts::{Evidence, Facts, Framework, HealthKind, Protocol, Route};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RouterId(usize);

/// A route of gorilla/mux between the calls that describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PendingRoute {
    router: RouterId,
    /// Its place among the registered routes, once it is one.
    index: usize,
}

#[derive(Debug)]
struct Router {
    framework: Framework,
    /// The router above it, and the prefix there.
    above: Option<(RouterId, String)>,
}

#[derive(Debug)]
struct Registered {
    router: RouterId,
    methods: Vec<String>,
    path: String,
    host: Option<String>,
    evidence: Evidence,
    /// Whether it turned out to be a prefix of a sub-router only.
    dropped: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Routers {
    routers: Vec<Router>,
    routes: Vec<Registered>,
    default_mux: Option<RouterId>,
    muted: bool,
}

/// The framework whose router a type is.
pub(super) fn framework_of(path: &str, name: &str) -> Option<Framework> {
    Some(match (without_major(path), name) {
        ("net/http", "ServeMux") => Framework::NetHttp,
        ("github.com/gin-gonic/gin", "Engine" | "RouterGroup" | "IRouter" | "IRoutes") => Framework::Gin,
        ("github.com/labstack/echo", "Echo" | "Group") => Framework::Echo,
        ("github.com/go-chi/chi", "Mux" | "Router") => Framework::Chi,
        ("github.com/gofiber/fiber", "App" | "Router" | "Group") => Framework::Fiber,
        ("github.com/gorilla/mux", "Router") => Framework::Gorilla,
        ("google.golang.org/grpc", "Server" | "ServiceRegistrar") => Framework::Grpc,
        _ => return None,
    })
}

/// The framework whose router a function makes.
pub(super) fn framework_constructed(path: &str, name: &str) -> Option<Framework> {
    Some(match (without_major(path), name) {
        ("net/http", "NewServeMux") => Framework::NetHttp,
        ("github.com/gin-gonic/gin", "New" | "Default") => Framework::Gin,
        ("github.com/labstack/echo", "New") => Framework::Echo,
        ("github.com/go-chi/chi", "NewRouter" | "NewMux") => Framework::Chi,
        ("github.com/gofiber/fiber", "New") => Framework::Fiber,
        ("github.com/gorilla/mux", "NewRouter") => Framework::Gorilla,
        ("google.golang.org/grpc", "NewServer") => Framework::Grpc,
        _ => return None,
    })
}

impl Routers {
    pub(super) fn add(&mut self, framework: Framework) -> RouterId {
        self.routers.push(Router { framework, above: None });
        RouterId(self.routers.len() - 1)
    }

    /// A router below another.
    fn below(&mut self, above: RouterId, prefix: &str) -> RouterId {
        let child = self.add(self.framework(above));
        self.routers[child.0].above = Some((above, prefix.to_owned()));
        child
    }

    fn hang(&mut self, child: RouterId, above: RouterId, prefix: &str) {
        let router = &mut self.routers[child.0];
        if router.above.is_none() && child != above {
            router.above = Some((above, prefix.to_owned()));
        }
    }

    pub(super) fn default_mux(&mut self) -> RouterId {
        match self.default_mux {
            Some(id) => id,
            None => {
                let id = self.add(Framework::NetHttp);
                self.default_mux = Some(id);
                id
            }
        }
    }

    pub(super) fn framework(&self, id: RouterId) -> Framework {
        self.routers[id.0].framework
    }

    pub(super) fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// From now on, routes are not noted.
    pub(super) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    fn route(&mut self, router: RouterId, methods: Vec<String>, path: &str, evidence: Evidence) -> usize {
        let dropped = self.muted;
        self.routes.push(Registered {
            router,
            methods,
            path: path.to_owned(),
            host: None,
            evidence,
            dropped,
        });
        self.routes.len() - 1
    }

    /// The prefix of a router, up to the root. Circles end it.
    fn prefix(&self, id: RouterId) -> String {
        let mut parts = Vec::new();
        let mut at = id;
        while let Some((above, prefix)) = &self.routers[at.0].above {
            parts.push(prefix.as_str());
            at = *above;
            if parts.len() > 50 {
                break;
            }
        }
        parts.iter().rev().fold(String::new(), |front, part| join_paths(&front, part))
    }

    /// Adds the routes to the facts of a program, each method and path once.
    pub(super) fn finish(self, facts: &mut Facts) {
        let mut found: BTreeMap<(String, Option<String>), Route> = BTreeMap::new();
        for route in self.routes.iter().filter(|route| !route.dropped) {
            let path = join_paths(&self.prefix(route.router), &route.path);
            let framework = self.framework(route.router);
            let methods: Vec<Option<String>> = match route.methods.len() {
                0 => vec![None],
                _ => route.methods.iter().cloned().map(Some).collect(),
            };
            for method in methods {
                let key = (path.clone(), method.clone());
                found.entry(key).or_insert_with(|| Route {
                    method,
                    health: health_kind(&path),
                    path: path.clone(),
                    host: route.host.clone(),
                    framework,
                    evidence: route.evidence.clone(),
                });
            }
        }
        facts.routes = found.into_values().collect();
    }
}

/// A prefix and a path with one slash between them.
fn join_paths(front: &str, back: &str) -> String {
    if front.is_empty() || back.is_empty() {
        let whole = format!("{front}{back}");
        return if whole.is_empty() { "/".to_owned() } else { whole };
    }
    let front = front.trim_end_matches('/');
    if back == "/" {
        return if front.is_empty() { "/".to_owned() } else { front.to_owned() };
    }
    format!("{front}/{}", back.trim_start_matches('/'))
}

/// What a path tells about health, by its last elements.
fn health_kind(path: &str) -> Option<HealthKind> {
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    let mut parts = path.rsplit('/');
    let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match last {
        "health" | "healthz" | "healthcheck" | "health-check" | "_health" | "_healthz" | "heartbeat" => {
            Some(HealthKind::Health)
        }
        "live" | "livez" | "liveness" | "alive" => Some(HealthKind::Liveness),
        "ready" | "readyz" | "readiness" => Some(HealthKind::Readiness),
        "startup" | "startupz" | "started" if before.starts_with("health") || last == "startupz" => {
            Some(HealthKind::Startup)
        }
        _ => None,
    }
}

/// The HTTP method that a router's method is named after.
fn verb(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let known = matches!(
        upper.as_str(),
        "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS" | "CONNECT" | "TRACE"
    );
    known.then_some(upper)
}

impl<'a> Analyzer<'a> {
    /// A method of a router.
    pub(super) fn call_router(&mut self, id: RouterId, call: &Call<'a, '_>) -> Value<'a> {
        match self.routers.framework(id) {
            Framework::NetHttp => self.call_mux(id, call),
            Framework::Gorilla => self.call_gorilla(id, call),
            Framework::Grpc => Value::Unknown,
            framework => self.call_framework(id, framework, call),
        }
    }

    fn register(
        &mut self,
        id: RouterId,
        methods: Vec<String>,
        path: Option<&str>,
        line: u32,
    ) -> Option<usize> {
        let path = path?;
        let evidence = self.evidence(line);
        Some(self.routers.route(id, methods, path, evidence))
    }

    /// net/http: patterns of the form `METHOD host/path`.
    fn call_mux(&mut self, id: RouterId, call: &Call<'a, '_>) -> Value<'a> {
        if !matches!(call.name, "Handle" | "HandleFunc") {
            return Value::Unknown;
        }
        let Some(pattern) = call.text(0) else { return Value::Unknown };
        let (method, rest) = match pattern.split_once([' ', '\t']) {
            Some((method, rest)) => (Some(method.to_owned()), rest.trim_start()),
            None => (None, pattern),
        };
        let slash = rest.find('/').unwrap_or(0);
        let (host, path) = rest.split_at(slash);
        match call.argument(1) {
            Value::Stripped(prefix, child) => self.routers.hang(child, id, &prefix),
            // A router that sees whole paths.
            Value::Router(child) => self.routers.hang(child, id, ""),
            _ => {
                if let Some(index) = self.register(id, method.into_iter().collect(), Some(path), call.line) {
                    self.routers.routes[index].host = (!host.is_empty()).then(|| host.to_owned());
                }
            }
        }
        Value::Unknown
    }

    /// gorilla/mux: a route is described by a chain of calls.
    fn call_gorilla(&mut self, id: RouterId, call: &Call<'a, '_>) -> Value<'a> {
        match call.name {
            "HandleFunc" | "Handle" | "Path" => {
                match self.register(id, Vec::new(), call.text(0), call.line) {
                    Some(index) => Value::Route(PendingRoute { router: id, index }),
                    None => Value::Unknown,
                }
            }
            "PathPrefix" => match self.register(id, Vec::new(), call.text(0), call.line) {
                Some(index) => Value::Route(PendingRoute { router: id, index }),
                None => Value::Router(id),
            },
            "NewRoute" | "Host" | "Methods" | "Schemes" | "StrictSlash" | "SkipClean" | "Queries"
            | "Headers" => Value::Router(id),
            "Subrouter" => Value::Router(self.routers.below(id, "")),
            _ => Value::Unknown,
        }
    }

    /// The calls behind a route of gorilla/mux.
    pub(super) fn call_route(&mut self, route: PendingRoute, call: &Call<'a, '_>) -> Value<'a> {
        let registered = &mut self.routers.routes[route.index];
        match call.name {
            "Methods" => {
                registered.methods =
                    call.arguments.iter().filter_map(Value::known).map(str::to_owned).collect();
            }
            "Host" => registered.host = call.text(0).map(str::to_owned),
            "Path" => {
                if let Some(path) = call.text(0) {
                    registered.path = join_paths(&registered.path, path);
                }
            }
            "Subrouter" => {
                registered.dropped = true;
                let prefix = registered.path.clone();
                return Value::Router(self.routers.below(route.router, &prefix));
            }
            "Handler" => {
                let child = match call.argument(0) {
                    Value::Router(child) => Some((child, String::new())),
                    Value::Stripped(prefix, child) => Some((child, prefix)),
                    _ => None,
                };
                if let Some((child, prefix)) = child {
                    registered.dropped = true;
                    self.routers.hang(child, route.router, &prefix);
                }
            }
            _ => {}
        }
        Value::Route(route)
    }

    /// gin, echo, chi and fiber, whose methods are named alike.
    fn call_framework(&mut self, id: RouterId, framework: Framework, call: &Call<'a, '_>) -> Value<'a> {
        let (name, line) = (call.name, call.line);
        if let Some(method) = verb(name) {
            self.register(id, vec![method], call.text(0), line);
            return Value::Router(id);
        }
        match name {
            "Any" | "All" | "HandleFunc" => {
                self.register(id, Vec::new(), call.text(0), line);
            }
            "Handle" if framework == Framework::Chi => {
                self.register(id, Vec::new(), call.text(0), line);
            }
            "Handle" | "Add" | "Method" | "MethodFunc" | "Match" => {
                let methods = match call.argument(0) {
                    Value::List(list) => list.iter().filter_map(Value::known).map(str::to_owned).collect(),
                    value => value.known().map(str::to_owned).into_iter().collect(),
                };
                self.register(id, methods, call.text(1), line);
            }
            "Group" | "Route" => return self.group(id, call),
            "Mount" => self.mount(id, call),
            "Static" | "StaticFS" | "StaticFile" | "File" | "StaticFileFS" => {
                let path = call.text(0).map(|path| match name {
                    "Static" | "StaticFS" => join_paths(path, "/*"),
                    _ => path.to_owned(),
                });
                self.register(id, vec!["GET".to_owned()], path.as_deref(), line);
            }
            "With" | "Use" | "Pre" => return Value::Router(id),
            "Run" | "RunTLS" | "Start" | "StartTLS" | "StartAutoTLS" | "Listen" | "ListenTLS" => {
                self.start(framework, call);
            }
            _ => {}
        }
        Value::Unknown
    }

    /// A router below a prefix. chi and fiber hand it to a function.
    fn group(&mut self, id: RouterId, call: &Call<'a, '_>) -> Value<'a> {
        let prefix = call.text(0).unwrap_or_default().to_owned();
        let child = self.routers.below(id, &prefix);
        for argument in call.arguments {
            let takes_router = match argument {
                Value::Closure(function, ..) => function.parameters.len() == 1 && self.takes_router(argument),
                Value::Function(_) | Value::Method(..) => self.takes_router(argument),
                _ => false,
            };
            if takes_router {
                self.call_value(argument.clone(), vec![Value::Router(child)]);
            }
        }
        Value::Router(child)
    }

    /// Whether a function's first parameter is a router.
    fn takes_router(&self, function: &Value<'a>) -> bool {
        let (function, (unit, file)) = match function {
            Value::Closure(function, place, _) => (*function, *place),
            Value::Function(id) | Value::Method(id, _) => (self.program.function(*id), (id.unit, id.file)),
            _ => return false,
        };
        let Some(type_) = function.parameters.first().and_then(|parameter| parameter.type_.as_ref()) else {
            return false;
        };
        let resolved = self.program.resolve_type(unit, file, type_);
        resolved.is_some_and(|(path, name)| framework_of(&path, &name).is_some())
    }

    fn mount(&mut self, id: RouterId, call: &Call<'a, '_>) {
        let Some(prefix) = call.text(0) else { return };
        match call.argument(1) {
            Value::Router(child) => self.routers.hang(child, id, prefix),
            _ => {
                self.register(id, Vec::new(), Some(&join_paths(prefix, "/*")), call.line);
            }
        }
    }

    /// The frameworks' own ways to listen.
    fn start(&mut self, framework: Framework, call: &Call<'a, '_>) {
        let address = match (framework, call.arguments.is_empty()) {
            // Without an address, gin takes PORT, or 8080.
            (Framework::Gin, true) => {
                let evidence = self.evidence(call.line);
                self.findings.variable("PORT", Some("8080"), evidence);
                let text = super::value::Text {
                    environment: vec!["PORT".to_owned()],
                    ..super::value::Text::literal(":8080")
                };
                Value::Text(text)
            }
            _ => call.argument(0),
        };
        if call.name.ends_with("TLS") {
            self.listen_tls(&address, Some(443), call.line);
        } else {
            self.listen(&address, Protocol::Tcp, Some(80), call.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_with_one_slash() {
        let table = [
            ("", "/x", "/x"),
            ("/api", "/x", "/api/x"),
            ("/api/", "/x", "/api/x"),
            ("/api", "x", "/api/x"),
            ("/api", "", "/api"),
            ("/api", "/", "/api"),
            ("/", "/", "/"),
            ("", "", "/"),
        ];
        for (front, back, expected) in table {
            assert_eq!(join_paths(front, back), expected, "{front:?} {back:?}");
        }
    }

    #[test]
    fn health_is_told_by_the_end_of_a_path() {
        let table = [
            ("/health", Some(HealthKind::Health)),
            ("/api/v1/healthz/", Some(HealthKind::Health)),
            ("/livez", Some(HealthKind::Liveness)),
            ("/health/live", Some(HealthKind::Liveness)),
            ("/-/ready", Some(HealthKind::Readiness)),
            ("/readyz", Some(HealthKind::Readiness)),
            ("/health/startup", Some(HealthKind::Startup)),
            ("/healthy-recipes", None),
            ("/", None),
        ];
        for (path, kind) in table {
            assert_eq!(health_kind(path), kind, "{path}");
        }
    }
}
