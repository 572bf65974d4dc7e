//! Projects and their edits, as data: after each edit the program is built with the cache and without, and must be the same.

use longshore_testkit::{Stop, TestResult};

use crate::bench::{Bench, Toolchain};

/// A change between two builds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Edit {
    Write(&'static str, &'static str),
    Remove(&'static str),
    Link(&'static str, &'static str),
    Command(&'static [&'static str]),
    Variable(&'static str, &'static str),
}

use Edit::{Command, Link, Remove, Variable, Write};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Whether the short form runs it with the older toolchain too.
    pub(crate) is_brief: bool,
    /// Whether it compiles the standard library several times over, and so is for the long form.
    pub(crate) is_long: bool,
    pub(crate) needs_proxy: bool,
    command: &'static [&'static str],
    files: &'static [(&'static str, &'static str)],
    /// Each of these changes the program.
    edits: &'static [Edit],
}

const PLAIN: Case = Case {
    name: "",
    is_brief: false,
    is_long: false,
    needs_proxy: false,
    command: &["build", "-o", "main", "."],
    files: &[],
    edits: &[],
};
const GUIDE: &[&str] = &["build", "-a", "-installsuffix", "cgo", "-o", "main", "."];
const MODULE: (&str, &str) = ("go.mod", "module example.com/shop\n\ngo 1.21\n");
const MAIN: (&str, &str) =
    ("main.go", "package main\n\nimport \"example.com/shop/one\"\n\nfunc main() { println(one.Name) }\n");
const ONE: (&str, &str) = ("one/one.go", "package one\n\nvar Name = \"one\"\n");
const TWO: (&str, &str) = ("two/one.go", "package one\n\nvar Name = \"two\"\n");
const ADD: (&str, &str) =
    ("main.go", "package main\n\nfunc add(a, b int64) int64\n\nfunc main() { println(add(2, 3)) }\n");
const ADD_ASSEMBLY: &str = "#include \"textflag.h\"\n#include \"values.h\"\n\nTEXT ·add(SB), NOSPLIT, $0-24\n\tMOVQ a+0(FP), AX\n\tADDQ b+8(FP), AX\n\tADDQ $EXTRA, AX\n\tMOVQ AX, ret+16(FP)\n\tRET\n";
const FAR_ASSEMBLY: &str = "#include \"textflag.h\"\n#include \"../common/values.h\"\n\nTEXT ·add(SB), NOSPLIT, $0-24\n\tMOVQ a+0(FP), AX\n\tADDQ b+8(FP), AX\n\tADDQ $EXTRA, AX\n\tMOVQ AX, ret+16(FP)\n\tRET\n";
const FAR_MAIN: &str =
    "package main\n\nimport \"example.com/shop/sum\"\n\nfunc main() { println(sum.Add(2, 3)) }\n";
const FAR_SUM: &str =
    "package sum\n\nfunc add(a, b int64) int64\n\nfunc Add(a, b int64) int64 { return add(a, b) }\n";

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    [SOURCES, FLAGS, MODULES, ASSEMBLY].concat()
}

