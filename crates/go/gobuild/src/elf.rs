//! What a program is, read from the program: its ELF decides what its image must hold, not the flags that it was built with.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use longshore_config::BuildMode;
use longshore_oci::Platform;
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, ReadCache, ReadRef};

/// Facts about a program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Elf {
    /// Size of the file in bytes.
    pub(crate) size: u64,
    /// `e_machine`.
    machine: u16,
    /// The loader that it asks for.
    pub(crate) interpreter: Option<String>,
    /// The libraries that it asks for.
    pub(crate) needed: Vec<String>,
    /// Whether it may be placed anywhere.
    pub(crate) is_pie: bool,
    /// Whether it holds code of crypto/x509.
    pub(crate) links_x509: bool,
    /// Whether it holds `time.LoadLocation`.
    pub(crate) loads_locations: bool,
    /// Whether it holds the time zone database itself.
    pub(crate) embeds_tzdata: bool,
}

/// A program that is not what was asked for, or does not fit its base.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// The file cannot be read.
    #[error("cannot read the program at {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no ELF, or a damaged one.
    #[error("the program at {} is not a valid ELF file", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: object::Error,
    },
    /// The program is for another machine.
    #[error("the program built for {platform} is for another machine (ELF machine {machine})")]
    Machine {
        /// The platform.
        platform: String,
        /// `e_machine` of the program.
        machine: u16,
    },
    /// The linker did not do what `build-mode` says.
    #[error("the program was to be position-independent and is not")]
    NotPie,
    /// The base lacks the loader.
    #[error("the program asks for the loader {loader}, and {base} does not have it")]
    NoLoader {
        /// Path of the loader.
        loader: String,
        /// The base.
        base: String,
    },
    /// The base lacks a library.
    #[error("the program asks for the library {library}, and {base} does not have it")]
    NoLibrary {
        /// Name of the library.
        library: String,
        /// The base.
        base: String,
    },
}

