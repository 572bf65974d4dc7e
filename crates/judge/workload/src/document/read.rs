//! Bytes to trees. A document that does not parse is told, and the next one is read.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use super::{Entry, Node, Problem, Scalar, Span, Value};

/// Nodes that a document may come to with its aliases written out.
const MOST_NODES: u32 = 1_000_000;
/// Bytes of a file.
const MOST_BYTES: usize = 16 << 20;
/// Collections within collections.
const DEEPEST: usize = 100;

/// What stands in a file.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    /// Its documents; of those that did not parse, nothing.
    pub documents: Vec<Arc<Node>>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// Reads a file, which is `source` in spans.
pub fn read(source: u32, bytes: &[u8]) -> Documents {
    let whole = |message: String| Documents {
        documents: Vec::new(),
        problems: vec![Problem::new(Span { source, start: 0, end: 0 }, message)],
    };
    if bytes.len() > MOST_BYTES {
        return whole(format!("the file has {} bytes, and at most {MOST_BYTES} are read", bytes.len()));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = u32::try_from(error.valid_up_to()).unwrap_or_default();
            let span = Span { source, start: at, end: at + 1 };
            let problem = Problem::new(span, "the file is no UTF-8").hinted("save it as UTF-8");
            return Documents { documents: Vec::new(), problems: vec![problem] };
        }
    };
    let mark = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut reader = Reader { source, offset: mark, text: &text[mark..], found: Documents::default() };
    reader.read();
    reader.found
}

struct Reader<'t> {
    source: u32,
    /// Bytes before the text.
    offset: usize,
    text: &'t str,
    found: Documents,
}

/// A collection that is not complete.
struct Frame {
    node: Node,
    anchor: usize,
    /// The key whose value is awaited.
    key: Option<(Scalar, Span)>,
    /// What `<<` names.
    merged: Vec<Arc<Node>>,
}

