use super::*;
use crate::{BaseChoice, KEYS, Position};

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/p/longshore.toml"), text)
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse("").unwrap(), Config::default());
    assert_eq!(Config::load(Path::new("/nonexistent-folder")).unwrap(), Config::default());
}

#[test]
fn every_listed_key_is_taken_where_its_scope_says() {
    for key in KEYS {
        let (name, example) = (key.name, key.example);
        let text = match key.scope {
            Scope::Both => {
                format!("[build]\n{name} = {example}\n[[service]]\nmain = \".\"\n{name} = {example}\n")
            }
            Scope::Service if name == "main" => format!("[[service]]\n{name} = {example}\n"),
            Scope::Service => format!("[[service]]\nmain = \".\"\n{name} = {example}\n"),
            Scope::Healthcheck => format!("[build.healthcheck]\n{name} = {example}\n"),
            Scope::Include if name == "source" => {
                format!("[[build.include]]\n{name} = {example}\ndestination = \"/\"\n")
            }
            Scope::Include if name == "destination" => {
                format!("[[build.include]]\n{name} = {example}\nsource = \".\"\n")
            }
            Scope::Include => {
                format!("[[build.include]]\nsource=\".\"\ndestination=\"/\"\n{name} = {example}\n")
            }
        };
        let config = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}: {}", error.kind));
        assert_ne!(config, Config::default(), "{name} was dropped");
        if key.scope == Scope::Both {
            assert_eq!(config.build, config.services[0].settings, "{name}");
            assert_eq!(config.settings_for("."), config.build, "{name} is lost in the merge");
        }
    }
}

#[test]
fn errors_say_what_where_and_what_was_meant() {
    let cases = [
        ("[build]\nusr = \"0\"\n", 2, 1, "unknown key `build.usr`", Some("did you mean `user`?")),
        ("platforms = []\n", 1, 1, "unknown key `platforms`", Some("did you mean `build.platforms`?")),
        ("[biuld]\n", 1, 2, "unknown key `biuld`", Some("did you mean `[build]`?")),
        ("[[build]]\n", 1, 1, "`build` must be a table, not an array of tables", None),
        ("[build]\ncgo = \"yes\"\n", 2, 7, "`build.cgo` must be `true` or `false`, not a string", None),
        (
            "[build]\nports = [80, \"x\"]\n",
            2,
            14,
            "`build.ports[1]` must be a port such as 8080 or \"53/udp\", not `x`",
            None,
        ),
        ("[build]\nports = 80\n", 2, 9, "`build.ports` must be an array of ports, not an integer", None),
        (
            "[build]\nworkdir = \"srv\"\n",
            2,
            11,
            "`build.workdir` must be an absolute path in the image, not `srv`",
            None,
        ),
        (
            "[build]\nbuild-mode = \"pi\"\n",
            2,
            14,
            "`build.build-mode` must be \"exe\" or \"pie\", not `pi`",
            None,
        ),
        (
            "[build.healthcheck]\nintervall = \"1s\"\n",
            2,
            1,
            "unknown key `build.healthcheck.intervall`",
            Some("did you mean `interval`?"),
        ),
        (
            "[build]\nplatforms = [\"windows/amd64\"]\n",
            2,
            14,
            "`build.platforms[0]` must be a platform of linux, such as linux/arm64, not `windows/amd64`",
            None,
        ),
        (
            "[build.stamp]\nversion = \"1\"\n",
            2,
            1,
            "`build.stamp.version` must be a variable such as main.version, not `version`",
            None,
        ),
        (
            "[build]\ninclude = [{ source = \"../x\", destination = \"/\" }]\n",
            2,
            23,
            "`build.include[0].source` must be a path below the folder of longshore.toml, not `../x`",
            None,
        ),
        (
            "[build]\nstop-signal = \"TERM\"\n",
            2,
            15,
            "`build.stop-signal` must be a signal such as SIGTERM or 15, not `TERM`",
            None,
        ),
        ("[[service]]\nname = \"a\"\n", 1, 1, "`service[0].main` is missing", None),
        (
            "[[service]]\nmain=\"a/x\"\n[[service]]\nmain=\"b/x\"\n",
            3,
            1,
            "two services are called `x`",
            Some("give one of them another `name`"),
        ),
        ("[build]\nlabels = { a = 1 }\n", 2, 16, "`build.labels.a` must be a string, not an integer", None),
    ];
    for (text, line, column, message, hint) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!(error.kind.to_string(), message, "{text}");
        assert_eq!(error.position, Some(Position { line, column }), "{text}");
        assert_eq!(error.hint().as_deref(), hint, "{text}");
        assert_eq!(error.to_string(), format!("cannot use /p/longshore.toml:{line}:{column}"));
    }
}

#[test]
fn what_is_not_toml_says_where() {
    let error = parse("[build]\nuser = \n").unwrap_err();
    assert!(matches!(*error.kind, ConfigErrorKind::Syntax { .. }), "{:?}", error.kind);
    assert_eq!(error.position.map(|position| position.line), Some(2));
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(parse(&deep).is_err());
}

#[test]
fn a_service_replaces_lists_and_extends_tables() {
    let config = parse(
        "[build]\ntags = [\"a\"]\nbase = \"alpine\"\nenv = { A = \"1\", B = \"2\" }\n\
         [[service]]\nmain = \"./cmd/api/\"\ntags = [\"b\"]\nenv = { B = \"3\" }\n",
    )
    .unwrap();
    for folder in ["cmd/api", "./cmd/api"] {
        let settings = config.settings_for(folder);
        assert_eq!(settings.tags.as_deref(), Some(["b".to_owned()].as_slice()));
        assert_eq!(
            settings.env.into_iter().collect::<Vec<_>>(),
            [("A".into(), "1".into()), ("B".into(), "3".into())]
        );
        assert_eq!(settings.base, Some(BaseChoice::Image("alpine".into())));
    }
    assert_eq!(config.settings_for("cmd/other"), config.build);
    assert_eq!(config.service_named("api").map(Service::folder), Some("cmd/api"));
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CONFIG_FILE);
    for (bytes, expected) in [
        (
            vec![b'#'; 1_048_577],
            "the file has 1048577 bytes, more than the 1048576 that a configuration may have",
        ),
        (b"a = \"\xff\"".to_vec(), "the file is not UTF-8 text"),
    ] {
        longshore_files::write_atomic(&path, &bytes).unwrap();
        assert_eq!(Config::load(folder.path()).unwrap_err().kind.to_string(), expected);
    }
    let missing = Config::load_file(&folder.path().join("none.toml")).unwrap_err();
    assert_eq!(missing.kind.to_string(), "the file cannot be read");
}

#[test]
fn the_documentation_lists_every_key_with_its_type_and_default() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/configuration.md"));
    let page = page.unwrap();
    for key in KEYS {
        let row = format!("| `{}` | {} | {} |", key.name, key.takes, key.default);
        assert!(page.contains(&row), "docs/configuration.md lacks the row: {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, KEYS.len(), "docs/configuration.md lists keys that do not exist");
}
