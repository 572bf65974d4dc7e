//! Modules, workspaces, and the errors of those that are none.

use std::path::Path;

use longshore_project::{DetectOptions, ProjectError, RootKind, Workspace, detect};

use crate::tree::{detect_in, write};

const MONOREPO: &str = "-- go.work --
go 1.26.0

toolchain go1.26.3

use (
	./orders
	./users
	./shared
)
-- orders/go.mod --
module example.com/orders

go 1.26
-- orders/cmd/orders/main.go --
package main

import \"example.com/shared/web\"

func main() { web.Run(\":8081\", \"/orders\") }
-- users/go.mod --
module example.com/users/v2

go 1.26
-- users/main.go --
package main

import \"example.com/shared/web\"

func main() { web.Run(\":8082\", \"/users\") }
-- shared/go.mod --
module example.com/shared

go 1.26
-- shared/web/web.go --
package web

import \"net/http\"

func Run(addr, path string) {
	mux := http.NewServeMux()
	mux.HandleFunc(path, nil)
	http.ListenAndServe(addr, mux)
}
-- shared/cmd/gateway/main.go --
package main

import \"net/http\"

func main() { http.ListenAndServe(\":8080\", nil) }
";

#[test]
fn every_service_of_a_monorepo_has_its_own_ports_and_routes() {
    let folder = write(MONOREPO);
    let project = detect_in(folder.path());
    assert_eq!(project.kind, RootKind::Workspace);
    assert_eq!(project.diagnostics, []);
    assert_eq!(project.toolchain_lines().exact().unwrap().as_str(), "go1.26.3");
    assert_eq!(
        project.go.as_ref().map(|go| (go.evidence.file.as_str(), go.evidence.line)),
        Some(("go.work", 1))
    );
    let found: Vec<_> = project
        .mains
        .iter()
        .map(|main| {
            let ports: Vec<_> = main.facts.ports.iter().map(|port| port.number.unwrap()).collect();
            let routes: Vec<_> = main.facts.routes.iter().map(|route| route.path.as_str()).collect();
            (main.import_path.as_str(), main.name.as_str(), main.dir.as_str(), ports, routes)
        })
        .collect();
    assert_eq!(
        found,
        [
            ("example.com/orders/cmd/orders", "orders", "orders/cmd/orders", vec![8081], vec!["/orders"]),
            ("example.com/shared/cmd/gateway", "gateway", "shared/cmd/gateway", vec![8080], vec![]),
            ("example.com/users/v2", "users", "users", vec![8082], vec!["/users"]),
        ]
    );
    let inside = detect(&folder.path().join("orders/cmd"), &DetectOptions::default()).unwrap();
    assert_eq!(inside.start, "orders/cmd");
    let under: Vec<_> = inside.mains_under_start().map(|main| main.name.as_str()).collect();
    assert_eq!(under, ["orders"]);
    let alone = DetectOptions { workspace: Workspace::Off, ..DetectOptions::default() };
    let alone = detect(&folder.path().join("orders"), &alone).unwrap();
    assert_eq!((alone.kind, alone.mains.len()), (RootKind::Module, 1));
}

#[test]
fn what_is_no_project_is_refused_with_advice() {
    let chain = |error: &ProjectError| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text += &format!(": {error}");
            source = error.source();
        }
        text
    };
    let table = [
        (
            "-- main.go --\npackage main\n",
            "",
            "no go.mod in ROOT or any folder above it",
            Some("the folder holds Go files: make it a module with `go mod init example.com/name`"),
        ),
        (
            "-- a/svc/go.mod --\nmodule x.y\n",
            "",
            "no go.mod in ROOT or any folder above it",
            Some("there is one in ROOT/a/svc: name that folder instead"),
        ),
        (
            "-- go.mod --\nmodule x.y\n\nrequier a.b/c v1.0.0\n",
            "",
            "cannot understand ROOT/go.mod: 3:1: unknown directive: requier",
            Some("did you mean require?"),
        ),
        (
            "-- go.work --\ngo 1.26\nuse ./gone\n",
            "",
            "ROOT/go.work:2: the workspace uses ./gone, which has no go.mod",
            Some(
                "check the folder's name and that it was checked out, or remove it with `go work edit -dropuse=./gone`",
            ),
        ),
        (
            "-- go.work --\ngo 1.26\nuse ./a\n-- a/go.mod --\nmodule a.b\n-- b/go.mod --\nmodule b.c\n",
            "b",
            "the module in ROOT/b is not one of those that ROOT/go.work uses",
            Some("add it with `go work use`, or set GOWORK=off to build it alone"),
        ),
        (
            "-- go.mod --\nmodule x.y\n",
            "missing",
            "cannot read ROOT/missing: No such file or directory (os error 2)",
            Some("name the folder of a Go module, or one inside it"),
        ),
    ];
    for (archive, start, message, hint) in table {
        let folder = write(archive);
        let root = folder.path().canonicalize().unwrap();
        let error = detect(&root.join(start), &DetectOptions::default()).unwrap_err();
        let shown = |text: String| text.replace(root.to_str().unwrap(), "ROOT");
        assert_eq!(shown(chain(&error)).trim_end_matches('/'), message.trim_end_matches('/'));
        assert_eq!(error.hint().map(shown).as_deref(), hint, "{message}");
    }
}

#[test]
fn a_module_shows_its_lines_replacements_and_needs() {
    let folder = write(
        "-- app/go.mod --
// Deprecated: moved.
module example.com/app

go 1.25

toolchain go1.26.1

require (
	git.corp.example/team/lib v1.0.0
	github.com/mattn/go-sqlite3 v1.14.22
	example.com/local v0.0.0
)

replace example.com/local => ../local
-- app/main.go --
package main

import (
	_ \"time/tzdata\"

	_ \"example.com/local/sub\"
	_ \"github.com/mattn/go-sqlite3\"
)

func main() {}
-- app/vendor/modules.txt --
# github.com/mattn/go-sqlite3 v1.14.22
## explicit; go 1.19
github.com/mattn/go-sqlite3
-- local/go.mod --
module example.com/other

go 1.20
-- local/sub/sub.go --
package sub

import \"os\"

var dsn = os.Getenv(\"DSN\")
",
    );
    let options = DetectOptions { private: "*.corp.example".to_owned(), ..DetectOptions::default() };
    let project = detect(&folder.path().join("app"), &options).unwrap();
    assert_eq!(project.diagnostics, []);
    let module = &project.modules[0];
    assert_eq!(module.deprecated.as_deref(), Some("moved."));
    assert_eq!(
        module.private.iter().map(|module| module.path.as_str()).collect::<Vec<_>>(),
        ["git.corp.example/team/lib"]
    );
    assert_eq!(module.replaced[0].dir, "../local");
    assert!(module.replaced[0].outside);
    assert_eq!(module.cgo[0].evidence.line, 10);
    assert_eq!(project.vendor.as_ref().map(|vendor| vendor.modules), Some(1));
    let facts = &project.mains[0].facts;
    assert_eq!(facts.tzdata.as_ref().map(|evidence| evidence.line), Some(4));
    assert_eq!(
        facts.cgo.iter().map(|need| (need.package.as_str(), need.optional)).collect::<Vec<_>>(),
        [("github.com/mattn/go-sqlite3", false)]
    );
    assert_eq!(facts.environment[0].evidence.file, "../local/sub/sub.go");
    assert!(project.mains[0].packages.contains(&"example.com/local/sub".to_owned()));
    serde_json::to_string(&project).unwrap();
}

#[test]
fn one_odd_file_does_not_stop_the_rest() {
    let folder = write(
        "-- go.mod --
module example.com/app
-- main.go --
package main

import \"net/http\"

func main() { http.ListenAndServe(\":8080\", nil) }
-- broken.go --
package main

func half( {
-- constraint.go --
//go:build linux ||

package main
-- embeds.go --
package main

import _ \"embed\"

//go:embed missing.txt
var text string
-- other.go --
package other
",
    );
    let project = detect_in(folder.path());
    assert_eq!(project.mains[0].facts.ports.len(), 1);
    let odd: Vec<_> = project
        .diagnostics
        .iter()
        .map(|odd| format!("{}:{}: {}", odd.evidence.file, odd.evidence.line, odd.message))
        .collect();
    assert_eq!(
        odd,
        [
            "constraint.go:1: line 1: malformed //go:build line: unexpected end of expression",
            "other.go:1: the folder holds two packages: main in broken.go and other in other.go",
            "broken.go:3: source is not understood from here",
            "embeds.go:5: //go:embed missing.txt: no matching files",
        ]
    );
}

#[test]
fn folders_that_go_skips_are_skipped() {
    let main = "package main\n\nfunc main() {}\n";
    let dirs =
        ["a", "vendor/v", "testdata/t", "_u", ".h", "nested", "web/node_modules/n", "gen", "x/gen", "win"];
    let mut archive =
        "-- go.mod --\nmodule example.com/app\n\ngo 1.26\n\nignore (\n\tnode_modules\n\t./gen\n)\n"
            .to_owned();
    for dir in dirs {
        let name = if dir == "win" { "main_windows.go" } else { "main.go" };
        archive += &format!("-- {dir}/{name} --\n{main}");
    }
    archive += "-- nested/go.mod --\nmodule example.com/nested\n-- a/main_test.go --\npackage main\n-- lib/x.go --\npackage lib\n";
    let folder = write(&archive);
    let project = detect_in(folder.path());
    let found: Vec<_> = project.mains.iter().map(|main| main.dir.as_str()).collect();
    assert_eq!(found, ["a", "x/gen"]);
}

#[test]
fn cgo_is_needed_where_a_file_imports_c() {
    let folder = write(
        "-- go.mod --
module example.com/app
-- main.go --
package main

import _ \"example.com/app/fast\"

func main() {}
-- fast/fast.go --
package fast
-- fast/fast_c.go --
package fast

// int one() { return 1; }
import \"C\"
",
    );
    let project = detect_in(folder.path());
    let needs = &project.mains[0].facts.cgo;
    assert_eq!(needs.len(), 1);
    assert!(needs[0].optional);
    assert_eq!((needs[0].evidence.file.as_str(), needs[0].evidence.line), ("fast/fast_c.go", 4));
}

#[test]
fn a_file_may_be_named_in_place_of_its_folder() {
    let folder = write("-- go.mod --\nmodule example.com/app\n-- cmd/x/main.go --\npackage main\n");
    let project = detect(&folder.path().join("cmd/x/main.go"), &DetectOptions::default()).unwrap();
    assert_eq!(project.start, "cmd/x");
    assert_eq!(project.root, Path::new(folder.path()).canonicalize().unwrap());
}
