//! Credentials of hosts, from the file that ftp and curl use (`cmd/go/internal/auth/netrc.go`).

/// The logins of a netrc file, in its order.
#[derive(Clone, Default)]
pub(crate) struct Netrc {
    machines: Vec<Machine>,
}

#[derive(Clone, Default)]
struct Machine {
    host: String,
    login: String,
    password: String,
}

impl Netrc {
    /// Reads a file, as far as it can be read: `machine`, `login` and `password`, up to a `default`; macros are skipped.
    pub(crate) fn parse(text: &str) -> Netrc {
        let mut netrc = Netrc::default();
        let mut machine = Machine::default();
        let mut in_macro = false;
        for line in text.lines() {
            if in_macro {
                in_macro = !line.is_empty();
                continue;
            }
            let mut words = line.split_whitespace();
            while let Some(key) = words.next() {
                if key == "default" {
                    return netrc;
                }
                let Some(value) = words.next() else { break };
                match key {
                    "machine" => machine = Machine { host: value.into(), ..Machine::default() },
                    "login" => machine.login = value.into(),
                    "password" => machine.password = value.into(),
                    "macdef" => in_macro = true,
                    _ => {}
                }
                if !machine.host.is_empty() && !machine.login.is_empty() && !machine.password.is_empty() {
                    netrc.machines.push(std::mem::take(&mut machine));
                }
            }
        }
        netrc
    }

    /// The login and password of a host, given as URLs have it: with the port, where there is one.
    pub(crate) fn login(&self, host: &str) -> Option<(&str, &str)> {
        let machine = self.machines.iter().find(|machine| machine.host == host)?;
        Some((&machine.login, &machine.password))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_host_and_the_first_wins() {
        let netrc = Netrc::parse(
            "# comment words\nmachine one.example login a password b\nmachine two.example\n\tlogin c\n\tpassword d\n\
             macdef init\nmachine evil.example login x password y\n\nmachine one.example login second password second\n\
             machine half.example login e\nmachine three.example:8443 account z login f password g\n\
             default login h password i\nmachine after.example login j password k\n",
        );
        let cases = [
            ("one.example", Some(("a", "b"))),
            ("two.example", Some(("c", "d"))),
            ("three.example:8443", Some(("f", "g"))),
            ("three.example", None),
            ("evil.example", None),
            ("half.example", None),
            ("after.example", None),
            ("", None),
        ];
        for (host, expected) in cases {
            assert_eq!(netrc.login(host), expected, "{host}");
        }
    }

    #[test]
    fn nothing_in_a_file_breaks_the_reading() {
        for text in ["", "machine", "machine x login", "\u{0}\u{fffd}", "default", "login a password b"] {
            assert_eq!(Netrc::parse(text).login("x"), None, "{text:?}");
        }
    }
}