const SOURCES: &[Case] = &[
    Case {
        name: "edits of equal size, with -a",
        is_brief: true,
        command: GUIDE,
        files: &[MODULE, MAIN, ONE],
        edits: &[
            Write("one/one.go", "package one\n\nvar Name = \"two\"\n"),
            Write(
                "main.go",
                "package main\n\nimport \"example.com/shop/one\"\n\nfunc main() { print(one.Name, 12345) }\n",
            ),
            Write("one/one.go", "package one\n\nvar Name = \"one\"\n"),
        ],
        ..PLAIN
    },
    Case {
        name: "an import of equal length",
        files: &[MODULE, MAIN, ONE, TWO],
        edits: &[Write(
            "main.go",
            "package main\n\nimport \"example.com/shop/two\"\n\nfunc main() { println(one.Name) }\n",
        )],
        ..PLAIN
    },
    Case {
        name: "a constraint of equal length",
        is_brief: true,
        files: &[
            MODULE,
            MAIN,
            ("one/one.go", "package one\n\nvar Name = \"one\"\n"),
            ("one/a.go", "//go:build amd64 || arm64\n\npackage one\n\nfunc init() { Name += \"a\" }\n"),
            ("one/b.go", "//go:build mips6 || sparc\n\npackage one\n\nfunc init() { Name += \"b\" }\n"),
        ],
        edits: &[
            Write("one/a.go", "//go:build never || arm64\n\npackage one\n\nfunc init() { Name += \"a\" }\n"),
            Write("one/b.go", "//go:build amd64 || sparc\n\npackage one\n\nfunc init() { Name += \"b\" }\n"),
        ],
        ..PLAIN
    },
    Case {
        name: "embedded files",
        is_brief: true,
        command: GUIDE,
        files: &[
            MODULE,
            (
                "main.go",
                "package main\n\nimport \"embed\"\n\n//go:embed static/*.txt\nvar files embed.FS\n\nfunc main() {\n\tlist, _ := files.ReadDir(\"static\")\n\tprintln(len(list))\n}\n",
            ),
            ("static/a.txt", "a"),
        ],
        edits: &[
            Write("static/a.txt", "b"),
            Write("static/b.txt", "b"),
            Remove("static/a.txt"),
            Write(
                "main.go",
                "package main\n\nimport \"embed\"\n\n//go:embed static/b.txt\nvar files embed.FS\n\nfunc main() {\n\tlist, _ := files.ReadDir(\"static\")\n\tprintln(len(list))\n}\n",
            ),
        ],
        ..PLAIN
    },
    Case {
        name: "generated files come and go",
        files: &[MODULE, MAIN, ONE],
        edits: &[
            Write("one/one_gen.go", "package one\n\nfunc init() { Name = \"generated\" }\n"),
            Write("one/one_gen.go", "package one\n\nfunc init() { Name = \"regenerate\" }\n"),
            Remove("one/one_gen.go"),
        ],
        ..PLAIN
    },
    Case {
        name: "files behind links",
        files: &[
            MODULE,
            MAIN,
            ("elsewhere/1.go", "package one\n\nvar Name = \"1\"\n"),
            ("elsewhere/2.go", "package one\n\nvar Name = \"2\"\n"),
            ("one/doc.go", "package one\n"),
            ("one/one.go", "package one\n\nvar Name = \"0\"\n"),
        ],
        edits: &[
            Link("one/one.go", "../elsewhere/1.go"),
            Write("elsewhere/1.go", "package one\n\nvar Name = \"3\"\n"),
            Link("one/one.go", "../elsewhere/2.go"),
        ],
        ..PLAIN
    },
];

const FLAGS: &[Case] = &[
    Case {
        name: "tags, in the command and in the environment",
        files: &[
            MODULE,
            ("main.go", "package main\n\nvar name = \"none\"\n\nfunc main() { println(name) }\n"),
            ("blue.go", "//go:build blue\n\npackage main\n\nfunc init() { name = \"blue\" }\n"),
            ("red.go", "//go:build red\n\npackage main\n\nfunc init() { name = \"red\" }\n"),
        ],
        edits: &[
            Command(&["build", "-tags", "blue", "-o", "main", "."]),
            Command(&["build", "-tags=red", "-o", "main", "."]),
            Command(&["build", "-o", "main", "."]),
            Variable("GOFLAGS", "-buildvcs=false -tags=blue,red"),
        ],
        ..PLAIN
    },
    Case {
        name: "linker and compiler flags",
        command: &["build", "-a", "-ldflags", "-X main.version=1", "-o", "main", "."],
        files: &[
            MODULE,
            ("main.go", "package main\n\nvar version = \"0\"\n\nfunc main() { println(version) }\n"),
        ],
        edits: &[
            Command(&["build", "-a", "-ldflags", "-X main.version=2", "-o", "main", "."]),
            Command(&["build", "-a", "-ldflags=-w -s -extldflags \"-static\"", "-o", "main", "."]),
            Command(&["build", "-a", "-gcflags=-N -l", "-o", "main", "."]),
            Command(&["build", "-a", "-o", "main", "."]),
        ],
        ..PLAIN
    },
    Case {
        name: "-trimpath, PIE and none of them",
        is_brief: true,
        command: &["build", "-a", "-trimpath", "-o", "main", "."],
        files: &[MODULE, MAIN, ONE],
        edits: &[
            Write("one/one.go", "package one\n\nvar Name = \"two\"\n"),
            Command(&["build", "-a", "-buildmode=pie", "-ldflags=-w -s", "-o", "main", "."]),
            Write("one/one.go", "package one\n\nvar Name = \"one\"\n"),
            Command(&["build", "-o", "main", "."]),
        ],
        ..PLAIN
    },
    Case {
        name: "another processor, and no optimisation anywhere",
        is_long: true,
        files: &[MODULE, MAIN, ONE],
        edits: &[
            Variable("GOAMD64", "v3"),
            Write("one/one.go", "package one\n\nvar Name = \"two\"\n"),
            Variable("GOAMD64", "v1"),
            Command(&["build", "-a", "-gcflags=all=-N -l", "-o", "main", "."]),
        ],
        ..PLAIN
    },
];