/// What is known while a document is read.
#[derive(Default)]
struct Tree {
    frames: Vec<Frame>,
    anchors: HashMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
    weight: u32,
    is_broken: bool,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.flow_nesting_limit = DEEPEST;
        options.block_nesting_limit = DEEPEST;
        let mut parser = Parser::new_from_str_with_options(self.text, options);
        let mut tree = Tree::default();
        while let Some(next) = parser.next_event() {
            match next {
                Ok((event, span)) => {
                    let span = self.span(&span);
                    self.take(event, span, &mut tree);
                }
                Err(error) => {
                    let at = error.marker().byte_offset().unwrap_or_default();
                    let span = self.range(at, at);
                    self.problem(Problem::new(span, format!("this is no YAML: {}", error.info())));
                    tree = Tree::default();
                    // What cannot be gone on from was told by the error itself.
                    if !parser.proceed_next_document().unwrap_or(false) {
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span, tree: &mut Tree) {
        match event {
            Event::DocumentStart(..) => *tree = Tree::default(),
            Event::DocumentEnd => {
                if let (Some(root), false) = (tree.root.take(), tree.is_broken) {
                    self.found.documents.push(root);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let (tag, plain) = tagged(tag.as_deref(), style == ScalarStyle::Plain);
                let node = Node {
                    span,
                    tag,
                    value: Value::Scalar(Scalar { text: text.into_owned(), plain }),
                    weight: 1,
                };
                self.place(node, anchor, tree);
            }
            Event::SequenceStart(_, anchor, tag) => {
                let value = Value::Sequence(Vec::new());
                tree.open(Node { span, tag: tagged(tag.as_deref(), true).0, value, weight: 1 }, anchor);
            }
            Event::MappingStart(_, anchor, tag) => {
                let value = Value::Mapping(Vec::new());
                tree.open(Node { span, tag: tagged(tag.as_deref(), true).0, value, weight: 1 }, anchor);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(frame) = tree.frames.pop() {
                    let anchor = frame.anchor;
                    let node = self.close(frame, span);
                    self.place(node, anchor, tree);
                }
            }
            Event::Alias(anchor) => match tree.anchors.get(&anchor).cloned() {
                Some(node) => self.put(node, span, tree),
                None => {
                    self.problem(Problem::new(span, "the alias stands within what it names"));
                    tree.is_broken = true;
                    self.put(Arc::new(Node::text("", span)), span, tree);
                }
            },
            _ => {}
        }
    }

    fn place(&mut self, node: Node, anchor: usize, tree: &mut Tree) {
        let span = node.span;
        let node = Arc::new(node);
        if anchor != 0 {
            tree.anchors.insert(anchor, Arc::clone(&node));
        }
        self.put(node, span, tree);
    }

    /// Puts a complete node where one is awaited.
    fn put(&mut self, node: Arc<Node>, span: Span, tree: &mut Tree) {
        if tree.is_broken {
            return;
        }
        // What a collection holds was counted when it was put there.
        let counted = if node.span == span { 1 } else { node.weight };
        tree.weight = tree.weight.saturating_add(counted);
        if tree.weight > MOST_NODES {
            let message = format!("with its aliases written out, the document has over {MOST_NODES} values");
            self.problem(Problem::new(span, message));
            tree.is_broken = true;
            return;
        }
        let Some(frame) = tree.frames.last_mut() else {
            tree.root = Some(node);
            return;
        };
        let key = match &mut frame.node.value {
            Value::Sequence(items) => return items.push(node),
            Value::Scalar(_) => return,
            Value::Mapping(_) => frame.key.take(),
        };
        match (key, node.scalar()) {
            (None, Some(scalar)) => frame.key = Some((scalar.clone(), span)),
            (None, None) => {
                self.found.problems.push(Problem::new(span, "a key must be a single value"));
                frame.key = Some((Scalar { text: String::new(), plain: false }, span));
            }
            (Some((key, _)), _) if key.plain && key.text == "<<" => frame.merged.push(node),
            (Some((key, key_span)), _) => {
                if let Value::Mapping(entries) = &mut frame.node.value {
                    entries.push(Entry { key: key.text, key_plain: key.plain, key_span, value: node });
                }
            }
        }
    }

    /// Completes a collection: its end, its keys once each, and what it takes over from others.
    fn close(&mut self, frame: Frame, end: Span) -> Node {
        let mut node = frame.node;
        // The end of a block has no bytes of its own, and lies where the next thing begins.
        let is_flow = end.end > end.start;
        let last = match &node.value {
            Value::Mapping(entries) => entries.last().map(|entry| (entry.key_span.end, entry.value.span)),
            Value::Sequence(items) => items.last().map(|item| (node.span.start, item.span)),
            Value::Scalar(_) => None,
        };
        node.span.end = match last {
            _ if is_flow => end.end,
            // What an alias stands for is elsewhere.
            Some((key, value)) => {
                if value.start >= key {
                    value.end
                } else {
                    key
                }
            }
            None => node.span.end,
        };
        if let Value::Mapping(entries) = &mut node.value {
            let mut seen = HashSet::new();
            let mut problems = Vec::new();
            entries.retain(|entry| {
                let is_new = seen.insert(entry.key.clone());
                if !is_new {
                    problems
                        .push(Problem::new(entry.key_span, format!("the key `{}` stands twice", entry.key)));
                }
                is_new
            });
            for source in frame.merged.iter().flat_map(mappings) {
                match &source.value {
                    Value::Mapping(others) => {
                        entries.extend(others.iter().filter(|entry| seen.insert(entry.key.clone())).cloned());
                    }
                    _ => problems.push(Problem::new(source.span, "`<<` takes mappings")),
                }
            }
            self.found.problems.extend(problems);
        }
        node.weigh();
        node
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let start = span.start.byte_offset().unwrap_or_default();
        self.range(start, span.end.byte_offset().unwrap_or(start))
    }

    fn range(&self, start: usize, end: usize) -> Span {
        let at = |offset: usize| u32::try_from(offset + self.offset).unwrap_or(u32::MAX);
        Span { source: self.source, start: at(start), end: at(end.max(start)) }
    }

    fn problem(&mut self, problem: Problem) {
        self.found.problems.push(problem);
    }
}

impl Tree {
    fn open(&mut self, node: Node, anchor: usize) {
        self.frames.push(Frame { node, anchor, key: None, merged: Vec::new() });
    }
}

/// The mappings that `<<` names: one, or a list of them.
fn mappings(node: &Arc<Node>) -> Vec<Arc<Node>> {
    match &node.value {
        Value::Sequence(items) => items.clone(),
        _ => vec![Arc::clone(node)],
    }
}

/// The tag if it is an application's, and whether a scalar is still to be looked at for what it is.
fn tagged(tag: Option<&Tag>, plain: bool) -> (Option<String>, bool) {
    match tag {
        None => (None, plain),
        Some(tag) => match tag.core_suffix() {
            Some("str" | "binary") => (None, false),
            Some(_) => (None, true),
            None => (Some(tag.original()), plain),
        },
    }
}
