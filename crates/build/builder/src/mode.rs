//! `--chmod`: octal digits, or the symbolic form of chmod(1).
//!
//! Differs from chmod(1) where BuildKit does, which follows setmode(3) of BSD: `=` takes set-user-id and set-group-id from whom it
//! names, folders included; the sticky bit is everybody's but the others'; `X` looks at the mode that a file had at first.

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// All bits are these.
    Bits(u32),
    /// Changes one after the other.
    Symbolic(Vec<Clause>),
}

/// One operator with what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// The bits of those who are named; none where nobody is.
    who: u32,
    operator: char,
    permissions: Vec<char>,
}

/// Set-user-id, set-group-id and the permissions of all three.
const ALL: u32 = 0o6777;

/// A mode that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no mode: write octal digits up to 7777, or a form such as u+x,go=rX")]
pub struct ModeError(pub String);

impl ModeChange {
    pub(crate) fn parse(text: &str) -> Result<ModeChange, ModeError> {
        let error = || ModeError(text.to_owned());
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let bits = u32::from_str_radix(text, 8).map_err(|_| error())?;
            return if bits <= 0o7777 { Ok(ModeChange::Bits(bits)) } else { Err(error()) };
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            clauses.extend(Clause::parse(part).ok_or_else(error)?);
        }
        Ok(ModeChange::Symbolic(clauses))
    }

    /// The bits that `mode` becomes.
    pub(crate) fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            ModeChange::Bits(bits) => *bits,
            ModeChange::Symbolic(clauses) => {
                let is_run = is_folder || mode & 0o111 != 0;
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_run))
            }
        }
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Vec<Clause>> {
        let start = text.find(['+', '-', '='])?;
        let mut who = 0;
        for letter in text[..start].chars() {
            who |= match letter {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o7,
                'a' => ALL,
                _ => return None,
            };
        }
        let mut clauses: Vec<Clause> = Vec::new();
        for letter in text[start..].chars() {
            match letter {
                '+' | '-' | '=' => clauses.push(Clause { who, operator: letter, permissions: Vec::new() }),
                'r' | 'w' | 'x' | 'X' | 's' | 't' | 'u' | 'g' | 'o' => {
                    clauses.last_mut()?.permissions.push(letter);
                }
                _ => return None,
            }
        }
        Some(clauses)
    }

    /// `is_run` says what `X` is to know: whether it is a folder, or was executable for anybody.
    fn apply(&self, mut mode: u32, is_run: bool) -> u32 {
        let mut change = Change { who: self.who, operator: self.operator, ..Change::default() };
        let mut is_set = false;
        for permission in &self.permissions {
            // Others have no bit of that kind.
            let is_special = change.who == 0 || change.who & !0o7 != 0;
            match permission {
                'r' => change.bits |= 0o444,
                'w' => change.bits |= 0o222,
                'x' => change.bits |= 0o111,
                'X' if self.operator == '-' => change.bits |= 0o111,
                'X' => change.if_run = true,
                's' if is_special => change.bits |= 0o6000,
                't' if is_special => {
                    change.who |= 0o1000;
                    change.bits |= 0o1000;
                }
                'u' | 'g' | 'o' => {
                    // What was collected comes first, since it may be what is copied.
                    mode = change.flush(mode, is_run, false);
                    is_set = true;
                    mode = change.copy(mode, *permission);
                }
                _ => {}
            }
        }
        change.flush(mode, is_run, !is_set)
    }
}

/// Bits that are collected until they are put into a mode.
#[derive(Debug, Default)]
struct Change {
    who: u32,
    operator: char,
    bits: u32,
    if_run: bool,
}

impl Change {
    /// Puts the collected bits into a mode. Without any, `=` clears where `clears` says so.
    fn flush(&mut self, mut mode: u32, is_run: bool, clears: bool) -> u32 {
        let mask = if self.who == 0 { ALL } else { self.who };
        let (bits, if_run) = (std::mem::take(&mut self.bits), std::mem::take(&mut self.if_run));
        match self.operator {
            '+' => mode |= bits & mask,
            '-' => mode &= !(bits & mask),
            _ if bits != 0 || clears => mode = (mode & !mask) | (bits & mask),
            _ => {}
        }
        if if_run && is_run { mode | (0o111 & mask) } else { mode }
    }

    /// Gives everybody who is named the permissions of one of the three.
    fn copy(&self, mode: u32, from: char) -> u32 {
        let shift = match from {
            'u' => 6,
            'g' => 3,
            _ => 0,
        };
        let three = (mode >> shift) & 7;
        let mask = if self.who == 0 { 0o777 } else { self.who & 0o777 };
        let copied = (three << 6 | three << 3 | three) & mask;
        match self.operator {
            '+' => mode | copied,
            '-' => mode & !copied,
            _ => (mode & !mask) | copied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_changed_as_chmod_changes_them() {
        for (text, mode, is_folder, expected) in [
            ("755", 0o600, false, 0o755),
            ("04755", 0o600, false, 0o4755),
            ("0", 0o600, false, 0),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o777, false, 0o700),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("a=r", 0o777, false, 0o444),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, false, 0o2755),
            ("+t", 0o777, true, 0o1777),
            ("g=u", 0o740, false, 0o770),
            ("u+r-w", 0o200, false, 0o400),
            ("o=", 0o777, false, 0o770),
            ("g+w,u=g", 0o4750, false, 0o4770),
        ] {
            assert_eq!(ModeChange::parse(text).unwrap().apply(mode, is_folder), expected, "{text}");
        }
    }

    #[test]
    fn special_bits_are_as_buildkit_has_them() {
        for (text, mode, is_folder, expected) in [
            ("u=rwX,go=r", 0o4755, false, 0o744),
            ("g=r", 0o3775, true, 0o1745),
            ("o+t", 0o777, true, 0o777),
            ("u+t", 0o755, false, 0o1755),
            ("=t", 0o2755, false, 0o3755),
            ("a=rt", 0o6711, false, 0o1444),
            ("u=s", 0o2755, false, 0o6055),
            ("a-x,a+X", 0o755, false, 0o755),
        ] {
            assert_eq!(ModeChange::parse(text).unwrap().apply(mode, is_folder), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for bad in ["", "8", "17777", "u", "u+q", "z+x", "0x1", "u+x,", "755x"] {
            assert!(ModeChange::parse(bad).is_err(), "{bad}");
        }
    }
}
