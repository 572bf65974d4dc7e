//! What the kernel says of a file, in its own form.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;

use super::check;

/// Bytes of the kernel's `struct stat`, and where the owner stands in it, and the group after it.
#[cfg(target_arch = "x86_64")]
const STAT: (usize, usize) = (144, 28);
#[cfg(target_arch = "aarch64")]
const STAT: (usize, usize) = (128, 24);
/// The same of `struct statx`.
const STATX: (usize, usize) = (256, 20);

/// Longest handle that the kernel makes: MAX_HANDLE_SZ.
const LONGEST: u8 = 128;

/// `struct file_handle`, with room for any.
#[repr(C)]
struct FileHandle {
    length: u32,
    kind: i32,
    bytes: [u8; LONGEST as usize],
}

/// What names a file on its file system for as long as it lives, and no other file after it: open_by_handle_at(2). A link at the end of
/// the path is not followed; an empty path is the folder itself, which may be a file. EOPNOTSUPP where the file system has none.
pub(crate) fn file_handle(folder: &OwnedFd, path: &CStr) -> Result<Vec<u8>, Errno> {
    let mut handle = FileHandle { length: LONGEST.into(), kind: 0, bytes: [0; LONGEST as usize] };
    let mut mount: libc::c_int = 0;
    // SAFETY: the path ends in a null byte, and the structure has the room that it tells.
    check(unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            folder.as_raw_fd(),
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            libc::AT_EMPTY_PATH,
        )
    })?;
    let length = usize::try_from(handle.length).unwrap_or(0);
    let mut bytes = handle.kind.to_le_bytes().to_vec();
    bytes.extend_from_slice(handle.bytes.get(..length).unwrap_or_default());
    Ok(bytes)
}

/// `struct stat` of an open file, with another owner and group.
pub(crate) fn stat_as_kernel(file: &OwnedFd, owner: (u32, u32)) -> Result<Vec<u8>, Errno> {
    stat(file).map(|bytes| with_owner(bytes, STAT.1, owner))
}

/// `struct statx` of an open file, as it was asked for, with another owner and group.
pub(crate) fn statx_as_kernel(
    file: &OwnedFd,
    flags: u32,
    mask: u32,
    owner: (u32, u32),
) -> Result<Vec<u8>, Errno> {
    statx(file, flags, mask).map(|bytes| with_owner(bytes, STATX.1, owner))
}

fn stat(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; STAT.0];
    let (number, path) = (file.as_raw_fd(), c"".as_ptr());
    // SAFETY: the buffer has the size of the structure that the kernel fills.
    check(unsafe {
        libc::syscall(libc::SYS_newfstatat, number, path, bytes.as_mut_ptr(), libc::AT_EMPTY_PATH)
    })?;
    Ok(bytes)
}

fn statx(file: &OwnedFd, flags: u32, mask: u32) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; STATX.0];
    let flags = flags | libc::AT_EMPTY_PATH.cast_unsigned();
    let (number, path) = (file.as_raw_fd(), c"".as_ptr());
    // SAFETY: the buffer has the size of the structure that the kernel fills.
    check(unsafe { libc::syscall(libc::SYS_statx, number, path, flags, mask, bytes.as_mut_ptr()) })?;
    Ok(bytes)
}

fn with_owner(mut bytes: Vec<u8>, at: usize, (uid, gid): (u32, u32)) -> Vec<u8> {
    for (place, id) in bytes[at..at + 8].chunks_exact_mut(4).zip([uid, gid]) {
        place.copy_from_slice(&id.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, fchown};

    #[test]
    fn owners_stand_where_the_kernel_puts_them() {
        let file = tempfile::tempfile().unwrap();
        if rustix::process::geteuid().is_root() {
            fchown(&file, Some(0x0102_0304), Some(0x0506_0708)).unwrap();
        }
        let about = file.metadata().unwrap();
        let owner = [about.uid().to_ne_bytes(), about.gid().to_ne_bytes()].concat();
        let file = OwnedFd::from(file);
        let plain = [stat(&file).unwrap(), statx(&file, 0, 0x7ff).unwrap()];
        let other = (0xa1a2_a3a4, 0xb1b2_b3b4_u32);
        let changed =
            [stat_as_kernel(&file, other).unwrap(), statx_as_kernel(&file, 0, 0x7ff, other).unwrap()];
        for ((plain, changed), (size, at)) in plain.iter().zip(&changed).zip([STAT, STATX]) {
            assert_eq!((plain.len(), &plain[at..at + 8]), (size, owner.as_slice()));
            let expected = [0xa1a2_a3a4_u32.to_ne_bytes(), 0xb1b2_b3b4_u32.to_ne_bytes()].concat();
            assert_eq!(changed[at..at + 8], expected);
            assert_eq!((&changed[..at], &changed[at + 8..]), (&plain[..at], &plain[at + 8..]));
        }
    }
}