const MODULES: &[Case] = &[
    Case {
        name: "another version of the language",
        files: &[
            ("go.mod", "module example.com/shop\n\ngo 1.20\n"),
            (
                "main.go",
                "package main\n\nfunc main() {\n\tvar list []func() int\n\tfor i := 0; i < 3; i++ {\n\t\tlist = append(list, func() int { return i })\n\t}\n\tprintln(list[0]())\n}\n",
            ),
        ],
        edits: &[Write("go.mod", "module example.com/shop\n\ngo 1.21\n")],
        ..PLAIN
    },
    Case {
        name: "a replaced module, a workspace and a vendor folder",
        is_brief: true,
        command: GUIDE,
        files: &[
            (
                "go.mod",
                "module example.com/shop\n\ngo 1.21\n\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ./dep1\n",
            ),
            ("main.go", "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n"),
            ("dep1/go.mod", "module example.com/dep\n\ngo 1.21\n"),
            ("dep1/dep.go", "package dep\n\nvar Name = \"1\"\n"),
            ("dep2/go.mod", "module example.com/dep\n\ngo 1.21\n"),
            ("dep2/dep.go", "package dep\n\nvar Name = \"2\"\n"),
            ("dep3/go.mod", "module example.com/dep\n\ngo 1.21\n"),
            ("dep3/dep.go", "package dep\n\nvar Name = \"3\"\n"),
        ],
        edits: &[
            Write(
                "go.mod",
                "module example.com/shop\n\ngo 1.21\n\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ./dep2\n",
            ),
            Write("dep2/dep.go", "package dep\n\nvar Name = \"4\"\n"),
            Write("go.work", "go 1.21\n\nuse .\n\nreplace example.com/dep => ./dep3\n"),
            Remove("go.work"),
            Write(
                "go.mod",
                "module example.com/shop\n\ngo 1.21\n\nrequire example.com/dep v1.0.1\n\nreplace example.com/dep v1.0.1 => ./dep1\n",
            ),
        ],
        ..PLAIN
    },
    Case {
        name: "a dependency in another version",
        needs_proxy: true,
        command: &["build", "-mod=mod", "-a", "-o", "main", "."],
        files: &[
            ("go.mod", "module example.com/shop\n\ngo 1.21\n\nrequire golang.org/x/mod v0.8.0\n"),
            (
                "main.go",
                "package main\n\nimport \"golang.org/x/mod/semver\"\n\nfunc main() { println(semver.IsValid(\"v1\")) }\n",
            ),
        ],
        edits: &[
            Write("go.mod", "module example.com/shop\n\ngo 1.21\n\nrequire golang.org/x/mod v0.12.0\n"),
            Write("go.mod", "module example.com/shop\n\ngo 1.21\n\nrequire golang.org/x/mod v0.8.0\n"),
        ],
        ..PLAIN
    },
    Case {
        name: "a module in a folder below",
        command: &["build", "-C", "service", "-a", "-o", "../main", "."],
        files: &[
            ("service/go.mod", "module example.com/shop\n\ngo 1.21\n"),
            ("service/main.go", "package main\n\nfunc main() { println(1) }\n"),
        ],
        edits: &[Write("service/main.go", "package main\n\nfunc main() { println(2) }\n")],
        ..PLAIN
    },
];

