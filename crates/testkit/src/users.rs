//! Ordinary users of the machine, for what must work without root.

use crate::{Requirement, Skip};

/// The number of an ordinary user to whom nobody lends ids, and who has no account.
pub const UNLENT_USER: u32 = 54_321;

/// The number of an ordinary user to whom /etc/subuid lends ids.
///
/// Errors: a [`Skip`] where there is none, or where newuidmap is not installed.
pub fn lent_user() -> Result<u32, Skip> {
    Requirement::Program("newuidmap").check()?;
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (passwd, lent) = (read("/etc/passwd"), read("/etc/subuid"));
    let mut users = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse::<u32>().ok()?))
    });
    users
        .find(|(name, uid)| *uid != 0 && lent.lines().any(|line| line.split(':').next() == Some(name)))
        .map(|(_, uid)| uid)
        .ok_or_else(|| Skip("/etc/subuid lends ids to no ordinary user".into()))
}
