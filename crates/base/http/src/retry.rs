//! When to try again, and how long to wait before.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Whether an answer says that the same request may succeed later.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => true,
        // These say that it will never work.
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        other => other.is_server_error(),
    }
}

/// How long a server asks to wait: seconds or a date (RFC 9110, 10.2.3). A date that is past means now.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A random wait before attempt number `failed + 1`: between nothing and twice the mean, which doubles each time. Spread over
/// the whole range, so that many clients do not come back at once ("full jitter").
pub(crate) fn backoff(mean: Duration, failed: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(20);
    let mean =
        mean.saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX)).min(LONGEST);
    // Each `RandomState` has keys of its own: enough chance for a wait.
    let random = RandomState::new().hash_one(failed) % 2000;
    mean.saturating_mul(u32::try_from(random).unwrap_or(1000)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT").unwrap();
        for (value, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn waits_grow_and_are_bounded() {
        let mean = Duration::from_millis(100);
        for failed in 1..40 {
            let most = Duration::from_millis(200)
                .saturating_mul(1 << (failed - 1).min(20))
                .min(Duration::from_secs(40));
            assert!((0..20).all(|_| backoff(mean, failed) <= most), "{failed}");
        }
    }
}
