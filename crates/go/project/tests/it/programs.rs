//! What programs do, framework by framework.

use longshore_project::{Facts, HealthKind};

use crate::tree::{detect_in, write};

/// The facts of a module's only main package. The module's requirements do not matter: their sources are not read.
fn facts(archive: &str) -> Facts {
    let folder = write(&format!("-- go.mod --\nmodule example.com/app\n\ngo 1.26\n{archive}"));
    let mut project = detect_in(folder.path());
    assert_eq!(project.diagnostics, [], "{archive}");
    assert_eq!(project.mains.len(), 1);
    project.mains.remove(0).facts
}

fn main_go(imports: &[&str], body: &str) -> String {
    let imports: String = imports.iter().map(|path| format!("\t\"{path}\"\n")).collect();
    format!("-- main.go --\npackage main\n\nimport (\n{imports})\n\n{body}\n")
}

fn ports(facts: &Facts) -> Vec<String> {
    let show = |port: &longshore_project::Port| {
        let mut text = port.number.map_or("?".to_owned(), |number| number.to_string());
        text += &format!("/{}", port.protocol);
        for (set, word) in [(port.tls, " tls"), (port.loopback, " loopback")] {
            text += if set { word } else { "" };
        }
        for name in &port.environment {
            text += &format!(" ${name}");
        }
        text
    };
    facts.ports.iter().map(show).collect()
}

fn routes(facts: &Facts) -> Vec<String> {
    facts
        .routes
        .iter()
        .map(|route| format!("{} {}", route.method.as_deref().unwrap_or("*"), route.path))
        .collect()
}

