//! COPY and ADD: steps that write files and run nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use longshore_dockerfile::Word;
use longshore_dockerfile::expand::expand_heredoc;
use longshore_dockerfile::instruction::{Heredoc, Source, Transfer};
use longshore_dockerfile::wildcard::{PatternError, is_pattern};
use longshore_snapshot::Snapshot;

use crate::archive;
use crate::error::InstructionErrorKind;
use crate::key::{Key, KeyWriter};
use crate::mode::ModeChange;
use crate::origin::{Origin, failed};
use crate::place::{Destination, Placer};
use crate::remote;
use crate::rules::Rules;
use crate::select::{Filter, SelectError, Selected, describe, select};
use crate::solve::{At, Mode, Solve, Stop, held};
use crate::state::StageState;
use crate::step::Doing;
use crate::tree::{FileTree, names_folder};
use longshore_sandbox::{file_owner, needs_lookup};

/// Largest /etc/passwd or /etc/group that is read, in bytes.
pub(crate) const MAX_USERS: u64 = 1 << 20;

/// Where one source's files come from.
enum From {
    /// `--from`, or the build context.
    Origin,
    /// A heredoc.
    Tree(Arc<dyn FileTree>),
    /// What an address holds.
    Remote(Box<remote::Remote>),
}

/// One source of COPY or ADD, made sense of.
pub(crate) struct PreparedSource {
    from: From,
    /// Path or pattern in the tree.
    path: String,
    /// A path that must be there, where the pattern alone would be content with nothing.
    required: Option<PathBuf>,
    filter: Filter,
    /// Whether archives are unpacked.
    unpack: bool,
    /// What it means, once somebody had to know: the files that were hashed are those that are copied.
    selected: OnceLock<Vec<Selected>>,
}

/// COPY or ADD with its words expanded and the content of its sources known.
pub(crate) struct Prepared {
    sources: Vec<PreparedSource>,
    content: Key,
    /// What the content is recorded under.
    record: Option<Key>,
}

/// Where sources stand: stage, place in it, and the state of the stage or image that they come from.
pub(crate) type PreparedPlace = (usize, usize, Option<Key>);

/// The words of COPY or ADD, expanded.
struct Words {
    sources: Vec<String>,
    destination: String,
    chown: Option<String>,
    chmod: Option<String>,
    exclude: Vec<String>,
    checksum: Option<String>,
}

impl<'a> Solve<'a> {
    /// COPY, or ADD where the flag is set.
    pub(crate) fn transfer(
        &self,
        state: &mut StageState,
        at: At<'_>,
        (transfer, is_add): (&Transfer, bool),
        mode: Mode,
    ) -> Result<(), Stop> {
        let words = self.words(state, &at, transfer)?;
        let from = transfer.from.as_ref().map(|word| word.text.as_str());
        let destination = state.absolute(&words.destination);
        let change = words.chmod.as_deref().map(ModeChange::parse).transpose();
        let change = change.map_err(|error| failed(&at, error))?;
        let is_linked = transfer.link && words.chmod.is_none();
        if let Some(owner) = words.chown.as_deref().filter(|owner| transfer.link && needs_lookup(owner)) {
            let expected = "numbers, since --link does not look at the files below, which say who that is";
            let (value, expected) = (owner.to_owned(), expected.to_owned());
            return Err(failed(&at, InstructionErrorKind::Value { what: "--chown", value, expected }));
        }

        let (key, (origin, prepared)) = self.lazily(&at, mode, &|mode| {
            let origin = self.origin(from, &at, mode)?;
            let prepared = self.prepare(state, &at, (transfer, &words, is_add), &origin, mode)?;
            let mut key = KeyWriter::new(if is_add { "add" } else { "copy" });
            if !is_linked {
                key.key(&state.key);
            }
            key.key(&prepared.content).text(&destination);
            key.optional(words.chown.as_deref()).optional(words.chmod.as_deref());
            key.flag(self.request.source_date_epoch.is_some());
            key.text(&self.request.source_date_epoch.unwrap_or_default().to_string());
            Ok((key.finish(), (origin, prepared)))
        })?;
        let below = if is_linked { self.scratch(&state.platform) } else { state.clone() };
        let snapshot = self.step(&below, &at, key, mode, &mut |doing| {
            let to = self.destination(doing, &at, &words, &destination, change.clone())?;
            self.copy(doing, &at, &prepared, &origin, &to)
        })?;
        let next =
            if is_linked { KeyWriter::new("link").key(&state.key).key(&snapshot).finish() } else { snapshot };
        state.push(next, snapshot, created_by(transfer, &words, is_add));
        if let Some(step) = state.steps.last_mut() {
            step.is_linked = is_linked;
        }
        Ok(())
    }

