//! Ctrl-C and SIGTERM: the first asks, the second forces.
//!
//! The first signal cancels through [`Events`]: work stops at its next step, ends its child processes, removes what is half-written
//! and returns. Whoever cannot wait signals again: the process ends at once. Nothing is lost by that either, since everything
//! that others may read is written under a temporary name first.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use longshore_events::Events;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What the process ends with when a signal stopped it: what shells report for SIGINT.
const INTERRUPTED: i32 = 130;

/// Cancels `events` at the first SIGINT or SIGTERM and ends the process at the second.
pub(crate) fn watch(events: &Events) {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the second signal finds the flag that the first one set. Where a handler cannot be installed the
        // signal keeps its default, which ends the process too.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&asked));
        let _ = signal_hook::flag::register(signal, Arc::clone(&asked));
    }
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    let events = events.clone();
    let wait = move || {
        if signals.forever().next().is_some() {
            events.cancel();
            events.warn("stopping; press Ctrl-C again to stop at once");
        }
    };
    // Without the thread, a second signal still ends the process.
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
}
