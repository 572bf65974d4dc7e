//! Time limits that count silence, not work.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use longshore_events::Events;

use crate::error::HttpErrorKind;

/// How often a wait looks whether the work was cancelled.
const TICK: Duration = Duration::from_millis(50);

/// When bytes last moved, and how long they may rest; shared between who moves them and who watches.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    start: Instant,
    last: Arc<AtomicU64>,
    limit: Arc<AtomicU64>,
}

impl Pulse {
    /// Bytes that may rest for `limit`.
    pub(crate) fn new(limit: Duration) -> Self {
        Pulse {
            start: Instant::now(),
            last: Arc::default(),
            limit: Arc::new(AtomicU64::new(milliseconds(limit))),
        }
    }

    /// Says that bytes moved.
    pub(crate) fn beat(&self) {
        self.last.store(milliseconds(self.start.elapsed()), Ordering::Relaxed);
    }

    /// Says that from now on a longer rest is to be expected.
    pub(crate) fn be_patient(&self, limit: Duration) {
        self.beat();
        self.limit.fetch_max(milliseconds(limit), Ordering::Relaxed);
    }

    /// The limit, if bytes rested for longer.
    fn exceeded(&self) -> Option<Duration> {
        let limit = self.limit.load(Ordering::Relaxed);
        let rest = milliseconds(self.start.elapsed()).saturating_sub(self.last.load(Ordering::Relaxed));
        (rest >= limit).then(|| Duration::from_millis(limit))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Waits for `work` as long as `pulse` allows, and not after the work was cancelled.
pub(crate) async fn watched<F: Future>(
    host: &str,
    events: &Events,
    pulse: &Pulse,
    work: F,
) -> Result<F::Output, HttpErrorKind> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            output = &mut work => return Ok(output),
            () = tokio::time::sleep(TICK) => {
                events.check()?;
                if let Some(after) = pulse.exceeded() {
                    return Err(HttpErrorKind::Stalled { host: host.to_owned(), after });
                }
            }
        }
    }
}

/// Waits for `work` at most `limit`, and not after the work was cancelled.
pub(crate) async fn within<F: Future>(
    limit: Duration,
    host: &str,
    events: &Events,
    work: F,
) -> Result<F::Output, HttpErrorKind> {
    watched(host, events, &Pulse::new(limit), work).await
}