    fn words(&self, state: &StageState, at: &At<'_>, transfer: &Transfer) -> Result<Words, Stop> {
        let escape = self.file.escape;
        let expand = |word: &Word| state.expand(&word.text, escape).map_err(|error| failed(at, error));
        let maybe = |word: &Option<Word>| -> Result<Option<String>, Stop> {
            let text = word.as_ref().map(expand).transpose()?;
            Ok(text.filter(|text| !text.is_empty()))
        };
        let mut sources = Vec::new();
        for source in &transfer.sources {
            if let Source::Path(word) = source {
                sources.push(expand(word)?);
            }
        }
        Ok(Words {
            sources,
            destination: expand(&transfer.destination)?,
            chown: maybe(&transfer.chown)?,
            chmod: maybe(&transfer.chmod)?,
            exclude: transfer.exclude.iter().map(expand).collect::<Result<_, _>>()?,
            checksum: maybe(&transfer.checksum)?,
        })
    }

    /// What the sources are and what is in them. Worked out once: probing and building ask the same, unless a step of the stage that
    /// they come from was run once more in between.
    fn prepare(
        &self,
        state: &StageState,
        at: &At<'_>,
        (transfer, words, is_add): (&Transfer, &Words, bool),
        origin: &Origin,
        mode: Mode,
    ) -> Result<Arc<Prepared>, Stop> {
        let from = match origin {
            Origin::State(state) => Some(state.key),
            Origin::Context | Origin::Named(_) => None,
        };
        let place = (at.stage, at.position, from);
        if let Some(prepared) = held(&self.prepared).get(&place) {
            let told = prepared.record.map(|record| (record, prepared.content));
            held(&self.told).contents.extend(told);
            return Ok(Arc::clone(prepared));
        }
        let mut sources = Vec::new();
        let mut paths = words.sources.iter();
        for source in &transfer.sources {
            match source {
                Source::Path(_) => {
                    let Some(path) = paths.next() else { continue };
                    sources.push(self.source(at, (transfer, words, is_add), path, mode)?);
                }
                Source::Heredoc(heredoc) => sources.push(self.heredoc(state, at, heredoc)?),
            }
        }
        let (content, record) = self.content_of(at, &sources, origin, mode)?;
        let prepared = Arc::new(Prepared { sources, content, record });
        held(&self.prepared).insert(place, Arc::clone(&prepared));
        Ok(prepared)
    }

    fn source(
        &self,
        at: &At<'_>,
        (transfer, words, is_add): (&Transfer, &Words, bool),
        path: &str,
        mode: Mode,
    ) -> Result<PreparedSource, Stop> {
        let exclude = (!words.exclude.is_empty()).then(|| Rules::of(&words.exclude)).transpose();
        let exclude = exclude.map_err(|error| failed(at, SelectError::from(error)))?;
        if let Some(address) = remote::Address::read(path) {
            let unpack = transfer.unpack.unwrap_or(false);
            let checksum = words.checksum.as_deref();
            let remote = self.remote(at, (transfer, checksum, is_add), (path, address), mode)?;
            let path = remote.path.clone();
            let filter = Filter { include: None, exclude };
            return Ok(PreparedSource {
                from: From::Remote(Box::new(remote)),
                path,
                required: None,
                filter,
                unpack,
                selected: OnceLock::new(),
            });
        }
        if words.checksum.is_some() {
            let expected = "used with an address alone".to_owned();
            let value = words.checksum.clone().unwrap_or_default();
            return Err(failed(at, InstructionErrorKind::Value { what: "--checksum", value, expected }));
        }
        if transfer.parents {
            let mut source = with_parents(path).map_err(|error| failed(at, SelectError::from(error)))?;
            source.filter.exclude = exclude;
            return Ok(source);
        }
        Ok(PreparedSource {
            from: From::Origin,
            path: path.to_owned(),
            required: None,
            filter: Filter { include: None, exclude },
            unpack: transfer.unpack.unwrap_or(is_add),
            selected: OnceLock::new(),
        })
    }

