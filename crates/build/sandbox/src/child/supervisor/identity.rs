//! Asking and changing who one is.

use rustix::io::Errno;

use super::Supervisor;
use super::asker::low;
use super::calls::{Call, Known};
use super::credentials::{Credentials, Ids, SAME};
use crate::sys::{self, Answer, Question};

/// SECBIT_KEEP_CAPS.
const KEEP_CAPABILITIES: u32 = 1 << 4;

/// Most groups that the kernel lets a process have.
const MOST_GROUPS: u32 = 65_536;

impl Supervisor {
    /// Answers a question for ids.
    pub(super) fn tell(&mut self, question: &Question, known: Known) -> Result<Answer, Errno> {
        let who = self.people.of(question.process);
        // What is written goes into the memory of a process by its number, which must not be another's by now.
        if !sys::still_waits(&self.listener, question) {
            return Err(Errno::NOENT);
        }
        let one = |id: u32| Ok(Answer::Return(i64::from(shown(id, known.narrow))));
        match known.call {
            Call::GetUid => one(who.user.real),
            Call::GetEffectiveUid => one(who.user.effective),
            Call::GetGid => one(who.group.real),
            Call::GetEffectiveGid => one(who.group.effective),
            Call::GetUids => tell_three(question, who.user, known.narrow),
            Call::GetGids => tell_three(question, who.group, known.narrow),
            _ => tell_groups(question, &who.groups, known.narrow),
        }
    }

    /// Notes whether a process wants to keep root's capabilities when it becomes another.
    pub(super) fn control(&mut self, question: &Question) {
        let value = low(question.arguments[1]);
        let keeps = match low(question.arguments[0]).cast_signed() {
            libc::PR_SET_KEEPCAPS => value == 1,
            libc::PR_SET_SECUREBITS => value & KEEP_CAPABILITIES != 0,
            _ => return,
        };
        let before = self.people.of(question.process);
        if before.keeps != keeps {
            self.people.change(question.process, Credentials { keeps, ..Credentials::clone(&before) });
        }
    }

    /// Lets a process become another.
    pub(super) fn become_other(&mut self, question: &Question, known: Known) -> Result<Answer, Errno> {
        let before = self.people.of(question.process);
        let privileged = before.capable;
        let id = |index: usize| given(low(question.arguments[index]), known.narrow);
        let mut after = Credentials::clone(&before);
        let mut answer = Answer::Pretend;
        match known.call {
            Call::SetUid => after.become_user(before.user.set(id(0), privileged)?),
            Call::SetGid => after.group = before.group.set(id(0), privileged)?,
            Call::SetRealUid => after.become_user(before.user.set_real(id(0), id(1), privileged)?),
            Call::SetRealGid => after.group = before.group.set_real(id(0), id(1), privileged)?,
            Call::SetUids => after.become_user(before.user.set_three([id(0), id(1), id(2)], privileged)?),
            Call::SetGids => after.group = before.group.set_three([id(0), id(1), id(2)], privileged)?,
            Call::SetFileUid => {
                after.user = before.user.set_file(id(0), privileged);
                answer = Answer::Return(before.user.file.into());
            }
            Call::SetFileGid => {
                after.group = before.group.set_file(id(0), privileged);
                answer = Answer::Return(before.group.file.into());
            }
            _ if !privileged => return Err(Errno::PERM),
            _ => after.groups = read_groups(question, known.narrow)?,
        }
        self.people.change(question.process, after);
        Ok(answer)
    }
}

/// An id as it is given: with 16 bits, another number stands for none.
pub(super) fn given(id: u32, narrow: bool) -> u32 {
    match (narrow, id & 0xffff) {
        (false, _) => id,
        (true, 0xffff) => SAME,
        (true, id) => id,
    }
}

/// An id as it is told: what has no room in 16 bits is the overflow id.
fn shown(id: u32, narrow: bool) -> u32 {
    if narrow && id > 0xffff { 65_534 } else { id }
}

fn bytes(id: u32, narrow: bool) -> Vec<u8> {
    let bytes = shown(id, narrow).to_le_bytes();
    bytes[..if narrow { 2 } else { 4 }].to_vec()
}

fn tell_three(question: &Question, ids: Ids, narrow: bool) -> Result<Answer, Errno> {
    for (address, id) in question.arguments.iter().zip([ids.real, ids.effective, ids.saved]) {
        sys::write_memory(question.process, *address, &bytes(id, narrow))?;
    }
    Ok(Answer::Pretend)
}

fn tell_groups(question: &Question, groups: &[u32], narrow: bool) -> Result<Answer, Errno> {
    let room = low(question.arguments[0]).cast_signed();
    let count = i32::try_from(groups.len()).map_err(|_| Errno::INVAL)?;
    if room < 0 || (room > 0 && room < count) {
        return Err(Errno::INVAL);
    }
    if room > 0 {
        let list: Vec<u8> = groups.iter().flat_map(|group| bytes(*group, narrow)).collect();
        sys::write_memory(question.process, question.arguments[1], &list)?;
    }
    Ok(Answer::Return(count.into()))
}

fn read_groups(question: &Question, narrow: bool) -> Result<Vec<u32>, Errno> {
    let count = low(question.arguments[0]);
    if count > MOST_GROUPS {
        return Err(Errno::INVAL);
    }
    let width = if narrow { 2 } else { 4 };
    let mut list = vec![0; usize::try_from(count).unwrap_or(0) * width];
    if sys::read_memory(question.process, question.arguments[1], &mut list)? != list.len() {
        return Err(Errno::FAULT);
    }
    let id = |bytes: &[u8]| bytes.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte));
    let mut groups: Vec<u32> = list.chunks_exact(width).map(id).collect();
    // The kernel keeps them sorted.
    groups.sort_unstable();
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_16_bits_are_read_and_told() {
        assert_eq!([given(0xffff, true), given(0x1_0005, true), given(0xffff, false)], [SAME, 5, 0xffff]);
        assert_eq!([shown(70_000, true), shown(70_000, false), shown(5, true)], [65_534, 70_000, 5]);
        assert_eq!((bytes(0x0102, true), bytes(0x0102, false)), (vec![2, 1], vec![2, 1, 0, 0]));
    }
}
