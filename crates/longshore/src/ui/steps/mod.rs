//! Progress of a Dockerfile's build, in the forms that BuildKit's users know.
//!
//! Where lines cannot be drawn over, each task has a number, which stands before all that is said of it ([`Numbered`]); on a terminal, steps
//! stand in their stages' order and are drawn anew as they go on ([`Board`]). Follows BuildKit's `util/progress/progressui` in what
//! is shown, so that people and the tools that read such logs find their way: `#5 [builder 3/6] RUN …`, `#5 0.123 text`, `#5 DONE 1.2s`.

mod board;
mod frame;
mod numbered;
mod terminal;

use std::time::Duration;

pub(super) use board::Board;
pub(super) use numbered::Numbered;

use super::text::{duration, visible};

/// Local work that ends sooner is not worth a line.
const QUIET: Duration = Duration::from_secs(1);

/// A duration as BuildKit tells it: seconds with a tenth, below a minute.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{}.{}s", time.as_secs(), time.subsec_millis() / 100),
        _ => duration(time),
    }
}

/// A label on one line: an instruction may have been written on several, with spaces before each.
fn one_line(label: &str) -> String {
    visible(label).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The stage that a step's label names: `linux/arm64 builder` of `[linux/arm64 builder 3/6] RUN …`. A stage without a name has none.
fn stage(label: &str) -> &str {
    let inner = label.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let inner = inner.map_or("", |(inner, _)| inner);
    let is_count = |word: &str| word.split_once('/').is_some_and(|(number, _)| number.parse::<u32>().is_ok());
    match inner.rsplit_once(' ') {
        Some((stage, count)) if is_count(count) => stage,
        None if is_count(inner) => "",
        _ => inner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_its_stage() {
        for (label, expected) in [
            ("[builder 3/6] RUN go build ./...", "builder"),
            ("[linux/arm64 builder 3/6] COPY [\"a\", \"b\"]", "linux/arm64 builder"),
            ("[linux/arm64 2/2] RUN x", "linux/arm64"),
            ("[3/6] RUN x", ""),
            ("[test]", "test"),
            ("pull abc", ""),
        ] {
            assert_eq!(stage(label), expected, "{label}");
        }
    }

    #[test]
    fn times_have_tenths_below_a_minute() {
        for (milliseconds, expected) in [(9, "0.0s"), (1_290, "1.2s"), (59_999, "59.9s"), (61_000, "1m01s")] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn a_label_is_one_line() {
        assert_eq!(one_line("[1/2] RUN a;   b\n\tc \u{1b}[2J"), "[1/2] RUN a; b c \\u{1b}[2J");
    }
}