    fn heredoc(&self, state: &StageState, at: &At<'_>, heredoc: &Heredoc) -> Result<PreparedSource, Stop> {
        let mut text = heredoc.text();
        if heredoc.expand {
            let lookup = |name: &str| state.variable(name).map(str::to_owned);
            text = expand_heredoc(&text, &lookup).map_err(|error| failed(at, error))?;
        }
        let tree =
            remote::inline(&heredoc.name, text.as_bytes(), self.now, &self.builder.store.temporary_folder());
        let tree = tree.map_err(|error| failed(at, error))?;
        Ok(PreparedSource {
            from: From::Tree(Arc::new(tree)),
            path: heredoc.name.clone(),
            required: None,
            filter: Filter::default(),
            unpack: false,
            selected: OnceLock::new(),
        })
    }

    fn tree_of(
        &self,
        at: &At<'_>,
        source: &PreparedSource,
        origin: &Origin,
    ) -> Result<Arc<dyn FileTree>, Stop> {
        match &source.from {
            From::Origin => Ok(self.tree(origin)?),
            From::Tree(tree) => Ok(Arc::clone(tree)),
            From::Remote(remote) => self.remote_tree(at, remote),
        }
    }

    /// Identity of all sources' content. What is taken from a stage is remembered by the stage's key, so that the stage need not be
    /// there to know it: under the second key.
    fn content_of(
        &self,
        at: &At<'_>,
        sources: &[PreparedSource],
        origin: &Origin,
        mode: Mode,
    ) -> Result<(Key, Option<Key>), Stop> {
        let look = &mut || {
            let mut content = KeyWriter::new("sources");
            for source in sources {
                if let From::Remote(remote) = &source.from {
                    remote.describe(source.unpack, source.filter.exclude.as_ref(), &mut content);
                    continue;
                }
                let tree = self.tree_of(at, source, origin)?;
                let selected = self.select(at, source, &*tree, origin)?;
                describe(&*tree, selected, &mut content).map_err(|error| failed(at, error))?;
                content.flag(source.unpack);
            }
            Ok(content.finish())
        };
        let Origin::State(state) = origin else { return Ok((look()?, None)) };
        let mut short = KeyWriter::new("content of sources");
        short.key(&state.key);
        for source in sources {
            short.text(&source.path).flag(source.unpack);
            for rules in [&source.filter.include, &source.filter.exclude] {
                short.optional(rules.as_ref().map(ToString::to_string).as_deref());
            }
            match &source.from {
                From::Origin => {}
                From::Tree(tree) => {
                    let selected = self.select(at, source, &**tree, origin)?;
                    describe(&**tree, selected, &mut short).map_err(|error| failed(at, error))?;
                }
                From::Remote(remote) => {
                    remote.describe(source.unpack, source.filter.exclude.as_ref(), &mut short);
                }
            }
        }
        let record = short.finish();
        Ok((self.remembered(&record, mode, look)?, Some(record)))
    }

