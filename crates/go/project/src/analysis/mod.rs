//! What a program does, found by running its source in the mind: a small abstract interpreter.
//!
//! Starting at `main`, calls within the project are followed with the values of their arguments, so that a port that travels
//! through a configuration function, or a router that a helper fills, is known where it is used. Values are texts, routers,
//! structs and functions; everything else is unknown. Both branches of every condition are taken and what they give is
//! joined: that is how `os.Getenv("PORT")` with a literal fallback becomes a port with a default. What an interpreter cannot
//! reach (interfaces, reflection) is read afterwards, function by function, with what the types of the parameters tell.

mod calls;
mod evaluate;
mod execute;
mod findings;
mod imported;
mod listen;
mod program;
mod routers;
mod value;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::facts::{Evidence, Facts};
use crate::source::ast::Function;
use findings::Findings;
use program::FunctionId;
pub(crate) use program::Program;
use routers::Routers;
use value::{Scope, Value};

/// Steps that following a program from its start may take: about a second of work.
const STEP_LIMIT: u64 = 2_000_000;
/// Steps that a function may take which nothing was seen to call, and all of those together.
const FUNCTION_STEP_LIMIT: u64 = 20_000;
const FUNCTIONS_STEP_LIMIT: u64 = 4_000_000;
/// Calls within calls.
const CALL_LIMIT: usize = 40;
/// Expressions and statements within each other, over all calls.
const NESTING_LIMIT: usize = 1200;

/// The state of one program's interpretation.
pub(crate) struct Analyzer<'a> {
    program: &'a Program,
    findings: Findings,
    routers: Routers,
    /// Values of package variables and constants; none while they are computed.
    globals: HashMap<(usize, String), Option<Value<'a>>>,
    /// Functions whose bodies were run.
    visited: HashSet<*const Function>,
    /// What calls with known arguments gave.
    results: HashMap<(FunctionId, String), Value<'a>>,
    /// Functions that somebody may call later: literals and functions passed as values.
    pending: Vec<Pending<'a>>,
    stack: Vec<*const Function>,
    /// Where the statement that runs stands.
    unit: usize,
    file: usize,
    /// How many conditions and loops are around the statement that runs.
    conditional: usize,
    nesting: usize,
    steps: u64,
    /// The number of steps at which the interpreter stops looking deeper.
    limit: u64,
    /// Defaults given to viper.
    settings: HashMap<String, Value<'a>>,
}

struct Pending<'a> {
    function: &'a Function,
    unit: usize,
    file: usize,
    scope: Option<Rc<Scope<'a>>>,
}

impl<'a> Analyzer<'a> {
    /// Runs the program of a main package and adds what it does to `facts`. `reached` are the import paths of the project's
    /// packages that it links. Returns false if the program was too large to be followed to its end.
    pub(crate) fn run(program: &'a Program, main: &str, reached: &[String], facts: &mut Facts) -> bool {
        let mut analyzer = Analyzer {
            program,
            findings: Findings::default(),
            routers: Routers::default(),
            globals: HashMap::new(),
            visited: HashSet::new(),
            results: HashMap::new(),
            pending: Vec::new(),
            stack: Vec::new(),
            unit: 0,
            file: 0,
            conditional: 0,
            nesting: 0,
            steps: 0,
            limit: STEP_LIMIT,
            settings: HashMap::new(),
        };
        let units: BTreeSet<usize> = reached.iter().filter_map(|path| program.unit(path)).collect();
        for unit in &units {
            analyzer.initialize(*unit);
        }
        if let Some(main) = program.unit(main) {
            analyzer.call_named(main, "main");
        }
        analyzer.drain();
        let followed = analyzer.steps < STEP_LIMIT;
        let reached_listeners = analyzer.findings.listens();
        let reached_routes = analyzer.routers.has_routes();
        analyzer.findings.mute_ports(reached_listeners);
        analyzer.routers.mute(reached_routes);
        for id in program.functions_of(&units) {
            let function = program.function(id);
            if !analyzer.visited.contains(&std::ptr::from_ref(function)) {
                analyzer.limit =
                    (analyzer.steps + FUNCTION_STEP_LIMIT).min(STEP_LIMIT + FUNCTIONS_STEP_LIMIT);
                analyzer.call_function(id, None, Vec::new());
                analyzer.drain();
            }
        }
        analyzer.findings.finish(facts);
        analyzer.routers.finish(facts);
        followed
    }

    /// Runs the initializers of a package's variables, and its init functions.
    fn initialize(&mut self, unit: usize) {
        for name in self.program.global_names(unit) {
            self.global(unit, name);
        }
        self.struct_tags(unit);
        for id in self.program.initializers(unit) {
            self.call_function(id, None, Vec::new());
        }
    }

    fn call_named(&mut self, unit: usize, name: &str) {
        if let Some(id) = self.program.function_named(unit, name) {
            self.call_function(id, None, Vec::new());
        }
    }

    /// Runs what was passed on as a value and never called.
    fn drain(&mut self) {
        while let Some(pending) = self.pending.pop() {
            if !self.visited.contains(&std::ptr::from_ref(pending.function)) {
                let place = (pending.unit, pending.file);
                self.run_body(pending.function, place, pending.scope, None, Vec::new());
            }
        }
    }

    fn evidence(&self, line: u32) -> Evidence {
        self.program.evidence(self.unit, self.file, line)
    }
}

/// Packages that fill structs from the environment by tags.
const TAG_READERS: [&str; 5] = [
    "github.com/caarlos0/env",
    "github.com/kelseyhightower/envconfig",
    "github.com/sethvargo/go-envconfig",
    "github.com/ilyakaznacheev/cleanenv",
    "github.com/joeshaw/envdecode",
];

impl<'a> Analyzer<'a> {
    /// Notes the environment variables that tags of a package's structs name, if the package fills structs from them.
    fn struct_tags(&mut self, unit: usize) {
        let reads =
            self.program.imports_of(unit).any(|path| TAG_READERS.contains(&program::without_major(path)));
        if !reads {
            return;
        }
        for (file, type_) in self.program.types_of(unit) {
            for field in &type_.fields {
                if let Some(text) = field.tag.as_deref().and_then(findings::tagged_variable) {
                    let line = field.type_.as_ref().map_or(1, |type_| type_.line);
                    let evidence = self.program.evidence(unit, file, line);
                    self.findings.variable(&text.environment[0], text.known.as_deref(), evidence);
                }
            }
        }
    }
}
