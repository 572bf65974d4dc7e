//! Which process takes itself for whom.
//!
//! All begin as the step's user. As long as none has become another, nothing is kept, and no question asked. From then on each is known by what
//! its parent was: a process is looked up when it first asks for something, and the children of one that changes, or ends, are
//! noted before it does. Only a process whose parent was killed by a signal before it ever asked counts as the step's user.

use std::collections::HashMap;
use std::rc::Rc;

use super::credentials::Credentials;

/// What /proc says of a thread.
struct About {
    /// The process that it belongs to.
    process: u32,
    parent: u32,
    /// When it was started: numbers are used again.
    started: u64,
}

struct Person {
    process: u32,
    started: u64,
    credentials: Rc<Credentials>,
}

pub(super) struct People {
    usual: Rc<Credentials>,
    /// By thread. Empty as long as all are as usual.
    known: HashMap<u32, Person>,
}

impl People {
    pub(super) fn new(usual: Credentials) -> People {
        People { usual: Rc::new(usual), known: HashMap::new() }
    }

    /// Who a thread takes itself for.
    pub(super) fn of(&mut self, thread: u32) -> Rc<Credentials> {
        if self.known.is_empty() {
            return Rc::clone(&self.usual);
        }
        let mut unknown = Vec::new();
        let mut at = thread;
        let found = loop {
            // The init and what is outside of the step have no say.
            let Some(about) = About::read(at).filter(|_| at > 1) else { break Rc::clone(&self.usual) };
            match self.known.get(&at) {
                Some(person) if person.started == about.started => break Rc::clone(&person.credentials),
                _ => {}
            }
            let next = if about.process == at { about.parent } else { about.process };
            unknown.push((at, about));
            at = next;
        };
        for (thread, about) in unknown {
            self.insert(thread, &about, Rc::clone(&found));
        }
        found
    }

    /// Notes that a thread takes itself for another from now on.
    pub(super) fn change(&mut self, thread: u32, credentials: Credentials) {
        let before = self.of(thread);
        if *before == credentials {
            return;
        }
        let Some(about) = About::read(thread) else { return };
        // What it started before stays what it was. What other threads started goes by the first one, wherefore that notes all.
        let of = if about.process == thread {
            children(thread)
        } else {
            children_of_thread(about.process, thread)
        };
        self.note_children(of, &before);
        let usual = *self.usual == credentials;
        let credentials = if usual { Rc::clone(&self.usual) } else { Rc::new(credentials) };
        self.insert(thread, &about, credentials);
        self.forget_if_usual();
    }

    /// Notes that a thread's process is about to end.
    pub(super) fn end(&mut self, thread: u32) {
        if self.known.is_empty() {
            return;
        }
        let credentials = self.of(thread);
        let Some(process) = self.known.get(&thread).map(|person| person.process) else { return };
        self.note_children(children(process), &credentials);
        self.known.retain(|_, person| person.process != process);
        self.forget_if_usual();
    }

    fn insert(&mut self, thread: u32, about: &About, credentials: Rc<Credentials>) {
        let person = Person { process: about.process, started: about.started, credentials };
        self.known.insert(thread, person);
    }

    fn note_children(&mut self, children: Vec<u32>, credentials: &Rc<Credentials>) {
        for child in children {
            if let Some(about) = About::read(child)
                && self.known.get(&child).is_none_or(|person| person.started != about.started)
            {
                self.insert(child, &about, Rc::clone(credentials));
            }
        }
    }

    fn forget_if_usual(&mut self) {
        if self.known.values().all(|person| Rc::ptr_eq(&person.credentials, &self.usual)) {
            self.known.clear();
        }
    }
}

impl About {
    /// `None` when the thread is gone.
    fn read(thread: u32) -> Option<About> {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
        let stat = std::fs::read(format!("/proc/{thread}/stat")).ok()?;
        Some(About {
            process: field(&status, "Tgid:")?.parse().ok()?,
            parent: field(&status, "PPid:")?.parse().ok()?,
            started: started(&stat)?,
        })
    }
}

/// A field of /proc/PID/status.
fn field<'s>(status: &'s str, name: &str) -> Option<&'s str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The 22nd field of /proc/PID/stat. The second is the program's name, which may hold anything, and ends at the last parenthesis.
fn started(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// The children of all threads of a process; none where the kernel does not tell them.
fn children(process: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let numbers = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    numbers.flat_map(|thread| children_of_thread(process, thread)).collect()
}

/// The children of one thread of a process.
fn children_of_thread(process: u32, thread: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{process}/task/{thread}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The mask of permission bits of a process.
pub(super) fn umask(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    u32::from_str_radix(field(&status, "Umask:")?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = b"7 (a) S 1 (b)) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
        assert_eq!(started(stat), Some(4711));
        assert_eq!(started(b"7 (a) S 1"), None);
        assert_eq!(field("Name:\ta\nUmask:\t0022\n", "Umask:"), Some("0022"));
    }

    #[test]
    fn children_are_what_their_parents_were_when_they_were_started() {
        let sleep = || std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let own = std::process::id();
        let root = Credentials::new(0, 0, Vec::new());
        let user = Credentials::new(5, 6, vec![7]);
        let mut people = People::new(root.clone());
        let mut before = sleep();
        assert_eq!(*people.of(own), root);
        people.change(own, user.clone());
        let mut after = sleep();
        assert_eq!(
            [own, before.id(), after.id()].map(|id| (*people.of(id)).clone()),
            [user.clone(), root, user.clone()]
        );
        let mut last = sleep();
        people.end(own);
        assert_eq!((*people.of(last.id())).clone(), user);
        for child in [&mut before, &mut after, &mut last] {
            people.end(child.id());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(people.known.is_empty());
    }
}