const ASSEMBLY: &[Case] = &[
    Case {
        name: "assembly and its own header",
        command: GUIDE,
        files: &[
            MODULE,
            ADD,
            ("add_amd64.s", ADD_ASSEMBLY),
            ("values.h", "#define EXTRA 1\n"),
            ("common/values.h", "#define EXTRA 3\n"),
        ],
        edits: &[
            Write("values.h", "#define EXTRA 2\n"),
            Write("add_amd64.s", FAR_ASSEMBLY_HERE),
            Write("common/values.h", "#define EXTRA 4\n"),
        ],
        ..PLAIN
    },
    Case {
        name: "assembly and a header elsewhere",
        is_brief: true,
        command: GUIDE,
        files: &[
            MODULE,
            ("main.go", FAR_MAIN),
            ("sum/sum.go", FAR_SUM),
            ("sum/sum_amd64.s", FAR_ASSEMBLY),
            ("common/values.h", "#include \"more.inc\"\n"),
            ("sum/more.inc", "#define EXTRA 1\n"),
        ],
        edits: &[Write("sum/more.inc", "#define EXTRA 2\n"), Write("common/values.h", "#define EXTRA 3\n")],
        ..PLAIN
    },
    Case {
        name: "a header that the package's target leaves out",
        is_long: true,
        files: &[
            MODULE,
            ADD,
            (
                "add_amd64.s",
                "#include \"textflag.h\"\n#include \"v_arm64.h\"\n#include \"chosen.h\"\n\nTEXT ·add(SB), NOSPLIT, $0-24\n\tMOVQ $EXTRA, AX\n\tADDQ $MORE, AX\n\tMOVQ AX, ret+16(FP)\n\tRET\n",
            ),
            ("v_arm64.h", "#define EXTRA 1\n"),
            ("chosen.h", "// +build arm64\n\n#define MORE 1\n"),
        ],
        edits: &[
            Write("v_arm64.h", "#define EXTRA 2\n"),
            Write("chosen.h", "// +build arm64\n\n#define MORE 2\n"),
        ],
        ..PLAIN
    },
];

const FAR_ASSEMBLY_HERE: &str = "#include \"textflag.h\"\n#include \"common/values.h\"\n\nTEXT ·add(SB), NOSPLIT, $0-24\n\tMOVQ a+0(FP), AX\n\tADDQ $EXTRA, AX\n\tMOVQ AX, ret+16(FP)\n\tRET\n";

/// Builds after each edit, with the cache and without.
pub(crate) fn run(case: &Case, toolchain: Toolchain) -> TestResult {
    let mut bench = Bench::new(toolchain)?;
    for (name, text) in case.files {
        bench.write(name, text)?;
    }
    let mut command = case.command;
    let mut before = bench.build(command)?;
    for edit in case.edits {
        apply(&mut bench, edit, &mut command)?;
        let after = bench.build(command)?;
        if after == before {
            return Err(Stop::failed(format!("{edit:?} changes nothing: the case proves nothing")));
        }
        before = after;
    }
    Ok(())
}

fn apply(bench: &mut Bench, edit: &Edit, command: &mut &'static [&'static str]) -> TestResult {
    match *edit {
        Write(name, text) => bench.write(name, text)?,
        Remove(name) => std::fs::remove_file(bench.project().join(name))?,
        Link(name, target) => {
            std::fs::remove_file(bench.project().join(name))?;
            std::os::unix::fs::symlink(target, bench.project().join(name))?;
        }
        Command(words) => *command = words,
        Variable(name, value) => {
            bench.environment.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(())
}