impl ElfError {
    /// Advice on what to do.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            ElfError::NoLoader { loader, .. } if loader.contains("musl") => {
                "name a base with musl, such as alpine, with `base`; or link statically"
            }
            ElfError::NoLoader { .. } => {
                "name a base with glibc, such as debian or gcr.io/distroless/base, with `base`; or build without cgo, race and pie"
            }
            ElfError::NoLibrary { .. } => {
                "name a base that has the library with `base`, or link it statically"
            }
            ElfError::Machine { .. } => "check CC in `go-env`: it must compile for the platform",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl Elf {
    /// Reads a program. Errors: it cannot be read, or is no valid ELF.
    pub(crate) fn read(path: &Path) -> Result<Elf, ElfError> {
        let unreadable = |source| ElfError::Read { path: path.to_owned(), source };
        let malformed = |source| ElfError::Malformed { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let mut class = [0; 5];
        file.read_exact(&mut class).map_err(unreadable)?;
        let cache = ReadCache::new(file.try_clone().map_err(unreadable)?);
        let (mut elf, names) = if class[4] == elf::ELFCLASS32.0 {
            parse::<elf::FileHeader32<Endianness>, _>(&cache).map_err(malformed)?
        } else {
            parse::<elf::FileHeader64<Endianness>, _>(&cache).map_err(malformed)?
        };
        elf.size = size;
        let (start, length) = names.unwrap_or((0, size));
        elf.find_functions(&mut file, start, length.min(size.saturating_sub(start))).map_err(unreadable)?;
        Ok(elf)
    }

    /// Whether the program needs nothing but a kernel.
    pub(crate) fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }

    /// Whether the program is for `platform`, and what `mode` says. Errors: it is not.
    pub(crate) fn check(&self, platform: &Platform, mode: BuildMode) -> Result<(), ElfError> {
        if machine_of(&platform.architecture).is_some_and(|machine| machine != self.machine) {
            return Err(ElfError::Machine { platform: platform.to_string(), machine: self.machine });
        }
        if mode == BuildMode::Pie && !self.is_pie {
            return Err(ElfError::NotPie);
        }
        Ok(())
    }

    /// Looks for functions by name in Go's table of functions, which stripping leaves in place.
    fn find_functions(&mut self, file: &mut File, start: u64, length: u64) -> std::io::Result<()> {
        const CHUNK: usize = 256 * 1024;
        const X509: &[u8] = b"\0crypto/x509.";
        const LOCATION: &[u8] = b"\0time.LoadLocation\0";
        const TZDATA: &[u8] = b"\0time/tzdata.";
        file.seek(SeekFrom::Start(start))?;
        let mut reader = file.take(length);
        let mut window: Vec<u8> = Vec::with_capacity(CHUNK + 64);
        loop {
            // The end of the last chunk stays: a name may lie across the border.
            let kept = window.len().min(LOCATION.len());
            window.drain(..window.len() - kept);
            let before = window.len();
            (&mut reader).take(CHUNK as u64).read_to_end(&mut window)?;
            self.links_x509 |= contains(&window, X509);
            self.loads_locations |= contains(&window, LOCATION);
            self.embeds_tzdata |= contains(&window, TZDATA);
            if window.len() == before {
                return Ok(());
            }
        }
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

fn machine_of(architecture: &str) -> Option<u16> {
    Some(match architecture {
        "amd64" => elf::EM_X86_64.0,
        "386" => elf::EM_386.0,
        "arm64" => elf::EM_AARCH64.0,
        "arm" => elf::EM_ARM.0,
        "ppc64" | "ppc64le" => elf::EM_PPC64.0,
        "s390x" => elf::EM_S390.0,
        "riscv64" => elf::EM_RISCV.0,
        "loong64" => elf::EM_LOONGARCH.0,
        "mips" | "mipsle" | "mips64" | "mips64le" => elf::EM_MIPS.0,
        _ => return None,
    })
}

/// The facts of the headers, and where Go's table of function names lies.
fn parse<'data, Header, Data>(data: Data) -> object::Result<(Elf, Option<(u64, u64)>)>
where
    Header: FileHeader<Endian = Endianness>,
    Data: ReadRef<'data>,
{
    let header = Header::parse(data)?;
    let endian = header.endian()?;
    let mut elf = Elf { machine: header.e_machine(endian).0, ..Elf::default() };
    let segments = header.program_headers(endian, data)?;
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, data)? {
            elf.interpreter = Some(String::from_utf8_lossy(interpreter).into_owned());
        }
        if let Some(entries) = segment.dynamic(endian, data)? {
            elf.is_pie = header.e_type(endian) == elf::ET_DYN;
            elf.needed = needed::<Header, Data>(endian, data, segments, entries);
        }
    }
    let sections = header.sections(endian, data)?;
    let mut names = None;
    for section in sections.iter() {
        if sections.section_name(endian, section).is_ok_and(|name| name.ends_with(b"gopclntab")) {
            names = section.file_range(endian);
        }
    }
    Ok((elf, names))
}

fn needed<'data, Header, Data>(
    endian: Endianness,
    data: Data,
    segments: &[Header::ProgramHeader],
    entries: &[Header::Dyn],
) -> Vec<String>
where
    Header: FileHeader<Endian = Endianness>,
    Data: ReadRef<'data>,
{
    let value = |tag| {
        let entry = entries.iter().find(|entry| entry.d_tag(endian) == tag)?;
        Some(entry.d_val(endian).into())
    };
    let Some(strings) = value(elf::DT_STRTAB) else { return Vec::new() };
    let string = |offset: u64| {
        let address = strings.checked_add(offset)?;
        let position =
            segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
                let start: u64 = segment.p_vaddr(endian).into();
                let length: u64 = segment.p_filesz(endian).into();
                let within = address.checked_sub(start).filter(|within| *within < length)?;
                let offset: u64 = segment.p_offset(endian).into();
                offset.checked_add(within)
            })?;
        let bytes = data.read_bytes_at_until(position..position.saturating_add(4096), 0).ok()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let libraries = entries.iter().filter(|entry| entry.d_tag(endian) == elf::DT_NEEDED);
    libraries.filter_map(|entry| string(entry.d_val(endian).into())).collect()
}