#[test]
fn ports_are_followed_to_where_they_are_written() {
    let table: [(&str, &[&str], &str, &[&str]); 21] = [
        ("literal", &["net/http"], r#"func main() { http.ListenAndServe(":8080", nil) }"#, &["8080/tcp"]),
        ("empty address", &["net/http"], r#"func main() { http.ListenAndServe("", nil) }"#, &["80/tcp"]),
        (
            "tls",
            &["net/http"],
            r#"func main() { http.ListenAndServeTLS(":8443", "c", "k", nil) }"#,
            &["8443/tcp tls"],
        ),
        (
            "server",
            &["net/http"],
            "func main() {\n srv := &http.Server{Addr: \":9000\"}\n go func() { srv.ListenAndServe() }()\n}",
            &["9000/tcp"],
        ),
        (
            "server without anyone who starts it",
            &["net/http"],
            "func main() { run(&http.Server{Addr: \":9001\"}) }",
            &["9001/tcp"],
        ),
        (
            "constant and Sprintf",
            &["net/http", "fmt"],
            "const port = 8081\nfunc main() { http.ListenAndServe(fmt.Sprintf(\":%d\", port), nil) }",
            &["8081/tcp"],
        ),
        (
            "sum of texts",
            &["net/http"],
            "const port = \"8082\"\nfunc main() { http.ListenAndServe(\":\"+port, nil) }",
            &["8082/tcp"],
        ),
        (
            "flag",
            &["net/http", "flag"],
            "var addr = flag.String(\"addr\", \":8083\", \"x\")\nfunc main() { flag.Parse(); http.ListenAndServe(*addr, nil) }",
            &["8083/tcp"],
        ),
        (
            "flag into a variable",
            &["net/http", "flag", "fmt"],
            "func main() { var port int; flag.IntVar(&port, \"port\", 8084, \"x\"); flag.Parse(); http.ListenAndServe(fmt.Sprintf(\"0.0.0.0:%v\", port), nil) }",
            &["8084/tcp"],
        ),
        (
            "environment with a fallback",
            &["net/http", "os"],
            "func main() {\n port := os.Getenv(\"PORT\")\n if port == \"\" {\n  port = \"8085\"\n }\n http.ListenAndServe(\":\"+port, nil)\n}",
            &["8085/tcp $PORT"],
        ),
        (
            "fallback first",
            &["net/http", "os"],
            "func main() {\n port := \"8086\"\n if p := os.Getenv(\"PORT\"); p != \"\" {\n  port = p\n }\n http.ListenAndServe(\":\"+port, nil)\n}",
            &["8086/tcp $PORT"],
        ),
        (
            "helper",
            &["net/http", "os"],
            "func getenv(key, fallback string) string {\n if v, ok := os.LookupEnv(key); ok {\n  return v\n }\n return fallback\n}\nfunc main() { http.ListenAndServe(\":\"+getenv(\"HTTP_PORT\", \"8087\"), nil) }",
            &["8087/tcp $HTTP_PORT"],
        ),
        (
            "cmp.Or",
            &["net/http", "os", "cmp"],
            "func main() { http.ListenAndServe(\":\"+cmp.Or(os.Getenv(\"PORT\"), \"8088\"), nil) }",
            &["8088/tcp $PORT"],
        ),
        (
            "environment alone",
            &["net/http", "os"],
            "func main() { http.ListenAndServe(\":\"+os.Getenv(\"PORT\"), nil) }",
            &["?/tcp $PORT"],
        ),
        (
            "config struct",
            &["net/http", "os", "strconv", "fmt"],
            "type config struct { host string; port int }\nfunc load() (*config, error) {\n c := &config{port: 8089}\n if v := os.Getenv(\"PORT\"); v != \"\" {\n  n, err := strconv.Atoi(v)\n  if err != nil {\n   return nil, err\n  }\n  c.port = n\n }\n return c, nil\n}\nfunc main() {\n cfg, err := load()\n if err != nil { panic(err) }\n http.ListenAndServe(fmt.Sprintf(\"%s:%d\", \"0.0.0.0\", cfg.port), nil)\n}",
            &["8089/tcp $PORT"],
        ),
        (
            "struct tags",
            &["net/http", "github.com/caarlos0/env/v11"],
            "type config struct {\n Addr string `env:\"ADDR\" envDefault:\":8090\"`\n}\nfunc main() {\n var cfg config\n env.Parse(&cfg)\n http.ListenAndServe(cfg.Addr, nil)\n}",
            &["8090/tcp $ADDR"],
        ),
        (
            "net.Listen and its relatives",
            &["net", "crypto/tls"],
            "func main() {\n net.Listen(\"tcp\", \"127.0.0.1:7001\")\n net.ListenPacket(\"udp\", \":7002\")\n tls.Listen(\"tcp\", \":7003\", nil)\n net.Listen(\"unix\", \"/run/x.sock\")\n net.ListenUDP(\"udp\", &net.UDPAddr{Port: 7004})\n net.Listen(\"tcp\", \":0\")\n}",
            &["7001/tcp loopback", "7002/udp", "7003/tcp tls", "7004/udp"],
        ),
        (
            "JoinHostPort and a named port",
            &["net", "net/http"],
            "func main() { http.ListenAndServe(net.JoinHostPort(\"::1\", \"http\"), nil) }",
            &["80/tcp loopback"],
        ),
        (
            "cobra",
            &["net/http", "github.com/spf13/cobra"],
            "var addr string\nvar root = &cobra.Command{Use: \"app\", RunE: serve}\nfunc init() { root.Flags().StringVar(&addr, \"addr\", \":8091\", \"\") }\nfunc serve(cmd *cobra.Command, args []string) error { return http.ListenAndServe(addr, nil) }\nfunc main() { root.Execute() }",
            &["8091/tcp"],
        ),
        (
            "two servers",
            &["net/http"],
            "func main() {\n go http.ListenAndServe(\":9090\", nil)\n http.ListenAndServe(\":8080\", nil)\n}",
            &["8080/tcp", "9090/tcp"],
        ),
        (
            "viper",
            &["net/http", "github.com/spf13/viper"],
            "func main() { viper.SetDefault(\"http.port\", \"8092\"); http.ListenAndServe(\":\"+viper.GetString(\"HTTP.PORT\"), nil) }",
            &["8092/tcp"],
        ),
    ];
    for (name, imports, body, expected) in table {
        assert_eq!(ports(&facts(&main_go(imports, body))), expected, "{name}");
    }
}

#[test]
fn routes_of_every_framework_are_read_with_their_prefixes() {
    let table: [(&str, &[&str], &str, &[&str]); 11] = [
        (
            "net/http",
            &["net/http"],
            "func main() {\n mux := http.NewServeMux()\n mux.HandleFunc(\"GET /items/{id}\", f)\n mux.Handle(\"/static/\", g)\n http.HandleFunc(\"example.com/x\", f)\n}",
            &["GET /items/{id}", "* /static/", "* /x"],
        ),
        (
            "net/http below a prefix",
            &["net/http"],
            "func main() {\n api := http.NewServeMux()\n api.HandleFunc(\"POST /orders\", f)\n mux := http.NewServeMux()\n mux.Handle(\"/v1/\", http.StripPrefix(\"/v1\", api))\n}",
            &["POST /v1/orders"],
        ),
        (
            "gin",
            &["github.com/gin-gonic/gin"],
            "func main() {\n r := gin.Default()\n r.GET(\"/ping\", f)\n v1 := r.Group(\"/v1\")\n {\n  v1.POST(\"/users\", f)\n  v1.Group(\"/admin\").DELETE(\"/users/:id\", f)\n }\n r.Any(\"/any\", f)\n r.Handle(\"PUT\", \"/put\", f)\n r.Static(\"/assets\", \"./a\")\n r.Run()\n}",
            &[
                "* /any",
                "GET /assets/*",
                "GET /ping",
                "PUT /put",
                "DELETE /v1/admin/users/:id",
                "POST /v1/users",
            ],
        ),
        (
            "echo",
            &["github.com/labstack/echo/v4"],
            "func main() {\n e := echo.New()\n e.GET(\"/a\", f)\n g := e.Group(\"/g\", mw)\n g.PUT(\"/b\", f)\n e.Match([]string{\"GET\", \"POST\"}, \"/c\", f)\n e.Start(\":1323\")\n}",
            &["GET /a", "GET /c", "POST /c", "PUT /g/b"],
        ),
        (
            "chi",
            &["github.com/go-chi/chi/v5", "net/http"],
            "func main() {\n r := chi.NewRouter()\n r.Use(mw)\n r.Get(\"/\", f)\n r.Route(\"/articles\", func(r chi.Router) {\n  r.With(paginate).Get(\"/\", f)\n  r.Route(\"/{id}\", func(r chi.Router) {\n   r.Put(\"/\", f)\n  })\n })\n r.Group(func(r chi.Router) {\n  r.Post(\"/private\", f)\n })\n r.Mount(\"/admin\", admin())\n http.ListenAndServe(\":3333\", r)\n}\nfunc admin() http.Handler {\n r := chi.NewRouter()\n r.Get(\"/stats\", f)\n return r\n}",
            &["GET /", "GET /admin/stats", "GET /articles", "PUT /articles/{id}", "POST /private"],
        ),
        (
            "fiber",
            &["github.com/gofiber/fiber/v2"],
            "func main() {\n app := fiber.New()\n api := app.Group(\"/api\")\n api.Get(\"/x\", f).Post(\"/y\", f)\n app.All(\"/z\", f)\n app.Listen(\":3000\")\n}",
            &["GET /api/x", "POST /api/y", "* /z"],
        ),
        (
            "gorilla",
            &["github.com/gorilla/mux"],
            "func main() {\n r := mux.NewRouter()\n r.HandleFunc(\"/products\", f).Methods(\"GET\", \"POST\")\n s := r.PathPrefix(\"/api\").Subrouter()\n s.HandleFunc(\"/x\", f).Methods(http.MethodDelete)\n r.PathPrefix(\"/static/\").Handler(f)\n}",
            &["* /api/x", "GET /products", "POST /products", "* /static/"],
        ),
        (
            "router as a parameter",
            &["github.com/gin-gonic/gin"],
            "func routes(g *gin.RouterGroup) { g.GET(\"/x\", f) }\nfunc main() { r := gin.New(); routes(r.Group(\"/a\")); routes(r.Group(\"/b\")) }",
            &["GET /a/x", "GET /b/x"],
        ),
        (
            "router in a struct",
            &["net/http"],
            "type server struct { mux *http.ServeMux }\nfunc newServer() *server {\n s := &server{mux: http.NewServeMux()}\n s.routes()\n return s\n}\nfunc (s *server) routes() { s.mux.HandleFunc(\"/in\", s.in) }\nfunc (s *server) in(w http.ResponseWriter, r *http.Request) {}\nfunc main() { http.ListenAndServe(\":80\", newServer().mux) }",
            &["* /in"],
        ),
        (
            "embedded router",
            &["github.com/gin-gonic/gin"],
            "type server struct {\n *gin.Engine\n}\nfunc main() {\n s := server{gin.New()}\n s.GET(\"/e\", f)\n}",
            &["GET /e"],
        ),
        (
            "nobody is seen to call it",
            &["github.com/labstack/echo/v4"],
            "func register(e *echo.Echo) { e.GET(\"/lost\", f) }\nfunc main() { start(container) }",
            &["GET /lost"],
        ),
    ];
    for (name, imports, body, expected) in table {
        assert_eq!(routes(&facts(&main_go(imports, body))), expected, "{name}");
    }
}

#[test]
fn frameworks_listen_in_their_own_ways() {
    let table = [
        ("github.com/gin-gonic/gin", "gin.Default().Run()", "8080/tcp $PORT"),
        ("github.com/gin-gonic/gin", "gin.New().Run(\":8001\")", "8001/tcp"),
        ("github.com/gin-gonic/gin", "gin.New().RunTLS(\":8002\", \"c\", \"k\")", "8002/tcp tls"),
        ("github.com/labstack/echo/v4", "e := echo.New(); e.Logger.Fatal(e.Start(\":1323\"))", "1323/tcp"),
        ("github.com/gofiber/fiber/v3", "fiber.New().Listen(\":3000\")", "3000/tcp"),
    ];
    for (import, body, expected) in table {
        let found = facts(&main_go(&[import], &format!("func main() {{ {body} }}")));
        assert_eq!(ports(&found), [expected], "{body}");
    }
}

#[test]
fn a_grpc_server_shows_its_port_and_services() {
    let found = facts(&main_go(
        &[
            "net",
            "google.golang.org/grpc",
            "example.com/app/pb",
            "google.golang.org/grpc/health/grpc_health_v1",
        ],
        "func main() {\n lis, err := net.Listen(\"tcp\", \":50051\")\n if err != nil { panic(err) }\n s := grpc.NewServer()\n pb.RegisterGreeterServer(s, &server{})\n grpc_health_v1.RegisterHealthServer(s, h)\n s.Serve(lis)\n}",
    ));
    assert_eq!(ports(&found), ["50051/tcp"]);
    let services: Vec<_> =
        found.grpc_services.iter().map(|fact| (fact.value.as_str(), fact.evidence.line)).collect();
    assert_eq!(services, [("Greeter", 14), ("Health", 15)]);
}

#[test]
fn health_is_found_as_route_and_as_command() {
    let table = [
        ("os", "func main() { if len(os.Args) > 1 && os.Args[1] == \"health\" { return } }", Some("health")),
        (
            "os",
            "func main() { switch os.Args[1] {\ncase \"serve\":\ncase \"healthcheck\":\n} }",
            Some("healthcheck"),
        ),
        ("os", "func main() { cmd := os.Args[1]; if \"health\" == cmd { return } }", Some("health")),
        (
            "os",
            "func main() { for _, a := range os.Args[1:] { if a == \"--health\" { return } } }",
            Some("--health"),
        ),
        (
            "flag",
            "func main() { c := flag.Bool(\"healthcheck\", false, \"\"); flag.Parse(); use(*c) }",
            Some("-healthcheck"),
        ),
        ("flag", "func main() { flag.Parse(); if flag.Arg(0) == \"health\" { return } }", Some("health")),
        (
            "github.com/spf13/cobra",
            "var c = &cobra.Command{Use: \"health [flags]\"}\nfunc main() { c.Execute() }",
            Some("health"),
        ),
        ("os", "func main() { if os.Args[1] == \"serve\" { return } }", None),
        ("os", "func main() { if os.Getenv(\"X\") == \"health\" { return } }", None),
    ];
    for (import, body, expected) in table {
        let found = facts(&main_go(&[import], body)).health_command;
        assert_eq!(found.as_ref().map(|command| command.arguments[0].as_str()), expected, "{body}");
    }
    let found = facts(&main_go(
        &["net/http"],
        "func main() { http.HandleFunc(\"/readyz\", f); http.HandleFunc(\"/health\", f) }",
    ));
    let kinds: Vec<_> = found.routes.iter().map(|route| route.health).collect();
    assert_eq!(kinds, [Some(HealthKind::Health), Some(HealthKind::Readiness)]);
}

#[test]
fn what_a_program_needs_of_its_image_is_read() {
    let found = facts(&main_go(
        &["os", "os/exec", "os/signal", "syscall", "time", "net/http", "context"],
        "func main() {\n c := make(chan os.Signal, 1)\n signal.Notify(c, os.Interrupt, syscall.SIGTERM)\n time.LoadLocation(\"Europe/Berlin\")\n time.LoadLocation(name)\n http.Get(\"http://127.0.0.1/health\")\n http.Get(\"https://example.com\")\n exec.Command(\"ffmpeg\", \"-i\")\n exec.CommandContext(ctx, tool)\n os.CreateTemp(\"\", \"x\")\n os.CreateTemp(\"/data\", \"x\")\n os.Getenv(\"DSN\")\n}",
    ));
    let lines = |facts: &[longshore_project::Fact<String>]| -> Vec<(String, u32)> {
        facts.iter().map(|fact| (fact.value.clone(), fact.evidence.line)).collect()
    };
    assert_eq!(lines(&found.signals), [("SIGINT".to_owned(), 15), ("SIGTERM".to_owned(), 15)]);
    let zones: Vec<_> = found.time_zones.iter().map(|fact| fact.value.as_deref()).collect();
    assert_eq!(zones, [Some("Europe/Berlin"), None]);
    assert_eq!(lines(&found.tls_clients), [("http.Get".to_owned(), 19)]);
    let commands: Vec<_> = found.commands.iter().map(|fact| fact.value.as_deref()).collect();
    assert_eq!(commands, [Some("ffmpeg"), None]);
    assert_eq!(lines(&found.temporary_files), [("os.CreateTemp".to_owned(), 22)]);
    let variables: Vec<_> =
        found.environment.iter().map(|variable| (variable.name.as_str(), variable.evidence.line)).collect();
    assert_eq!(variables, [("DSN", 24)]);
}

#[test]
fn a_client_for_its_own_health_needs_no_certificates() {
    let table: [(&str, &[&str]); 5] = [
        ("c := http.Client{}; c.Get(\"http://127.0.0.1:8080/health\")", &[]),
        ("c := &http.Client{}; c.Get(\"https://example.com\")", &["http.Get"]),
        ("use(&http.Client{})", &["http.Client"]),
        ("r, _ := http.NewRequest(\"GET\", url, nil); http.DefaultClient.Do(r)", &["http.NewRequest"]),
        ("use(\"https://example.com\")", &["https:// URL"]),
    ];
    for (body, expected) in table {
        let found = facts(&main_go(&["net/http"], &format!("func main() {{ {body} }}")));
        let found: Vec<_> = found.tls_clients.iter().map(|fact| fact.value.as_str()).collect();
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn the_service_of_a_usual_project_is_read_as_a_whole() {
    let found = facts(
        "-- cmd/server/main.go --
package main

import (
	\"context\"
	\"errors\"
	\"log/slog\"
	\"net/http\"
	\"os\"
	\"os/signal\"
	\"syscall\"

	\"example.com/app/internal/probe\"
	\"github.com/gin-gonic/gin\"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == \"health\" {
		answer, err := http.Get(\"http://127.0.0.1:8080/health\")
		if err != nil || answer.StatusCode != http.StatusOK {
			os.Exit(1)
		}
		return
	}
	engine := gin.New()
	checker := probe.New(\"1.0\")
	engine.GET(\"/health\", gin.WrapF(checker.Health))
	checker.Register(engine.Group(\"/internal\"))
	server := &http.Server{Addr: \":8080\", Handler: engine}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			slog.Error(\"listen\", \"error\", err)
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ctx.Done()
	server.Shutdown(context.Background())
}
-- internal/probe/probe.go --
package probe

import (
	\"net/http\"

	\"github.com/gin-gonic/gin\"
)

type Checker struct{ version string }

func New(version string) *Checker { return &Checker{version: version} }

func (c *Checker) Register(group *gin.RouterGroup) {
	group.GET(\"/ready\", gin.WrapF(c.Ready))
}

func (c *Checker) Health(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) }

func (c *Checker) Ready(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) }
",
    );
    assert_eq!(ports(&found), ["8080/tcp"]);
    assert_eq!(routes(&found), ["GET /health", "GET /internal/ready"]);
    assert_eq!(found.health_command.as_ref().map(|command| command.evidence.line), Some(17));
    assert_eq!(
        found.signals.iter().map(|signal| signal.value.as_str()).collect::<Vec<_>>(),
        ["SIGINT", "SIGTERM"]
    );
    assert!(found.tls_clients.is_empty() && found.commands.is_empty() && found.cgo.is_empty());
}
