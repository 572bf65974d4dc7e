//! Ctrl-C and SIGTERM: the first asks, the second forces.
//!
//! The first signal cancels through [`Events`]: work stops at its next step, ends its child processes, removes what is half-written
//! and returns. Whoever cannot wait signals again: the children are killed and the process ends at once. Nothing is lost by that
//! either, since everything that others may read is written under a temporary name first.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use longshore_events::Events;
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the process ends with when a signal stopped it: what shells report for SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether signals mean a program in a container, which another handler passes them on to.
pub(crate) static HANDED_OVER: AtomicBool = AtomicBool::new(false);

/// Cancels `events` at the first SIGINT or SIGTERM and ends the process at the second.
pub(crate) fn watch(events: &Events) {
    // Where no handler can be installed, the signals keep their default, which ends the process too.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    let handle = signals.handle();
    let events = events.clone();
    let wait = move || {
        let mut arrived = signals.forever();
        loop {
            match arrived.next() {
                None => return,
                Some(_) if HANDED_OVER.load(Ordering::SeqCst) => {}
                Some(_) => break,
            }
        }
        events.cancel();
        events.warn("stopping; press Ctrl-C again to stop at once");
        if arrived.next().is_some() {
            kill_children();
            signal_hook::low_level::exit(INTERRUPTED);
        }
    };
    if std::thread::Builder::new().name("signals".to_owned()).spawn(wait).is_err() {
        handle.close();
    }
}

/// Kills the process groups that this process's children lead: a terminal's Ctrl-C does not reach them.
fn kill_children() {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            // One that ended meanwhile, or leads no group, needs nothing.
            let _ = rustix::process::kill_process_group(child, Signal::KILL);
        }
    }
}
