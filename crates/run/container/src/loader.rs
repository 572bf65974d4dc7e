//! Why a program that is there cannot be started: what it needs and the image lacks.

use std::path::{Path, PathBuf};

use longshore_snapshot::View;

/// Most bytes of a program that are read: its headers stand at the beginning.
const HEAD: u64 = 1 << 20;
/// `PT_INTERP` of ELF.
const INTERPRETER: u32 = 3;

/// What is known of why `program` could not be started: a sentence, and what to do.
pub(crate) fn explain(
    view: &View,
    program: &str,
    path: &str,
    folder: &str,
) -> Option<(String, Option<String>)> {
    let Some(file) = find(view, program, path, folder) else {
        return Some((
            format!("the image has no {program}{}", if program.contains('/') { "" } else { " in its PATH" }),
            near(view, program),
        ));
    };
    let head = head(view, &file)?;
    let needed =
        if head.starts_with(b"\x7fELF") { elf_interpreter(&head)? } else { script_interpreter(&head)? };
    let is_there = view.resolve(Path::new(&needed)).ok().and_then(|path| view.lookup(&path).ok()?).is_some();
    if is_there {
        return None;
    }
    let hint = if head.starts_with(b"\x7fELF") {
        "build it with CGO_ENABLED=0 and without -buildmode=pie, or take a base that has this loader \
         (musl's is in Alpine, glibc's in Debian and in distroless/base)"
    } else {
        "take a base that has it, or start a program that needs none"
    };
    let kind = if head.starts_with(b"\x7fELF") { "loader" } else { "interpreter" };
    let file = Path::new("/").join(file);
    Some((
        format!("{} needs the {kind} {needed}, which the image lacks", file.display()),
        Some(hint.to_owned()),
    ))
}

fn find(view: &View, program: &str, path: &str, folder: &str) -> Option<PathBuf> {
    let is_file = |path: &Path| {
        let resolved = view.resolve(path).ok()?;
        let node = view.lookup(&resolved).ok()??;
        (!node.is_folder()).then_some(resolved)
    };
    if program.contains('/') {
        return is_file(&Path::new(folder).join(program));
    }
    path.split(':').find_map(|entry| is_file(&Path::new(folder).join(entry).join(program)))
}

/// A program of the same name elsewhere.
fn near(view: &View, program: &str) -> Option<String> {
    let name = Path::new(program).file_name()?;
    let folders = ["/", "/app", "/bin", "/usr/bin", "/usr/local/bin", "/usr/sbin", "/sbin", "/ko-app"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| {
        view.resolve(path)
            .ok()
            .and_then(|path| view.lookup(&path).ok()?)
            .is_some_and(|node| !node.is_folder())
    })?;
    Some(format!("there is {}", found.display()))
}

fn head(view: &View, file: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    view.open(file).ok()?.take(HEAD).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The loader that an ELF file asks for (System V ABI, "Program Header"), 64-bit and little-endian as all of ours are.
fn elf_interpreter(bytes: &[u8]) -> Option<String> {
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let mut number = [0; 8];
        number[..length].copy_from_slice(bytes);
        usize::try_from(u64::from_le_bytes(number)).ok()
    };
    let (offset, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    (0..count).find_map(|index| {
        let header = offset.checked_add(size.checked_mul(index)?)?;
        if number(header, 4)? != INTERPRETER as usize {
            return None;
        }
        let (at, length) = (number(header.checked_add(8)?, 8)?, number(header.checked_add(32)?, 8)?);
        let name = bytes.get(at..at.checked_add(length)?)?;
        let name = name.split(|byte| *byte == 0).next()?;
        String::from_utf8(name.to_vec()).ok()
    })
}

fn script_interpreter(bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
    Some(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_read_and_nonsense_is_none() {
        let mut elf = vec![0; 200];
        elf[..4].copy_from_slice(b"\x7fELF");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        elf[64] = 3;
        elf[72] = 150;
        elf[96] = 26;
        elf[150..176].copy_from_slice(b"/lib/ld-musl-x86_64.so.1\0\0");
        assert_eq!(elf_interpreter(&elf).as_deref(), Some("/lib/ld-musl-x86_64.so.1"));
        elf[72] = 255;
        assert_eq!(elf_interpreter(&elf), None);
        assert_eq!(elf_interpreter(b"\x7fELF"), None);
        assert_eq!(script_interpreter(b"#! /bin/sh -e\nexit\n").as_deref(), Some("/bin/sh"));
        assert_eq!(script_interpreter(b"exit"), None);
    }
}
