//! The clock that file systems stamp files with.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since 1970 by the kernel's coarse clock, which file systems take their stamps from: a file that is modified
/// after this was read has a stamp that is not before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(pub(crate) i64);

/// Stamps this close to a reading may hide a later change: a few ticks of the slowest kernel clock.
const GRANULARITY: i64 = 40_000_000;
/// The same for file systems that keep whole or even seconds alone, which shows in stamps without a fraction.
const COARSE_GRANULARITY: i64 = 2_000_000_000;

impl Instant {
    /// Now.
    pub(crate) fn now() -> Instant {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        Instant(now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec))
    }

    /// Whether a file stamped `stamp` could have been changed again after this reading without its stamp telling.
    pub(crate) fn is_too_close_to(self, stamp: i64) -> bool {
        let granularity = if stamp % 1_000_000_000 == 0 { COARSE_GRANULARITY } else { GRANULARITY };
        stamp.saturating_add(granularity) >= self.0
    }
}
