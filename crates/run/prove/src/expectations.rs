//! What a service is expected to do, as its image and whoever asks say it.

use std::time::Duration;

use longshore_oci::ContainerConfig;

/// Paths that are asked for health where nobody names one.
const HEALTH_PATHS: [&str; 6] = ["/health", "/healthz", "/ready", "/readyz", "/livez", "/"];

/// What a service is expected to do. Nothing of it is a file that somebody has to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectations {
    /// The port inside that it serves HTTP on; `None` if it serves nothing.
    pub port: Option<u16>,
    /// Paths of which the first that answers with 2xx shows its health.
    pub health_paths: Vec<String>,
    /// Whether the image has a HEALTHCHECK, which is asked instead.
    pub healthcheck: bool,
    /// Time in which it must become healthy.
    pub ready_within: Duration,
    /// Time in which it must end when asked.
    pub grace: Duration,
    /// The signal that asks it to end, by its number.
    pub signal: i32,
    /// The user that it must run as, by number; `None` if the image names none, or one that could not be looked up.
    pub user: Option<u32>,
    /// Requests of the load under which memory is measured.
    pub requests: usize,
}

impl Default for Expectations {
    fn default() -> Expectations {
        Expectations {
            port: None,
            health_paths: HEALTH_PATHS.map(str::to_owned).to_vec(),
            healthcheck: false,
            ready_within: Duration::from_secs(30),
            grace: Duration::from_secs(10),
            signal: 15,
            user: None,
            requests: 500,
        }
    }
}

impl Expectations {
    /// What an image's configuration says: the lowest exposed TCP port, else `PORT`; whether there is a HEALTHCHECK; a numeric user. A STOPSIGNAL is
    /// looked up by whoever knows signals' names.
    pub fn of(config: &ContainerConfig) -> Expectations {
        let exposed = config.exposed_ports.keys().filter_map(|port| match port.split_once('/') {
            Some((number, "tcp")) => number.parse().ok(),
            Some(_) => None,
            None => port.parse().ok(),
        });
        let variable = || config.env.iter().find_map(|pair| pair.strip_prefix("PORT=")?.parse().ok());
        let test = config.healthcheck.as_ref().and_then(|check| check.test.first());
        Expectations {
            port: exposed.min().or_else(variable),
            healthcheck: test.is_some_and(|word| word != "NONE"),
            user: config.user.split(':').next().and_then(|user| user.parse().ok()),
            ..Expectations::default()
        }
    }
}

/// The number of a user, by an image's /etc/passwd where it is a name. `USER[:GROUP]`; `None` if there is no such user.
pub fn user_number(user: &str, passwd: &[u8]) -> Option<u32> {
    let name = user.split(':').next()?;
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let passwd = String::from_utf8_lossy(passwd);
    let mut entries = passwd.lines().map(|line| line.split(':'));
    entries.find_map(|mut fields| if fields.next()? == name { fields.nth(1)?.parse().ok() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_what_is_expected() {
        let config = |text: &str| serde_json::from_str::<ContainerConfig>(text).expect("it is a config");
        for (text, port, healthcheck, user) in [
            (
                r#"{"ExposedPorts":{"9090/tcp":{},"8080/tcp":{},"53/udp":{}},"User":"65532:65532"}"#,
                Some(8080),
                false,
                Some(65532),
            ),
            (r#"{"Env":["PORT=3000"],"Healthcheck":{"Test":["CMD","/probe"]}}"#, Some(3000), true, None),
            (r#"{"Healthcheck":{"Test":["NONE"]},"User":"app"}"#, None, false, None),
        ] {
            let found = Expectations::of(&config(text));
            assert_eq!((found.port, found.healthcheck, found.user), (port, healthcheck, user), "{text}");
        }
    }

    #[test]
    fn users_have_numbers() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nbroken\napp:x:1000:1000::/:/bin/sh\n";
        for (user, expected) in [
            ("app", Some(1000)),
            ("app:0", Some(1000)),
            ("7:8", Some(7)),
            ("root", Some(0)),
            ("no", None),
            ("", None),
        ] {
            assert_eq!(user_number(user, passwd), expected, "{user}");
        }
    }
}
