//! JSON as Go's `encoding/json` reads it, as far as Dockerfiles need it.
//!
//! Own, since what is valid decides between exec form and shell form: Go replaces lone surrogates by U+FFFD where serde_json
//! refuses them. Values other than strings and what holds them are checked but not kept. Nesting is counted, not recursed into.

use std::ops::Range;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Json {
    /// A string.
    String(String),
    /// An array of its elements; those of arrays within are not kept.
    Array(Vec<Json>),
    /// Names and values of an object, and where the values stand.
    Object(Vec<(String, Json, Range<usize>)>),
    /// Anything else, and whatever is nested deeper.
    Other,
}

/// Go's limit.
const DEEPEST: usize = 10_000;

/// What the reader is in, from the outside in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Array,
    Object,
}

struct Reader<'t> {
    text: &'t str,
    position: usize,
}

impl Json {
    /// Reads `text` as one value with nothing but blanks around it; `None` if it is not valid.
    pub(crate) fn read(text: &str) -> Option<Json> {
        let mut reader = Reader { text, position: 0 };
        reader.blanks();
        let value = match reader.peek()? {
            b'[' => Json::Array(reader.array()?),
            b'{' => Json::Object(reader.object()?),
            _ => reader.scalar()?,
        };
        reader.blanks();
        (reader.position == text.len()).then_some(value)
    }
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        (self.peek()? == byte).then(|| self.position += 1)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn array(&mut self) -> Option<Vec<Json>> {
        let mut elements = Vec::new();
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(elements);
        }
        loop {
            elements.push(self.element()?);
            if self.take(b']').is_some() {
                return Some(elements);
            }
            self.take(b',')?;
        }
    }

    fn object(&mut self) -> Option<Vec<(String, Json, Range<usize>)>> {
        let mut fields = Vec::new();
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(fields);
        }
        loop {
            self.blanks();
            let name = self.string()?;
            self.take(b':')?;
            self.blanks();
            let start = self.position;
            let value = self.element()?;
            fields.push((name, value, start..self.position));
            if self.take(b'}').is_some() {
                return Some(fields);
            }
            self.take(b',')?;
        }
    }

    fn element(&mut self) -> Option<Json> {
        self.blanks();
        match self.peek()? {
            b'[' | b'{' => self.nested(),
            _ => self.scalar(),
        }
    }

    /// Reads arrays and objects without keeping anything.
    fn nested(&mut self) -> Option<Json> {
        let mut levels: Vec<Level> = Vec::new();
        loop {
            self.blanks();
            let opened = match self.peek()? {
                b'[' => Some((Level::Array, b']')),
                b'{' => Some((Level::Object, b'}')),
                _ => None,
            };
            if let Some((level, end)) = opened {
                self.position += 1;
                if levels.len() == DEEPEST {
                    return None;
                }
                if self.take(end).is_none() {
                    levels.push(level);
                    self.name(level)?;
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // A value has ended: what holds it goes on, or ends too.
            loop {
                let Some(level) = levels.last().copied() else { return Some(Json::Other) };
                if self.take(b',').is_some() {
                    self.name(level)?;
                    break;
                }
                self.take(if level == Level::Array { b']' } else { b'}' })?;
                levels.pop();
            }
        }
    }

    fn name(&mut self, level: Level) -> Option<()> {
        if level == Level::Object {
            self.blanks();
            self.string()?;
            self.take(b':')?;
        }
        Some(())
    }

    fn scalar(&mut self) -> Option<Json> {
        match self.peek()? {
            b'"' => self.string().map(Json::String),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let word = ["true", "false", "null"]
                    .into_iter()
                    .find(|word| self.text.as_bytes()[self.position..].starts_with(word.as_bytes()))?;
                self.position += word.len();
                Some(Json::Other)
            }
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.position;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        (self.position > start).then_some(())
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.position;
        if self.peek() == Some(b'-') {
            self.position += 1;
        }
        if self.peek() == Some(b'0') {
            self.position += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        // Go reads numbers as float64, and refuses what does not fit.
        let value: f64 = self.text[start..self.position].parse().ok()?;
        value.is_finite().then_some(Json::Other)
    }

    fn string(&mut self) -> Option<String> {
        if self.peek()? != b'"' {
            return None;
        }
        self.position += 1;
        let mut value = String::new();
        loop {
            let rest = &self.text[self.position..];
            let plain = rest.find(|character: char| matches!(character, '"' | '\\' | '\0'..='\x1f'))?;
            value.push_str(&rest[..plain]);
            self.position += plain + 1;
            match rest.as_bytes()[plain] {
                b'"' => return Some(value),
                b'\\' => value.push(self.escaped()?),
                _ => return None,
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        let escape = self.peek()?;
        self.position += 1;
        Some(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                if let Some(character) = char::from_u32(unit) {
                    return Some(character);
                }
                let after_first = self.position;
                if (0xd800..0xdc00).contains(&unit) && self.text[self.position..].starts_with("\\u") {
                    self.position += 2;
                    let low = self.unit()?;
                    if (0xdc00..0xe000).contains(&low) {
                        return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                    }
                    self.position = after_first;
                }
                char::REPLACEMENT_CHARACTER
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.position..self.position + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.position += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
