//! The URL by which a service can be asked for its health from inside its container, as far as its source tells.
//!
//! A wrong guess would make an engine restart a service that is well. So there is an answer only where the source leaves one: a route for GET
//! without parameters, on the one port that the program listens on.

use longshore_config::{HealthcheckChoice, ImageFormat, Settings};
use longshore_project::{Evidence, Facts, Framework, HealthKind, Port, Protocol, Route};

/// The URL, and where the route is registered, if an image with these settings has a health check that is found: in Docker's format, for a
/// program that cannot check itself.
pub(crate) fn url(facts: &Facts, settings: &Settings) -> Option<(String, Evidence)> {
    let is_docker = settings.image_format == Some(ImageFormat::Docker);
    let is_given = match &settings.healthcheck {
        Some(HealthcheckChoice::Off) => true,
        Some(HealthcheckChoice::On(check)) => check.command.is_some(),
        None => false,
    };
    if !is_docker || is_given || facts.health_command.is_some() {
        return None;
    }
    url_of(facts, settings)
}

/// The URL, and where the route is registered, whatever becomes of it.
pub(crate) fn url_of(facts: &Facts, settings: &Settings) -> Option<(String, Evidence)> {
    let route = facts.routes.iter().filter(|route| can_be_asked(route)).min_by_key(|route| rank(route))?;
    let mut ports = facts.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let (port, None) = (ports.next()?, ports.next()) else { return None };
    if port.tls {
        return None;
    }
    let number = number(port, settings)?;
    let host = match port.host.as_str() {
        "" | "0.0.0.0" | "127.0.0.1" | "localhost" | "::" | "[::]" => "127.0.0.1",
        "::1" | "[::1]" => "[::1]",
        _ => return None,
    };
    Some((format!("http://{host}:{number}{}", route.path), route.evidence.clone()))
}

fn can_be_asked(route: &Route) -> bool {
    let is_get = route.method.as_deref().is_none_or(|method| method == "GET");
    // Frameworks write parameters as `:name`, `{name}` or `*name`; what is no character of a URL's path would be refused by the probe.
    let is_plain = route.path.bytes().all(|byte| byte.is_ascii_graphic() && !b":{}*#?%".contains(&byte));
    let is_http = route.framework != Framework::Grpc;
    is_get && is_plain && is_http && route.path.starts_with('/') && route.host.is_none() && rank(route) < 3
}

/// What is asked first: whether the program works, then whether it lives, then whether it takes requests.
fn rank(route: &Route) -> u8 {
    match route.health {
        Some(HealthKind::Health) => 0,
        Some(HealthKind::Liveness) => 1,
        Some(HealthKind::Readiness) => 2,
        Some(HealthKind::Startup) | None => 3,
    }
}

