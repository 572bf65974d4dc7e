//! Who a process takes itself for, and how that changes.
//!
//! The rules are those of setuid(2), setreuid(2), setresuid(2), setfsuid(2) and their like for groups, as kernel/sys.c has them:
//! whose effective user is root may become anybody, all others only who they are or were, unless they kept root's capabilities.

use rustix::io::Errno;

/// What stands in the place of an id that stays as it is.
pub(super) const SAME: u32 = u32::MAX;

/// The four ids of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// The one that counts for files.
    pub(super) file: u32,
}

impl Ids {
    pub(super) fn all(id: u32) -> Ids {
        Ids { real: id, effective: id, saved: id, file: id }
    }

    fn has(self, id: u32) -> bool {
        [self.real, self.effective, self.saved].contains(&id)
    }

    /// setuid, setgid.
    pub(super) fn set(self, id: u32, privileged: bool) -> Result<Ids, Errno> {
        match id {
            SAME => Err(Errno::INVAL),
            _ if privileged => Ok(Ids::all(id)),
            _ if id == self.real || id == self.saved => Ok(Ids { effective: id, file: id, ..self }),
            _ => Err(Errno::PERM),
        }
    }

    /// setreuid, setregid.
    pub(super) fn set_real(self, real: u32, effective: u32, privileged: bool) -> Result<Ids, Errno> {
        let real_allowed = privileged || [SAME, self.real, self.effective].contains(&real);
        let effective_allowed = privileged || effective == SAME || self.has(effective);
        if !real_allowed || !effective_allowed {
            return Err(Errno::PERM);
        }
        let mut new = Ids { real: or(real, self.real), effective: or(effective, self.effective), ..self };
        if real != SAME || (effective != SAME && effective != self.real) {
            new.saved = new.effective;
        }
        new.file = new.effective;
        Ok(new)
    }

    /// setresuid, setresgid.
    pub(super) fn set_three(
        self,
        [real, effective, saved]: [u32; 3],
        privileged: bool,
    ) -> Result<Ids, Errno> {
        let allowed = [real, effective, saved].into_iter().all(|id| id == SAME || self.has(id));
        if !privileged && !allowed {
            return Err(Errno::PERM);
        }
        let effective = or(effective, self.effective);
        Ok(Ids { real: or(real, self.real), effective, saved: or(saved, self.saved), file: effective })
    }

    /// setfsuid, setfsgid: no error, only no change.
    pub(super) fn set_file(self, id: u32, privileged: bool) -> Ids {
        let allowed = id != SAME && (privileged || self.has(id) || id == self.file);
        if allowed { Ids { file: id, ..self } } else { self }
    }

    /// What a program that is started is, with the id of a set-user-id file if it is one.
    pub(super) fn executed(self, id: Option<u32>) -> Ids {
        let effective = id.unwrap_or(self.effective);
        Ids { real: self.real, effective, saved: effective, file: effective }
    }
}

fn or(new: u32, old: u32) -> u32 {
    if new == SAME { old } else { new }
}

/// Who a process takes itself for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Ids,
    pub(super) group: Ids,
    pub(super) groups: Vec<u32>,
    /// Whether it may become anybody, and give files away.
    pub(super) capable: bool,
    /// Whether it stays so when it ceases to be root: PR_SET_KEEPCAPS.
    pub(super) keeps: bool,
}

impl Credentials {
    pub(super) fn new(uid: u32, gid: u32, mut groups: Vec<u32>) -> Credentials {
        // As the kernel keeps them.
        groups.sort_unstable();
        Credentials { user: Ids::all(uid), group: Ids::all(gid), groups, capable: uid == 0, keeps: false }
    }

    /// Becomes another user, and loses or regains what root may do (capabilities(7), "Effect of user ID changes").
    pub(super) fn become_user(&mut self, user: Ids) {
        let ceases = self.user.effective == 0 && user.effective != 0;
        self.capable = user.effective == 0 || (self.capable && (self.keeps || !ceases));
        self.user = user;
    }

    /// Becomes a program, with the owner and the group of its file where it is a set-user-id or a set-group-id one.
    pub(super) fn execute(&mut self, user: Option<u32>, group: Option<u32>) {
        self.user = self.user.executed(user);
        self.group = self.group.executed(group);
        (self.capable, self.keeps) = (self.user.effective == 0, false);
    }

