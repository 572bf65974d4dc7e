//! Moments as Docker takes them in `logs --since` and `--until` (moby: `api/types/time/timestamp.go`).

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A moment: so long ago (`10m`), RFC 3339 with a time zone or without one for the local one, seconds and time left out or not, or seconds
/// since 1970.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    at(text, SystemTime::now(), &TimeZone::system()).ok_or_else(|| {
        "expected a duration such as 10m, a time such as 2026-01-02T15:04:05Z, a date, or seconds since 1970".to_owned()
    })
}

fn at(text: &str, now: SystemTime, zone: &TimeZone) -> Option<SystemTime> {
    if let Some(ago) = longshore_config::parse_duration(text) {
        return now.checked_sub(ago);
    }
    if text.contains('-') { calendar(text, zone) } else { seconds(text) }
}

/// `SECONDS[.FRACTION]`, the fraction of up to nine digits.
fn seconds(text: &str) -> Option<SystemTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(whole.parse().ok()?, nanoseconds))
}

fn calendar(text: &str, zone: &TimeZone) -> Option<SystemTime> {
    // A date may have a zone without a time.
    let (date, rest) = text.split_at_checked(10)?;
    let whole = match rest.chars().next() {
        Some('Z' | '+' | '-') => format!("{date}T00:00:00{rest}"),
        _ => text.to_owned(),
    };
    // With a zone first: without, it would be taken for a local time, whatever the zone.
    let timestamp = match whole.parse::<Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => zone.to_timestamp(whole.parse::<DateTime>().ok()?).ok()?,
    };
    timestamp.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_forms_are_understood() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let cases = [
            ("10m", Some("2027-01-15T07:50:00Z")),
            ("1h30m", Some("2027-01-15T06:30:00Z")),
            ("2006-01-02T15:04:05.999999999Z", Some("2006-01-02T15:04:05.999999999Z")),
            ("2006-01-02T15:04:05+07:00", Some("2006-01-02T08:04:05Z")),
            ("2006-01-02T15:04:05.5", Some("2006-01-02T13:04:05.5Z")),
            ("2006-01-02T15:04:05", Some("2006-01-02T13:04:05Z")),
            ("2006-01-02T15:04", Some("2006-01-02T13:04:00Z")),
            ("2006-01-02T15:04Z", Some("2006-01-02T15:04:00Z")),
            ("2006-01-02T15", Some("2006-01-02T13:00:00Z")),
            ("2006-01-02", Some("2006-01-01T22:00:00Z")),
            ("2006-01-02Z", Some("2006-01-02T00:00:00Z")),
            ("2006-01-02-07:00", Some("2006-01-02T07:00:00Z")),
            ("1136073845", Some("2006-01-01T00:04:05Z")),
            ("1136073845.000000001", Some("2006-01-01T00:04:05.000000001Z")),
            ("1136073845.25", Some("2006-01-01T00:04:05.25Z")),
            ("yesterday", None),
            ("2006-13-02", None),
            ("1136073845.0000000001", None),
            ("1136073845.x", None),
            ("99999999999999999999", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected =
                expected.map(|time| SystemTime::try_from(time.parse::<Timestamp>().unwrap()).unwrap());
            assert_eq!(at(text, now, &zone), expected, "{text}");
        }
    }
}
