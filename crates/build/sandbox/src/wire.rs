//! How a step's description and what comes of it travel between the process that asked and the one that runs it.
//!
//! Both ends are the same program, started a moment ago, so the form needs neither names nor versions: numbers in little-endian order,
//! lengths before bytes, a number before each kind of an enum. It is not JSON because paths and arguments are bytes, and because a
//! step's cost is counted in fractions of a millisecond.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::SecretBytes;

/// Longest message that is taken: a step's input and secrets are in it.
const LONGEST: usize = 1 << 30;

/// Something that travels.
pub(crate) trait Wire: Sized {
    /// Appends its bytes.
    fn put(&self, to: &mut Vec<u8>);
    /// Reads it back; `None` when the bytes are not one.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// Sends one message.
pub(crate) fn send(to: &mut impl Write, message: &impl Wire) -> io::Result<()> {
    let mut bytes = vec![0; 8];
    message.put(&mut bytes);
    let length = (bytes.len() - 8) as u64;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    let sent = to.write_all(&bytes);
    // There may have been secrets in it.
    bytes.fill(0);
    sent
}

/// Receives one message; `None` at the end of the stream.
pub(crate) fn receive<T: Wire>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    let mut rest = bytes.as_slice();
    let message = T::take(&mut rest).filter(|_| rest.is_empty());
    bytes.fill(0);
    message.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn bytes_of<'b>(from: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (head, tail) = from.split_at_checked(count)?;
    *from = tail;
    Some(head)
}

macro_rules! wire_number {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                let bytes = bytes_of(from, size_of::<$number>())?;
                Some(<$number>::from_le_bytes(bytes.try_into().ok()?))
            }
        }
    )*};
}
wire_number!(u8, u16, i32, u32, u64);

impl Wire for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(u8::take(from)? != 0)
    }
}

impl Wire for OsString {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        to.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u64::take(from)?).ok()?;
        Some(OsString::from_vec(bytes_of(from, length)?.to_vec()))
    }
}

impl Wire for PathBuf {
    fn put(&self, to: &mut Vec<u8>) {
        let bytes = self.as_os_str().as_bytes();
        (bytes.len() as u64).put(to);
        to.extend_from_slice(bytes);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        OsString::take(from).map(PathBuf::from)
    }
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        to.extend_from_slice(self.as_bytes());
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        OsString::take(from)?.into_string().ok()
    }
}

impl Wire for SecretBytes {
    fn put(&self, to: &mut Vec<u8>) {
        (self.expose().len() as u64).put(to);
        to.extend_from_slice(self.expose());
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        OsString::take(from).map(|bytes| SecretBytes::new(bytes.into_vec()))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        if bool::take(from)? { T::take(from).map(Some) } else { Some(None) }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        (self.len() as u64).put(to);
        for value in self {
            value.put(to);
        }
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        let count = usize::try_from(u64::take(from)?).ok()?;
        // Every value takes at least a byte, so no length makes this reserve more than was sent.
        let mut values = Vec::with_capacity(count.min(from.len()));
        for _ in 0..count {
            values.push(T::take(from)?);
        }
        Some(values)
    }
}

impl<K: Wire + Ord + Clone, V: Wire + Clone> Wire for BTreeMap<K, V> {
    fn put(&self, to: &mut Vec<u8>) {
        self.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>().put(to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Vec::take(from)?.into_iter().collect())
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, to: &mut Vec<u8>) {
        self.0.put(to);
        self.1.put(to);
    }
    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

/// Makes a struct travel, field by field.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl crate::wire::Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $(crate::wire::Wire::put(&self.$field, to);)*
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                Some($name { $($field: crate::wire::Wire::take(from)?),* })
            }
        }
    };
}

/// Makes an enum travel, a number before each kind.
macro_rules! wire_enum {
    ($name:ident { $($number:literal => $kind:ident $({ $($field:ident),* })? $(( $($value:ident),* ))?),* $(,)? }) => {
        impl crate::wire::Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $($name::$kind $({ $($field),* })? $(($($value),*))? => {
                        to.push($number);
                        $($(crate::wire::Wire::put($field, to);)*)?
                        $($(crate::wire::Wire::put($value, to);)*)?
                    })*
                }
            }
            fn take(from: &mut &[u8]) -> Option<Self> {
                match <u8 as crate::wire::Wire>::take(from)? {
                    $($number => Some($name::$kind
                        $({ $($field: crate::wire::Wire::take(from)?),* })?
                        $(($({ let $value = crate::wire::Wire::take(from)?; $value }),*))?
                    ),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use {wire_enum, wire_struct};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mount, MountKind, Network};

    #[test]
    fn what_is_sent_is_received_and_nothing_else_is() {
        let mounts = vec![Mount {
            target: OsString::from_vec(b"/run/\xff".to_vec()).into(),
            kind: MountKind::Content { bytes: SecretBytes::new(vec![0, 1]), mode: 0o400, uid: 1, gid: 2 },
        }];
        let mut bytes = Vec::new();
        send(&mut bytes, &(mounts.clone(), Network::Own)).unwrap();
        let back: Option<(Vec<Mount>, Network)> = receive(&mut bytes.as_slice()).unwrap();
        assert_eq!(back, Some((mounts, Network::Own)));

        assert_eq!(receive::<bool>(&mut [].as_slice()).unwrap(), None);
        for cut in 8..bytes.len() {
            assert!(receive::<(Vec<Mount>, Network)>(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        let huge = u64::MAX.to_le_bytes();
        assert_eq!(receive::<bool>(&mut huge.as_slice()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
