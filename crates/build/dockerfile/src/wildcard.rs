//! Wildcards as Go's `filepath.Match` has them: `*`, `?`, `[a-z]`, `[^a-z]` and escapes. `COPY` and `ADD` match the names of their sources
//! so, one part of the path after the other.
//!
//! A pattern becomes a list of tokens, and matching keeps the set of places in it that the text so far may have led to. So a
//! match costs at most the product of both lengths, however hostile either is. The patterns of .dockerignore use the same tokens
//! and some more.

/// A pattern that is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern `{}`", crate::expand::shortened(.pattern))]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
}

impl PatternError {
    pub(crate) fn new(pattern: &str) -> Self {
        PatternError { pattern: pattern.to_owned() }
    }

    /// What would mend it.
    pub fn hint(&self) -> String {
        "close the bracket, or escape it with a backslash".to_owned()
    }
}

/// Whether `pattern` matches the whole of `name`.
///
/// Errors: the pattern is malformed, wherever in it, and whatever the name is.
pub fn matches(pattern: &str, name: &str) -> Result<bool, PatternError> {
    Ok(Tokens::new(tokens(pattern)?).matches(name))
}

/// Whether `pattern` has a character that is special in patterns, so that it must be matched against the names that are there.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', '\\'])
}

/// One thing that a pattern asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// This character.
    Literal(char),
    /// Any character but a slash.
    Any,
    /// Any number of characters but slashes.
    Star,
    /// A character that is (or is not) in one of the ranges.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// The start of [`Token::Folders`], which may also be left out. Stands directly before it.
    MaybeFolders,
    /// Anything that ends in a slash.
    Folders,
    /// Anything.
    Rest,
}

/// The tokens of a `filepath.Match` pattern.
pub(crate) fn tokens(pattern: &str) -> Result<Vec<Token>, PatternError> {
    let bad = || PatternError::new(pattern);
    let mut tokens = Vec::new();
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        tokens.push(match character {
            '*' if tokens.last() == Some(&Token::Star) => continue,
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => class(&mut rest).ok_or_else(bad)?,
            '\\' => Token::Literal(rest.next().ok_or_else(bad)?),
            other => Token::Literal(other),
        });
    }
    Ok(tokens)
}

/// Reads a class behind its bracket; `None` if it is malformed.
pub(crate) fn class(rest: &mut std::str::Chars<'_>) -> Option<Token> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Some(Token::Class { negated, ranges });
        }
        let low = class_character(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = class_character(rest)?;
        }
        ranges.push((low, high));
    }
}

fn class_character(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        other => Some(other),
    }
}

/// A pattern to match with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens {
    tokens: Vec<Token>,
    /// The literals at the end: most names that do not match are told by these alone.
    tail: String,
}

impl Tokens {
    pub(crate) fn new(tokens: Vec<Token>) -> Self {
        let literal = |token: &Token| match token {
            Token::Literal(character) => Some(*character),
            _ => None,
        };
        let reversed: Vec<char> = tokens.iter().rev().map_while(literal).collect();
        Tokens { tail: reversed.into_iter().rev().collect(), tokens }
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if !text.ends_with(&self.tail) {
            return false;
        }
        if self.tokens.len() < 64 {
            self.run::<u64>(text).has(self.tokens.len())
        } else {
            self.run::<Vec<bool>>(text).has(self.tokens.len())
        }
    }

    /// Whether a text that starts with `text` could match.
    pub(crate) fn may_go_on(&self, text: &str) -> bool {
        if self.tokens.len() < 64 {
            !self.run::<u64>(text).is_empty()
        } else {
            !self.run::<Vec<bool>>(text).is_empty()
        }
    }

    fn run<P: Places>(&self, text: &str) -> P {
        let mut places = P::none(self.tokens.len() + 1);
        self.enter(&mut places, 0);
        for character in text.chars() {
            let mut next = P::none(self.tokens.len() + 1);
            places.each(|place| self.step(place, character, &mut next));
            places = next;
            if places.is_empty() {
                break;
            }
        }
        places
    }

    /// Adds a place, and those that nothing more is needed for.
    fn enter<P: Places>(&self, places: &mut P, mut place: usize) {
        loop {
            places.add(place);
            match self.tokens.get(place) {
                Some(Token::Star | Token::Rest) => place += 1,
                Some(Token::MaybeFolders) => {
                    places.add(place + 1);
                    place += 2;
                }
                _ => return,
            }
        }
    }

    fn step<P: Places>(&self, place: usize, character: char, next: &mut P) {
        let Some(token) = self.tokens.get(place) else { return };
        match token {
            Token::Literal(literal) if *literal == character => self.enter(next, place + 1),
            Token::Any if character != '/' => self.enter(next, place + 1),
            Token::Star if character != '/' => self.enter(next, place),
            // The expressions that upstream makes of these take no line feed.
            Token::Rest if character != '\n' => self.enter(next, place),
            Token::Folders if character != '\n' => {
                next.add(place);
                if character == '/' {
                    self.enter(next, place + 1);
                }
            }
            Token::Class { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&character));
                if inside != *negated {
                    self.enter(next, place + 1);
                }
            }
            _ => {}
        }
    }
}

/// A set of places in a pattern.
trait Places {
    fn none(size: usize) -> Self;
    fn add(&mut self, place: usize);
    fn has(&self, place: usize) -> bool;
    fn is_empty(&self) -> bool;
    fn each(&self, visit: impl FnMut(usize));
}

impl Places for u64 {
    fn none(_: usize) -> Self {
        0
    }

    fn add(&mut self, place: usize) {
        *self |= 1 << place;
    }

    fn has(&self, place: usize) -> bool {
        self >> place & 1 == 1
    }

    fn is_empty(&self) -> bool {
        *self == 0
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        let mut left = *self;
        while left != 0 {
            visit(left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

impl Places for Vec<bool> {
    fn none(size: usize) -> Self {
        vec![false; size]
    }

    fn add(&mut self, place: usize) {
        self[place] = true;
    }

    fn has(&self, place: usize) -> bool {
        self[place]
    }

    fn is_empty(&self) -> bool {
        !self.contains(&true)
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        (0..self.len()).filter(|place| self[*place]).for_each(&mut visit);
    }
}
