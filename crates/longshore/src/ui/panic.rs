//! What is printed when longshore itself is wrong.

use std::io::Write;
use std::panic::PanicHookInfo;

/// Replaces the report of a panic, which is written for developers, by one that says what to do about it.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|information: &PanicHookInfo<'_>| {
        let payload = information.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = information.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let report = format!(
            "\nlongshore {} made a mistake of its own and stops: {message}{place}\n\
             hint: please report this line and the command at {}/issues\n",
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_REPOSITORY"),
        );
        // A panic while panicking would hide the first.
        let _ = std::io::stderr().write_all(report.as_bytes());
    }));
}
