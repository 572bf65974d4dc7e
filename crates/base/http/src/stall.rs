//! Time limits that count silence, not work.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use longshore_events::Events;

use crate::error::HttpErrorKind;

/// How often a wait looks whether the work was cancelled.
const TICK: Duration = Duration::from_millis(50);

/// When bytes last moved; shared between who moves them and who watches.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    start: Instant,
    last: Arc<AtomicU64>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Pulse { start: Instant::now(), last: Arc::default() }
    }

    /// Says that bytes moved.
    pub(crate) fn beat(&self) {
        let milliseconds = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(milliseconds, Ordering::Relaxed);
    }

    fn silence(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

/// Waits for `work`, at most `limit` without a beat of `pulse`, and not after the work was cancelled.
pub(crate) async fn watched<F: Future>(
    limit: Duration,
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
                if pulse.silence() >= limit {
                    return Err(HttpErrorKind::Stalled { host: host.to_owned(), after: limit });
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
    watched(limit, host, events, &Pulse::new(), work).await
}
