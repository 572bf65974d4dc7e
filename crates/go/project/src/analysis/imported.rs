//! What is known of other people's packages: the calls that tell a fact, and those that pass a value on.

use std::rc::Rc;

use super::Analyzer;
use super::calls::Call;
use super::evaluate::concatenate;
use super::program::without_major;
use super::routers::framework_constructed;
use super::value::{Object, Scope, Text, Value};
use crate::facts::{Framework, Protocol};
use crate::source::ast::Expression;

impl<'a> Analyzer<'a> {
    /// `pkg.Name` where it is not called.
    pub(super) fn imported_value(&mut self, path: &'a str, name: &'a str, line: u32) -> Value<'a> {
        match (path, name) {
            ("os", "Args") => Value::Arguments,
            ("net/http", "DefaultServeMux") => Value::Router(self.routers.default_mux()),
            ("net/http", "DefaultClient") => {
                self.findings.client(self.evidence(line));
                Value::object(path, "Client")
            }
            ("net/http", method) if method.starts_with("Method") => {
                Value::Text(Text::literal(&method["Method".len()..].to_ascii_uppercase()))
            }
            _ => Value::Imported(path, name),
        }
    }

    /// A call of `pkg.Name(…)`.
    pub(super) fn call_imported(
        &mut self,
        path: &'a str,
        call: &Call<'a, '_>,
        scope: &Rc<Scope<'a>>,
    ) -> Value<'a> {
        self.registers_service(call);
        let evidence = self.evidence(call.line);
        if let Some(framework) = framework_constructed(path, call.name) {
            return Value::Router(self.routers.add(framework));
        }
        match (path, call.name) {
            ("os", "Getenv" | "LookupEnv") | ("syscall", "Getenv") => return self.environment(call),
            ("net/http", "Handle" | "HandleFunc") => {
                let mux = self.routers.default_mux();
                return self.call_router(mux, call);
            }
            ("net/http", "StripPrefix") => {
                if let (Some(prefix), Value::Router(id)) = (call.text(0), call.argument(1)) {
                    return Value::Stripped(prefix.to_owned(), id);
                }
                return call.argument(1);
            }
            ("net/http", "ListenAndServe") => {
                self.listen(&call.argument(0), Protocol::Tcp, Some(80), call.line);
            }
            ("net/http", "ListenAndServeTLS") => self.listen_tls(&call.argument(0), Some(443), call.line),
            ("github.com/valyala/fasthttp", "ListenAndServe") => {
                self.listen(&call.argument(0), Protocol::Tcp, None, call.line);
            }
            ("net", "Listen" | "ListenPacket" | "ListenTCP" | "ListenUDP") => {
                self.listen_network(&call.argument(0), &call.argument(1), false, call.line);
            }
            ("crypto/tls", "Listen") => {
                self.listen_network(&call.argument(0), &call.argument(1), true, call.line);
            }
            ("golang.org/x/crypto/acme/autocert", "NewListener") => {
                self.listen_tls(&Value::text(":443"), Some(443), call.line);
            }
            ("os/signal", "Notify" | "NotifyContext") => self.signals(call),
            ("time", "LoadLocation") => {
                self.findings.time_zone(call.text(0).map(str::to_owned), evidence);
            }
            ("os/exec", "Command" | "LookPath")
            | ("os", "StartProcess")
            | ("syscall", "Exec" | "ForkExec") => {
                self.findings.command(call.text(0).map(str::to_owned), evidence);
            }
            ("os/exec", "CommandContext") => self.findings.command(call.text(1).map(str::to_owned), evidence),
            ("os", "TempDir") => self.findings.temporary("os.TempDir", evidence),
            ("os", "CreateTemp" | "MkdirTemp") | ("io/ioutil", "TempFile" | "TempDir")
                if call.text(0).is_none_or(str::is_empty) =>
            {
                let package = path.rsplit('/').next().unwrap_or(path);
                self.findings.temporary(&format!("{package}.{}", call.name), evidence);
            }
            ("net/http" | "crypto/tls" | "crypto/x509", _) => self.tls_client(path, call),
            ("google.golang.org/grpc/credentials", "NewTLS" | "NewClientTLSFromCert") => {
                self.findings.tls_client(&format!("credentials.{}", call.name), evidence);
            }
            ("flag" | "github.com/spf13/pflag", _) => return self.flag(call, scope),
            ("github.com/spf13/viper", _) => return self.viper(call),
            _ => {}
        }
        self.pure_call(path, call, scope)
    }

    /// Calls that only make a value of others.
    pub(super) fn pure_call(&mut self, path: &str, call: &Call<'a, '_>, _: &Rc<Scope<'a>>) -> Value<'a> {
        match (path, call.name) {
            ("fmt", "Sprintf") => Value::Text(format_text(call)),
            ("fmt", "Sprint") => {
                Value::Text(concatenate(&call.arguments.iter().map(Value::as_text).collect::<Vec<_>>()))
            }
            ("net", "JoinHostPort") => {
                let parts = [call.argument(0).as_text(), Text::literal(":"), call.argument(1).as_text()];
                Value::Text(concatenate(&parts))
            }
            ("strconv", "Itoa" | "FormatInt" | "FormatUint") => {
                Value::Text(Text { numeric: false, ..call.argument(0).as_text() })
            }
            ("strconv", "Atoi" | "ParseInt" | "ParseUint") => {
                let numeric = matches!(call.argument(0), Value::Text(_));
                Value::Text(Text { numeric, ..call.argument(0).as_text() })
            }
            ("strings", "TrimSpace" | "Trim" | "TrimLeft" | "TrimRight" | "ToLower") => call.argument(0),
            ("cmp", "Or") => {
                let values = call.arguments.to_vec();
                values.into_iter().reduce(|first, next| self.join(first, next)).unwrap_or_default()
            }
            _ => Value::Unknown,
        }
    }

    fn environment(&mut self, call: &Call<'a, '_>) -> Value<'a> {
        let Some(name) = call.text(0) else { return Value::Unknown };
        let evidence = self.evidence(call.line);
        self.findings.variable(name, None, evidence);
        let text = Text { environment: vec![name.to_owned()], ..Text::default() };
        if call.name == "Getenv" {
            return Value::Text(text);
        }
        Value::Tuple(Rc::new(vec![Value::Text(text), Value::Unknown]))
    }

    fn signals(&mut self, call: &Call<'a, '_>) {
        let mut names = Vec::new();
        let mut collect = |value: &Value<'a>| {
            if let Value::Imported(package, name) = value {
                let name = match (*package, *name) {
                    ("os", "Interrupt") => "SIGINT",
                    ("os", "Kill") => "SIGKILL",
                    (_, name) => name,
                };
                names.push(name.to_owned());
            }
        };
        for value in call.arguments.iter().skip(1) {
            match value {
                Value::List(list) => list.iter().for_each(&mut collect),
                value => collect(value),
            }
        }
        if call.arguments.len() == 1 {
            names.push("all".to_owned());
        }
        let evidence = self.evidence(call.line);
        for name in names {
            self.findings.signal(name, evidence.clone());
        }
    }

    fn tls_client(&mut self, path: &str, call: &Call<'a, '_>) {
        let url = match (path, call.name) {
            ("net/http", "Get" | "Head" | "Post" | "PostForm") => call.text(0),
            ("net/http", "NewRequest") => call.text(1),
            ("net/http", "NewRequestWithContext") => call.text(2),
            ("crypto/tls", "Dial" | "DialWithDialer" | "Client") | ("crypto/x509", "SystemCertPool") => None,
            _ => return,
        };
        // A health check of itself over plain HTTP needs no certificates.
        if url.is_some_and(|url| url.starts_with("http://")) {
            self.findings.plain_request();
        } else {
            let package = path.rsplit('/').next().unwrap_or(path);
            let evidence = self.evidence(call.line);
            self.findings.tls_client(&format!("{package}.{}", call.name), evidence);
        }
    }

    /// Flags have defaults; a flag named health is a way to ask for health.
    fn flag(&mut self, call: &Call<'a, '_>, scope: &Rc<Scope<'a>>) -> Value<'a> {
        match call.name {
            "Arg" => return Value::Argument,
            "Args" => return Value::Arguments,
            _ => {}
        }
        self.flag_like(call);
        let kind = call.name.trim_end_matches('P');
        let (kind, variable) = match kind.strip_suffix("Var") {
            Some(kind) => (kind, true),
            None => (kind, false),
        };
        if !matches!(kind, "String" | "Int" | "Uint" | "Uint16" | "Int64" | "Bool") {
            return Value::Unknown;
        }
        let name_at = usize::from(variable);
        let default_at = name_at + 1 + usize::from(call.name.ends_with('P'));
        let value = call.argument(default_at);
        match call.written.first() {
            Some(target) if variable => {
                let target: &'a Expression = target;
                self.assign(target, value, false, scope);
                Value::Unknown
            }
            _ => value,
        }
    }

    /// A boolean flag named health, whichever flag package it is of.
    pub(super) fn flag_like(&mut self, call: &Call<'a, '_>) {
        let name_at = match call.name {
            "Bool" | "BoolP" => 0,
            "BoolVar" | "BoolVarP" => 1,
            _ => return,
        };
        if let Some(name) = call.text(name_at) {
            let evidence = self.evidence(call.line);
            self.findings.argument(&format!("-{name}"), evidence);
        }
    }

    fn viper(&mut self, call: &Call<'a, '_>) -> Value<'a> {
        let Some(key) = call.text(0).map(str::to_lowercase) else { return Value::Unknown };
        match call.name {
            "SetDefault" => {
                self.settings.insert(key, call.argument(1));
                Value::Unknown
            }
            "BindEnv" => {
                if let Some(name) = call.text(1) {
                    let evidence = self.evidence(call.line);
                    self.findings.variable(name, None, evidence);
                    let text = Value::Text(Text { environment: vec![name.to_owned()], ..Text::default() });
                    let old = self.settings.remove(&key).unwrap_or_default();
                    let joined = self.join(text, old);
                    self.settings.insert(key, joined);
                }
                Value::Unknown
            }
            name if name.starts_with("Get") => self.settings.get(&key).cloned().unwrap_or_default(),
            _ => Value::Unknown,
        }
    }

    /// `RegisterGreeterServer(server, …)`: what protoc-gen-go-grpc writes for a service.
    pub(super) fn registers_service(&mut self, call: &Call<'a, '_>) {
        let service = call.name.strip_prefix("Register").and_then(|name| name.strip_suffix("Server"));
        if let (Some(service), Value::Router(id)) =
            (service.filter(|name| !name.is_empty()), call.argument(0))
            && self.routers.framework(id) == Framework::Grpc
        {
            let evidence = self.evidence(call.line);
            self.findings.service(service, evidence);
        }
    }

    /// Methods of types that other packages declare. Returns whether the method was known.
    pub(super) fn call_known_method(&mut self, object: &Rc<Object<'a>>, call: &Call<'a, '_>) -> bool {
        let address = || object.fields.borrow().get("Addr").cloned().unwrap_or_else(|| Value::text(""));
        match (object.type_.0.as_str(), object.type_.1.as_str(), call.name) {
            ("net/http", "Server", "ListenAndServe") => {
                self.listen(&address(), Protocol::Tcp, Some(80), call.line);
            }
            ("net/http", "Server", "ListenAndServeTLS") => self.listen_tls(&address(), Some(443), call.line),
            ("net", "ListenConfig", "Listen" | "ListenPacket") => {
                self.listen_network(&call.argument(1), &call.argument(2), false, call.line);
            }
            ("net/http", "Client", "Get" | "Head" | "Post" | "PostForm") => self.tls_client("net/http", call),
            ("net/http", "Client", "Do") => {}
            ("net/http", "Request", "ParseMultipartForm" | "FormFile") => {
                let evidence = self.evidence(call.line);
                self.findings.temporary(&format!("http.Request.{}", call.name), evidence);
            }
            _ => return false,
        }
        true
    }

    /// A method of something unknown, whose name alone tells enough.
    pub(super) fn call_unknown(&mut self, call: &Call<'a, '_>, scope: &Rc<Scope<'a>>) {
        self.flag_like(call);
        if matches!(call.name, "StringVar" | "StringVarP" | "IntVar" | "IntVarP") {
            self.flag(call, scope);
        }
    }

    /// A struct literal of a type that tells something by being there.
    pub(super) fn composed(&mut self, path: &str, name: &str, value: &Value<'a>, line: u32) {
        let evidence = self.evidence(line);
        match (without_major(path), name) {
            ("net/http", "Server") => {
                if let Some(address) = value.field("Addr") {
                    self.listen_perhaps(&address, line);
                }
            }
            ("net/http", "Client") => self.findings.client(evidence),
            ("github.com/spf13/cobra", "Command") | ("github.com/urfave/cli", "Command") => {
                let use_ = value.field("Use").or_else(|| value.field("Name"));
                if let Some(word) =
                    use_.as_ref().and_then(Value::known).and_then(|text| text.split(' ').next())
                {
                    self.findings.argument(word, evidence);
                }
            }
            _ => {}
        }
    }
}

/// `fmt.Sprintf` of the plain verbs.
fn format_text(call: &Call<'_, '_>) -> Text {
    let Some(format) = call.text(0) else { return Text::default() };
    let mut parts = Vec::new();
    let mut arguments = call.arguments.iter().skip(1);
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            parts.push(Text::literal(character.encode_utf8(&mut [0; 4])));
            continue;
        }
        let verb = characters.find(|character| !matches!(character, '+' | '-' | '#' | ' ' | '0'..='9' | '.'));
        parts.push(match verb {
            Some('%') => Text::literal("%"),
            Some('d' | 's' | 'v') => arguments.next().map(Value::as_text).unwrap_or_default(),
            _ => {
                arguments.next();
                Text::default()
            }
        });
    }
    concatenate(&parts)
}
