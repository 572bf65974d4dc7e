//! The kernel's answers, worked out instead of asked for: tests cannot make most calls on most machines.

/// What a program answers to a call. `None` where the kernel would not take the program. Each instruction is an operation, jumps where a
/// condition holds and where it does not, and an operand.
pub(crate) fn emulate(
    program: &[(u16, u8, u8, u32)],
    machine: u32,
    number: u32,
    arguments: [u64; 6],
) -> Option<u32> {
    let (mut at, mut word) = (0, 0_u32);
    loop {
        let (operation, yes, no, value) = *program.get(at)?;
        at += 1;
        let holds = match operation {
            0x20 => {
                word = match value {
                    0 => number,
                    4 => machine,
                    offset => {
                        let place = offset.checked_sub(16).filter(|place| place % 4 == 0)?;
                        let argument = arguments.get(place as usize / 8)?;
                        u32::try_from(argument >> (place % 8 * 8) & 0xffff_ffff).ok()?
                    }
                };
                continue;
            }
            0x54 => {
                word &= value;
                continue;
            }
            0x05 => {
                at += value as usize;
                continue;
            }
            0x06 => return Some(value),
            0x15 => word == value,
            0x25 => word > value,
            0x35 => word >= value,
            0x45 => word & value != 0,
            _ => return None,
        };
        at += usize::from(if holds { yes } else { no });
    }
}