    fn select<'s>(
        &self,
        at: &At<'_>,
        source: &'s PreparedSource,
        tree: &dyn FileTree,
        origin: &Origin,
    ) -> Result<&'s [Selected], Stop> {
        if let Some(selected) = source.selected.get() {
            return Ok(selected);
        }
        if let Some(path) = &source.required
            && tree.lookup(path).map_err(|error| failed(at, error))?.is_none()
        {
            return Err(failed(at, self.not_found(path, tree, origin, from_of(at))));
        }
        let selected = select(tree, &source.path, &source.filter).map_err(|error| match error {
            SelectError::NotFound(path) => failed(at, self.not_found(&path, tree, origin, from_of(at))),
            other => failed(at, other),
        })?;
        Ok(source.selected.get_or_init(|| selected))
    }

    fn destination(
        &self,
        doing: &Doing<'_>,
        at: &At<'_>,
        words: &Words,
        path: &str,
        mode: Option<ModeChange>,
    ) -> Result<Destination, Stop> {
        let owner = words.chown.as_deref().map(|owner| self.owner(doing.state, at, owner)).transpose()?;
        Ok(Destination {
            path: crate::tree::below_root(Path::new(path)),
            is_folder: names_folder(path),
            owner,
            mode,
            time: self.request.source_date_epoch,
            now: self.now,
        })
    }

    /// Numbers of a `USER:GROUP` that files get, by the stage's own users where names are used.
    pub(crate) fn owner(&self, state: &StageState, at: &At<'_>, owner: &str) -> Result<(u32, u32), Stop> {
        let (mut passwd, mut group) = (Vec::new(), Vec::new());
        if needs_lookup(owner) {
            let view = self.view(state)?;
            passwd = view.read_small(Path::new("/etc/passwd"), MAX_USERS)?.unwrap_or_default();
            group = view.read_small(Path::new("/etc/group"), MAX_USERS)?.unwrap_or_default();
        }
        file_owner(owner, &passwd, &group).map_err(|error| failed(at, error))
    }

    fn copy(
        &self,
        doing: &Doing<'_>,
        at: &At<'_>,
        prepared: &Prepared,
        origin: &Origin,
        to: &Destination,
    ) -> Result<Snapshot, Stop> {
        let chain = self.chain(doing.state)?;
        let mut draft = self.snapshots().draft(&chain)?;
        let mut writer = draft.writer(chain.view(&self.events)?)?;
        for source in &prepared.sources {
            let tree = self.tree_of(at, source, origin)?;
            for selected in self.select(at, source, &*tree, origin)? {
                let mut placer = Placer::new(&*tree, &mut writer, to, &self.events);
                if source.unpack
                    && archive::unpack(&mut placer, selected).map_err(|error| failed(at, error))?
                {
                    continue;
                }
                placer.place(selected).map_err(|error| failed(at, error))?;
            }
        }
        drop(writer);
        Ok(draft.commit(&doing.key.snapshot())?)
    }
}

/// What `--from` says.
fn from_of<'s>(at: &At<'s>) -> Option<&'s str> {
    match &at.instruction.kind {
        longshore_dockerfile::InstructionKind::Copy(Transfer { from: Some(from), .. }) => Some(&from.text),
        _ => None,
    }
}

/// `--parents`: the folder to start from, and the pattern below it. `/./` is where the path that is kept begins. A path without
/// a pattern in it must be there.
fn with_parents(path: &str) -> Result<PreparedSource, PatternError> {
    let (start, pattern) = path.split_once("/./").unwrap_or(("/", path));
    let pattern = crate::tree::below_root(Path::new(pattern));
    let required = (!is_pattern(path)).then(|| crate::tree::below_root(Path::new(start)).join(&pattern));
    let include = Rules::of(&[pattern.to_string_lossy().into_owned()])?;
    Ok(PreparedSource {
        from: From::Origin,
        path: start.to_owned(),
        required,
        filter: Filter { include: Some(include), exclude: None },
        unpack: false,
        selected: OnceLock::new(),
    })
}

/// The line of the history.
fn created_by(transfer: &Transfer, words: &Words, is_add: bool) -> String {
    let mut line = if is_add { "ADD" } else { "COPY" }.to_owned();
    if transfer.parents {
        line.push_str(" --parents");
    }
    for (flag, value) in [("chown", &words.chown), ("chmod", &words.chmod)] {
        if let Some(value) = value {
            line.push_str(&format!(" --{flag}={value}"));
        }
    }
    for source in &words.sources {
        line.push(' ');
        line.push_str(&remote::without_credentials(source));
    }
    for source in &transfer.sources {
        if let Source::Heredoc(heredoc) = source {
            line.push_str(&format!(" <<{}", heredoc.name));
        }
    }
    format!("{line} {} # buildkit", words.destination)
}
