//! What of a Go file decides which files a program is made of.
//!
//! `go list` reads a file up to the end of its imports, and its `//go:embed` lines. A change below leaves the list of files as it
//! was, so that after a usual edit only the compiler has work to do.

/// Hash of everything before the first declaration that is no import, and of all lines that could embed files.
pub(crate) fn hash(source: &[u8]) -> [u8; 32] {
    let end = end_of_header(source);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&source[..end]);
    let rest = &source[end..];
    if memchr::memmem::find(rest, b"go:embed").is_some() {
        for line in rest.split(|byte| *byte == b'\n') {
            if memchr::memmem::find(line, b"go:embed").is_some() {
                hasher.update(line);
                hasher.update(b"\n");
            }
        }
    }
    *hasher.finalize().as_bytes()
}

/// The offset of the first `func`, `type`, `var` or `const` outside comments and strings; the end where there is none.
fn end_of_header(source: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = source.get(at) {
        let rest = &source[at..];
        at = match byte {
            b'/' if rest.starts_with(b"//") => at + memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'/' if rest.starts_with(b"/*") => {
                at + memchr::memmem::find(&rest[2..], b"*/").map_or(rest.len(), |end| end + 4)
            }
            b'`' => at + memchr::memchr(b'`', &rest[1..]).map_or(rest.len(), |end| end + 2),
            b'"' => at + end_of_string(rest),
            _ if is_letter(byte) => {
                let length = rest.iter().position(|byte| !is_letter(*byte)).unwrap_or(rest.len());
                if matches!(&rest[..length], b"func" | b"type" | b"var" | b"const") {
                    return at;
                }
                at + length
            }
            _ => at + 1,
        };
    }
    source.len()
}

fn end_of_string(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' | b'\n' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_at_the_first_declaration() {
        let cases = [
            "package a\n\nimport \"x\"\n\n|func f() {}\n",
            "/* func */ package a\n// type\nimport (\n\t. `var`\n\t\"const\\\"func\"\n)\n|const x = 1",
            "package function\n|var(\n)",
            "package a\n/*\nconst char *x;\n*/\nimport \"C\"\n|type T int",
            "package a|",
            "package a /* open|",
            "|type",
            "\"open|",
            "|",
        ];
        for case in cases {
            let end = case.find('|').unwrap();
            let source = case.replace('|', "");
            assert_eq!(end_of_header(source.as_bytes()), end, "{case}");
        }
    }

    #[test]
    fn bodies_do_not_matter_and_embeds_do() {
        let source = |body: &str| hash(format!("package a\n\nfunc f() {{ {body} }}\n").as_bytes());
        assert_eq!(source("1"), source("2"));
        assert_ne!(source("1"), source("}\n//go:embed x\nvar x string\nfunc g() {"));
    }
}