    /// Whose the files are that it makes, apart from what their folder says.
    pub(super) fn owner(&self) -> (u32, u32) {
        (self.user.file, self.group.file)
    }

    /// Whether it may give a file of this owner that one: `None` is no change (chown(2)).
    pub(super) fn may_give(&self, file: (u32, u32), uid: Option<u32>, gid: Option<u32>) -> bool {
        if self.user.file == 0 || (self.capable && self.user.file == self.user.effective) {
            return true;
        }
        let in_group = |gid| gid == file.1 || gid == self.group.file || self.groups.contains(&gid);
        file.0 == self.user.file && uid.is_none_or(|uid| uid == file.0) && gid.is_none_or(in_group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(real: u32, effective: u32, saved: u32, file: u32) -> Ids {
        Ids { real, effective, saved, file }
    }

    #[test]
    fn ids_change_as_the_kernel_changes_them() {
        let root = Ids::all(0);
        let user = Ids::all(5);
        let elevated = ids(5, 0, 0, 0);
        let lowered = ids(5, 5, 0, 5);
        type Change = fn(Ids) -> Result<Ids, Errno>;
        let cases: [(&str, Ids, Change, Result<Ids, Errno>); 14] = [
            ("root becomes a user", root, |ids| ids.set(5, true), Ok(user)),
            ("a user stays itself", user, |ids| ids.set(5, false), Ok(user)),
            ("a user becomes no other", user, |ids| ids.set(0, false), Err(Errno::PERM)),
            ("nobody is -1", root, |ids| ids.set(SAME, true), Err(Errno::INVAL)),
            ("who was root becomes it again", lowered, |ids| ids.set(0, false), Ok(elevated)),
            ("an effective id alone", root, |ids| ids.set_real(SAME, 5, true), Ok(ids(0, 5, 5, 5))),
            ("an effective id given up", elevated, |ids| ids.set_real(SAME, 5, true), Ok(lowered)),
            ("both swapped", elevated, |ids| ids.set_real(0, 5, false), Ok(ids(0, 5, 5, 5))),
            ("a real id of another", user, |ids| ids.set_real(0, SAME, false), Err(Errno::PERM)),
            ("all three", root, |ids| ids.set_three([5, 5, 5], true), Ok(user)),
            ("the saved one kept", root, |ids| ids.set_three([5, 5, SAME], true), Ok(lowered)),
            ("one of the three", lowered, |ids| ids.set_three([SAME, 0, SAME], false), Ok(elevated)),
            ("none of the three", user, |ids| ids.set_three([SAME, 0, SAME], false), Err(Errno::PERM)),
            ("for files", user, |ids| Ok(ids.set_file(0, false)), Ok(user)),
        ];
        for (name, before, change, after) in cases {
            assert_eq!(change(before), after, "{name}");
        }
        assert_eq!(root.set_file(5, true), ids(0, 0, 0, 5));
        assert_eq!(user.executed(Some(0)), elevated);
        assert_eq!(lowered.executed(None), user);
    }

    #[test]
    fn capabilities_go_and_come_with_root() {
        let mut who = Credentials::new(0, 0, Vec::new());
        who.become_user(Ids { effective: 5, ..Ids::all(0) });
        assert!(!who.capable);
        who.become_user(Ids::all(0));
        assert!(who.capable);
        who.keeps = true;
        who.become_user(Ids::all(5));
        assert!(who.capable && who.may_give((0, 0), Some(7), None));
        who.execute(None, Some(9));
        assert_eq!((who.capable, who.keeps, who.user, who.group.effective), (false, false, Ids::all(5), 9));
        who.execute(Some(0), None);
        assert!(who.capable);
    }

    #[test]
    fn a_file_is_given_away_by_root_and_into_ones_own_groups() {
        let root = Credentials::new(0, 0, Vec::new());
        let user = Credentials::new(5, 6, vec![7]);
        assert!(root.may_give((5, 5), Some(9), Some(9)));
        assert!(user.may_give((5, 6), Some(5), Some(7)));
        assert!(user.may_give((5, 9), None, Some(9)));
        for (file, uid, gid) in
            [((5, 6), Some(0), None), ((5, 6), None, Some(8)), ((0, 6), None, None), ((0, 0), Some(5), None)]
        {
            assert!(!user.may_give(file, uid, gid), "{file:?} {uid:?} {gid:?}");
        }
    }
}
