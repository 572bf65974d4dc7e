//! The reading of one text, character by character. Follows BuildKit's shell/lex.go.

use super::pattern::{replace, trim_prefix, trim_suffix};
use super::{DEEPEST, ExpandErrorKind, Expander, Expansion};

type Result<T> = std::result::Result<T, ExpandErrorKind>;

pub(super) struct Lexer<'x> {
    options: &'x Expander<'x>,
    rest: &'x str,
    raw_escapes: bool,
    depth: usize,
    /// Whether the inside of a substitution was read since this was looked at.
    was_inside: bool,
    expansion: Expansion,
}

/// Words as they are gathered.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    fn push(&mut self, character: char) {
        if !character.is_whitespace() {
            self.current.push(character);
        } else if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

impl<'x> Lexer<'x> {
    pub(super) fn new(options: &'x Expander<'x>, text: &'x str) -> Self {
        Lexer {
            options,
            // Go's scanner drops a byte order mark at the start.
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            raw_escapes: options.raw_escapes,
            depth: 0,
            was_inside: false,
            expansion: Expansion::default(),
        }
    }

    pub(super) fn run(mut self) -> Result<Expansion> {
        let raw_escapes = self.raw_escapes;
        let (text, words) = self.until(None, raw_escapes, false)?;
        Ok(Expansion { text, words, ..self.expansion })
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    /// Reads up to `stop`, or to the end. `pattern` says that the text is a pattern, in which what quotes protect must be escaped.
    fn until(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
        pattern: bool,
    ) -> Result<(String, Vec<String>)> {
        if self.depth == DEEPEST {
            return Err(ExpandErrorKind::TooDeep);
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let outcome = self.until_inner(stop, pattern);
        self.raw_escapes = outer;
        self.depth -= 1;
        self.was_inside = true;
        outcome
    }

    fn until_inner(&mut self, stop: Option<char>, pattern: bool) -> Result<(String, Vec<String>)> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(character) = self.peek() {
            if stop == Some(character) {
                self.next();
                return Ok((result, words.finish()));
            }
            let special = match character {
                '$' => {
                    let value = self.dollar()?;
                    self.forget(&mut words);
                    value.chars().for_each(|character| words.push(character));
                    result.push_str(&value);
                    continue;
                }
                '<' => Some(self.less_than()),
                '\'' if !self.options.skip_quotes => Some(self.single_quote(pattern)?),
                '"' if !self.options.skip_quotes => Some(self.double_quote(pattern)?),
                _ => None,
            };
            if let Some(text) = special {
                self.forget(&mut words);
                words.current.push_str(&text);
                result.push_str(&text);
                continue;
            }
            self.next();
            if character != self.options.escape {
                words.push(character);
                result.push(character);
                continue;
            }
            if self.raw_escapes {
                words.current.push(character);
                result.push(character);
            }
            let Some(escaped) = self.next() else { break };
            words.current.push(escaped);
            result.push(escaped);
        }
        match stop {
            None => Ok((result, words.finish())),
            Some('/') => Err(ExpandErrorKind::OpenReplacement),
            Some(_) => Err(ExpandErrorKind::OpenBrace),
        }
    }

    /// Upstream has one buffer for the words of all levels, so what stands before a substitution with a modifier in the same word
    /// is lost: `80${X:-81}` is split into the word `81`. Which lines open heredocs depends on it.
    fn forget(&mut self, words: &mut Words) {
        if std::mem::take(&mut self.was_inside) {
            words.current.clear();
        }
    }

    /// All between single quotes is as it is.
    fn single_quote(&mut self, pattern: bool) -> Result<String> {
        let mut result = String::new();
        self.next();
        if self.options.raw_quotes {
            result.push('\'');
        }
        loop {
            match self.next().ok_or(ExpandErrorKind::OpenQuote('\''))? {
                '\'' => break,
                character => {
                    if pattern && character == self.options.escape {
                        result.push(character);
                    }
                    result.push(character);
                }
            }
        }
        if self.options.raw_quotes {
            result.push('\'');
        }
        Ok(result)
    }

    /// Between double quotes a dollar sign keeps its meaning, and the escape character before `"`, `$` and itself.
    fn double_quote(&mut self, pattern: bool) -> Result<String> {
        let mut result = String::new();
        self.next();
        if self.options.raw_quotes {
            result.push('"');
        }
        loop {
            match self.peek().ok_or(ExpandErrorKind::OpenQuote('"'))? {
                '"' => break,
                '$' => result.push_str(&self.dollar()?),
                character if character == self.options.escape => {
                    self.next();
                    self.escape_in_quotes(pattern, &mut result)?;
                }
                character => {
                    self.next();
                    result.push(character);
                }
            }
        }
        self.next();
        if self.options.raw_quotes {
            result.push('"');
        }
        Ok(result)
    }

    /// What follows an escape character that was just read between double quotes.
    fn escape_in_quotes(&mut self, pattern: bool, result: &mut String) -> Result<()> {
        let escape = self.options.escape;
        match self.peek().ok_or(ExpandErrorKind::OpenQuote('"'))? {
            escaped if escaped == '"' || escaped == '$' || escaped == escape => {
                if self.raw_escapes {
                    result.push(escape);
                }
                self.next();
                result.push(escaped);
            }
            _ => {
                // A pattern needs its escapes doubled, even where quotes stay.
                if self.raw_escapes && (!self.options.raw_quotes || pattern) {
                    result.push(escape);
                }
                result.push(escape);
            }
        }
        Ok(())
    }

    /// `<<` keeps the blanks after it, so that `<< EOF` is one word.
    fn less_than(&mut self) -> String {
        self.next();
        let mut result = "<".to_owned();
        if self.peek() == Some('<') {
            self.next();
            result.push('<');
            while let Some(blank @ ('\t' | '\r' | ' ')) = self.peek() {
                self.next();
                result.push(blank);
            }
        }
        result
    }

    fn dollar(&mut self) -> Result<String> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.value(&name) {
                None if self.options.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.next();
        match self.peek() {
            None => return Err(ExpandErrorKind::OpenBrace),
            Some('{' | '}' | ':') => return Err(ExpandErrorKind::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(ExpandErrorKind::OpenBrace),
            Some('}') => Ok(match self.value(&name) {
                None if self.options.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => match self.next() {
                None => Err(ExpandErrorKind::OpenBrace),
                Some(modifier @ ('#' | '%')) => {
                    Err(ExpandErrorKind::UnsupportedModifier(format!(":{modifier}")))
                }
                Some(modifier) => self.modified(&name, modifier, true),
            },
            Some(modifier @ ('+' | '-' | '?' | '#' | '%')) => self.modified(&name, modifier, false),
            Some('/') => self.replaced(&name),
            Some(other) => Err(ExpandErrorKind::UnsupportedModifier(other.to_string())),
        }
    }

    /// The rest of `${name` and a modifier; `colon` says that it stands after a colon, so that empty counts as unset.
    fn modified(&mut self, name: &str, modifier: char, colon: bool) -> Result<String> {
        let is_pattern = matches!(modifier, '#' | '%');
        let (word, _) = self.until(Some('}'), is_pattern, is_pattern)?;
        let value = self.value(name);
        let sign = if colon { format!(":{modifier}") } else { modifier.to_string() };
        if self.options.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{sign}{word}}}"));
        }
        let present = value.as_ref().filter(|value| !colon || !value.is_empty());
        match modifier {
            '-' => Ok(present.cloned().unwrap_or(word)),
            '+' => Ok(present.map(|_| word).unwrap_or_default()),
            '?' => match present {
                Some(present) => Ok(present.clone()),
                None => {
                    let state = if value.is_none() { "unset" } else { "empty" };
                    let usual = format!("is not allowed to be {state}");
                    let message = if word.is_empty() { usual } else { word };
                    Err(ExpandErrorKind::Required { name: name.to_owned(), message })
                }
            },
            '#' | '%' => {
                let (pattern, longest) =
                    word.strip_prefix(modifier).map_or((&*word, false), |rest| (rest, true));
                let trim = if modifier == '#' { trim_prefix } else { trim_suffix };
                trim(pattern, &value.unwrap_or_default(), longest)
            }
            _ => Err(ExpandErrorKind::UnsupportedModifier(sign)),
        }
    }

    /// The rest of `${name/`.
    fn replaced(&mut self, name: &str) -> Result<String> {
        let every = self.peek() == Some('/');
        if every {
            self.next();
        }
        let (pattern, _) = self.until(Some('/'), true, true)?;
        let (replacement, _) = self.until(Some('}'), true, false)?;
        match self.value(name) {
            None if self.options.keep_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => replace(&pattern, &replacement, &value.unwrap_or_default(), every),
        }
    }

    /// Reads a name: letters, digits and `_`; or digits alone; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let length = match self.peek() {
            Some(first) if first.is_ascii_digit() => {
                self.rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(self.rest.len())
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => self
                .rest
                .find(|character: char| !character.is_alphanumeric() && character != '_')
                .unwrap_or(self.rest.len()),
        };
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        name.to_owned()
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.options.lookup)(name);
        let names = if value.is_some() { &mut self.expansion.used } else { &mut self.expansion.unset };
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
        value
    }
}
