//! What root may do inside: Docker's default set (moby: `daemon/pkg/oci/caps/defaults.go`), and what is asked for beside it.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// Docker's default set.
pub(crate) const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The names without `CAP_`, by number (capabilities(7)).
#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
];

/// A word that names no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability `{0}`")]
pub struct UnknownCapability(pub String);

/// Docker's default set with these taken away and then those given, as `--cap-drop` and `--cap-add` have it: names in any case,
/// with or without `CAP_`; `ALL` is all of them.
pub(crate) fn set(add: &[String], drop: &[String]) -> Result<CapabilitySet, UnknownCapability> {
    let mask = |names: &[String]| {
        names.iter().try_fold(CapabilitySet::empty(), |mask, name| Ok(mask.union(one(name)?)))
    };
    Ok(DEFAULT.difference(mask(drop)?).union(mask(add)?))
}

fn one(name: &str) -> Result<CapabilitySet, UnknownCapability> {
    let upper = name.to_ascii_uppercase();
    let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if plain == "ALL" {
        return Ok(CapabilitySet::from_bits_retain((1 << NAMES.len()) - 1));
    }
    number(plain)
        .map(|number| CapabilitySet::from_bits_retain(1 << number))
        .ok_or_else(|| UnknownCapability(name.to_owned()))
}

/// The number of the one with this name, without `CAP_`.
pub(crate) fn number(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name)
}

/// Takes all others out of what a program may ever get, and leaves none to be inherited. What this process itself may do stays as it
/// is until it is replaced: there is work to do until then.
pub(crate) fn keep(kept: CapabilitySet) -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            // The kernel knows no further ones.
            Err(Errno::INVAL) => break,
            answer => answer?,
        }
    }
    clear_ambient_capability_set()?;
    let now = capabilities(None)?;
    set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..now })
}

/// Gives up what this process itself may do, but for these, as far as it may do that at all.
pub(crate) fn retain(kept: CapabilitySet) -> Result<(), Errno> {
    let kept = capabilities(None)?.permitted.intersection(kept);
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_added_after_they_are_dropped() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let made = |add: &[&str], drop: &[&str]| set(&names(add), &names(drop)).map(|set| set.bits());
        assert_eq!(made(&[], &[]), Ok(0xa804_25fb));
        assert_eq!(made(&["net_bind_service"], &["all"]), Ok(1 << 10));
        assert_eq!(made(&["CAP_SYS_ADMIN"], &["ALL"]), Ok(1 << 21));
        assert_eq!(made(&["ALL"], &[]), Ok((1 << 41) - 1));
        assert_eq!(made(&["SYS_ADMINISTRATOR"], &[]), Err(UnknownCapability("SYS_ADMINISTRATOR".into())));
    }
}