/// The port's number, which variables that the image sets may change.
fn number(port: &Port, settings: &Settings) -> Option<u16> {
    let mut set = port.environment.iter().filter_map(|name| settings.env.get(name));
    let number = match set.next() {
        // `8080`, `:8080` or `0.0.0.0:8080`.
        Some(value) => value.rsplit(':').next().and_then(|digits| digits.parse().ok()),
        None => port.number,
    };
    number.filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        Evidence { file: "main.go".into(), line: 7 }
    }

    fn route(method: Option<&str>, path: &str, health: Option<HealthKind>) -> Route {
        Route {
            method: method.map(str::to_owned),
            path: path.to_owned(),
            host: None,
            framework: Framework::NetHttp,
            health,
            evidence: evidence(),
        }
    }

    fn port(host: &str, number: Option<u16>) -> Port {
        Port {
            number,
            protocol: Protocol::Tcp,
            host: host.into(),
            environment: vec!["PORT".into()],
            tls: false,
            loopback: host.starts_with("127."),
            evidence: evidence(),
        }
    }

    fn found(routes: &[Route], ports: &[Port], env: &[(&str, &str)]) -> Option<String> {
        let facts = Facts { routes: routes.to_vec(), ports: ports.to_vec(), ..Facts::default() };
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        url_of(&facts, &Settings { env, ..Settings::default() }).map(|(url, _)| url)
    }

    #[test]
    fn the_best_route_is_asked() {
        use HealthKind::{Health, Liveness, Readiness, Startup};
        let cases: &[(&[Route], Option<&str>)] = &[
            (&[route(None, "/health", Some(Health))], Some("/health")),
            (
                &[
                    route(Some("GET"), "/readyz", Some(Readiness)),
                    route(Some("GET"), "/livez", Some(Liveness)),
                ],
                Some("/livez"),
            ),
            (
                &[route(None, "/a/healthz", Some(Health)), route(None, "/healthz", Some(Health))],
                Some("/a/healthz"),
            ),
            (&[route(Some("POST"), "/health", Some(Health))], None),
            (&[route(None, "/:tenant/health", Some(Health))], None),
            (&[route(None, "/{tenant}/health", Some(Health))], None),
            (&[route(None, "/startupz", Some(Startup))], None),
            (&[route(None, "/", None)], None),
            (&[], None),
        ];
        for (routes, path) in cases {
            let expected = path.map(|path| format!("http://127.0.0.1:8080{path}"));
            assert_eq!(found(routes, &[port("", Some(8080))], &[]), expected, "{routes:?}");
        }
        let elsewhere = Route { host: Some("a.example".into()), ..route(None, "/health", Some(Health)) };
        assert_eq!(found(&[elsewhere], &[port("", Some(8080))], &[]), None);
    }

    #[test]
    fn the_port_must_be_certain() {
        let routes = [route(None, "/health", Some(HealthKind::Health))];
        let tls = Port { tls: true, ..port("", Some(8443)) };
        let udp = Port { protocol: Protocol::Udp, ..port("", Some(53)) };
        let one = port("", Some(8080));
        type Case<'a> = (&'a [Port], &'a [(&'a str, &'a str)], Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (std::slice::from_ref(&one), &[], Some("127.0.0.1:8080")),
            (&[one.clone(), udp], &[], Some("127.0.0.1:8080")),
            (&[port("127.0.0.1", Some(80))], &[], Some("127.0.0.1:80")),
            (&[port("::1", Some(80))], &[], Some("[::1]:80")),
            (&[port("10.0.0.1", Some(80))], &[], None),
            (std::slice::from_ref(&one), &[("PORT", "9000")], Some("127.0.0.1:9000")),
            (std::slice::from_ref(&one), &[("PORT", ":9000")], Some("127.0.0.1:9000")),
            (std::slice::from_ref(&one), &[("PORT", "many")], None),
            (&[port("", None)], &[], None),
            (&[one.clone(), port("", Some(9090))], &[], None),
            (&[tls], &[], None),
            (&[], &[], None),
        ];
        for (ports, env, expected) in cases {
            let expected = expected.map(|address| format!("http://{address}/health"));
            assert_eq!(found(&routes, ports, env), expected, "{ports:?} {env:?}");
        }
    }

    #[test]
    fn it_is_for_docker_images_of_programs_that_cannot_ask_themselves() {
        let routes = vec![route(None, "/health", Some(HealthKind::Health))];
        let mut facts = Facts { routes, ports: vec![port("", Some(8080))], ..Facts::default() };
        let docker = Settings { image_format: Some(ImageFormat::Docker), ..Settings::default() };
        assert!(url(&facts, &docker).is_some());
        assert_eq!(url(&facts, &Settings::default()), None);
        let off = Settings { healthcheck: Some(HealthcheckChoice::Off), ..docker.clone() };
        assert_eq!(url(&facts, &off), None);
        let arguments = vec!["health".to_owned()];
        facts.health_command = Some(longshore_project::HealthCommand { arguments, evidence: evidence() });
        assert_eq!(url(&facts, &docker), None);
    }
}
