//! Programs of other kinds of machines, which the kernel runs by an emulator that is registered with it.
//!
//! Registrations stand in /proc/sys/fs/binfmt_misc (admin-guide/binfmt-misc). One with flag F holds its emulator open, so that every root
//! folder can do without it; any other is looked for in the image. Machines are told by their number in the ELF header (elf(5)).

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where the kernel shows registrations.
const REGISTRATIONS: &str = "/proc/sys/fs/binfmt_misc";

/// A kind of machine: its number in ELF headers, whether its numbers begin with their high end, its platform, and its name in QEMU's.
struct Machine {
    number: u16,
    big: bool,
    platform: &'static str,
    emulator: &'static str,
}

const MACHINES: [Machine; 8] = [
    Machine { number: 3, big: false, platform: "linux/386", emulator: "qemu-i386" },
    Machine { number: 8, big: false, platform: "linux/mips64le", emulator: "qemu-mips64el" },
    Machine { number: 21, big: false, platform: "linux/ppc64le", emulator: "qemu-ppc64le" },
    Machine { number: 22, big: true, platform: "linux/s390x", emulator: "qemu-s390x" },
    Machine { number: 40, big: false, platform: "linux/arm", emulator: "qemu-arm" },
    Machine { number: 62, big: false, platform: "linux/amd64", emulator: "qemu-x86_64" },
    Machine { number: 183, big: false, platform: "linux/arm64", emulator: "qemu-aarch64" },
    Machine { number: 243, big: false, platform: "linux/riscv64", emulator: "qemu-riscv64" },
];

/// Bytes of an ELF header up to the machine's number.
const HEADER: usize = 20;

/// Machine's number in the ELF headers of programs that run here without help.
#[cfg(target_arch = "x86_64")]
const OWN: [u16; 1] = [62];
#[cfg(target_arch = "aarch64")]
const OWN: [u16; 1] = [183];

/// Another platform whose programs run here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignPlatform {
    /// Its name: "linux/arm64".
    pub platform: &'static str,
    /// The emulator that is registered for it.
    pub emulator: PathBuf,
    /// Whether that serves every root folder. Otherwise it is looked for in the image.
    pub everywhere: bool,
}

/// The other platforms whose programs run here; none where registrations cannot be seen, as in containers.
///
/// Errors: registrations are there and cannot be read.
pub fn foreign_platforms() -> io::Result<Vec<ForeignPlatform>> {
    let entries = match fs::read_dir(REGISTRATIONS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if !path.ends_with("register") {
            found.extend(parse(&fs::read_to_string(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

/// One registration, if it is an enabled one of another machine's programs.
fn parse(text: &str) -> Option<ForeignPlatform> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let magic = field("magic ").filter(|_| text.lines().next() == Some("enabled"))?;
    let header: Vec<u8> = (0..magic.len() / 2)
        .map(|index| u8::from_str_radix(magic.get(2 * index..2 * index + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    let platform = machine(&header)?.platform;
    let flags = field("flags:").unwrap_or_default();
    let emulator = PathBuf::from(field("interpreter ")?);
    Some(ForeignPlatform { platform, emulator, everywhere: flags.contains('F') })
}

/// The machine that a program is for, if it is not this one.
fn machine(header: &[u8]) -> Option<&'static Machine> {
    let bytes = header.get(..HEADER).filter(|header| header.starts_with(b"\x7fELF"))?;
    let big = bytes[5] == 2;
    let number = [bytes[18], bytes[19]];
    let number = if big { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
    let known = MACHINES.iter().find(|machine| (machine.number, machine.big) == (number, big))?;
    (!OWN.contains(&number)).then_some(known)
}

/// The platform of a program that is for another machine, and the name of the emulator that it takes.
pub(crate) fn platform_of(program: &Path) -> Option<(&'static str, &'static str)> {
    let mut header = [0; HEADER];
    fs::File::open(program).and_then(|mut file| file.read_exact(&mut header)).ok()?;
    machine(&header).map(|machine| (machine.platform, machine.emulator))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM: &str = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn registrations_are_read() {
        let emulator = PathBuf::from("/usr/libexec/qemu-binfmt/aarch64-binfmt-P");
        let expected = ForeignPlatform { platform: "linux/arm64", emulator, everywhere: true };
        assert_eq!(parse(ARM), Some(expected.clone()));
        assert_eq!(
            parse(&ARM.replace("POCF", "OC")),
            Some(ForeignPlatform { everywhere: false, ..expected })
        );
        let big = ARM.replace("46020101", "46020201").replace("0200b700", "00020016");
        assert_eq!(parse(&big).map(|found| found.platform), Some("linux/s390x"));
        for other in [
            ARM.replace("enabled", "disabled"),
            ARM.replace("b700", "3e00"),
            ARM.replace("7f454c46", "cafebabe"),
            ARM.replace("00b700", "0xb700"),
            "enabled\ninterpreter /usr/bin/python\nflags:\nextension .py\n".to_owned(),
            "enabled\n".to_owned(),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }

    #[test]
    fn a_program_of_this_machine_is_not_foreign() {
        assert_eq!(platform_of(&std::env::current_exe().unwrap()), None);
        assert_eq!(platform_of(Path::new("/proc/self/status")), None);
    }
}
