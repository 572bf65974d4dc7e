//! `--chmod`: octal digits, or the symbolic form of chmod(1).

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModeChange {
    /// All bits are these.
    Bits(u32),
    /// Changes one after the other.
    Symbolic(Vec<Clause>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clause {
    /// Whose bits: user 4, group 2, others 1.
    who: u32,
    operator: char,
    permissions: Vec<char>,
}

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
                clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_folder))
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
                'u' => 4,
                'g' => 2,
                'o' => 1,
                'a' => 7,
                _ => return None,
            };
        }
        if who == 0 {
            who = 7;
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

    fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        let mut bits = 0;
        for permission in &self.permissions {
            let three = match permission {
                'r' => 4,
                'w' => 2,
                'x' => 1,
                'X' => u32::from(is_folder || mode & 0o111 != 0),
                'u' => (mode >> 6) & 7,
                'g' => (mode >> 3) & 7,
                'o' => mode & 7,
                's' => {
                    bits |= ((self.who & 4) << 9) | ((self.who & 2) << 9);
                    continue;
                }
                _ => {
                    bits |= (self.who & 1) << 9;
                    continue;
                }
            };
            bits |= spread(self.who, three);
        }
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => (mode & !spread(self.who, 7)) | bits,
        }
    }
}

/// Three bits at each of the places that `who` names.
fn spread(who: u32, three: u32) -> u32 {
    let at = |bit: u32, shift: u32| if who & bit != 0 { three << shift } else { 0 };
    at(4, 6) | at(2, 3) | at(1, 0)
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
            ("o+t", 0o777, true, 0o1777),
            ("g=u", 0o740, false, 0o770),
            ("u+r-w", 0o200, false, 0o400),
        ] {
            assert_eq!(ModeChange::parse(text).unwrap().apply(mode, is_folder), expected, "{text}");
        }
        for bad in ["", "8", "17777", "u", "u+q", "z+x", "0x1", "u+x,", "755x"] {
            assert!(ModeChange::parse(bad).is_err(), "{bad}");
        }
    }
}
