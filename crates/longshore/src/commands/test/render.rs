//! What a test found, for a person.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use longshore_prove::{Check, Verdict};
use serde::Serialize;

use crate::ui::{Report, count, visible};

const PASSED: Style = AnsiColor::Green.on_default();
const FAILED: Style = AnsiColor::Red.on_default().bold();
const UNCHECKED: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();

/// All that was checked.
#[derive(Debug, Serialize)]
pub(super) struct TestReport<'r> {
    pub(super) image: String,
    pub(super) platform: String,
    pub(super) checks: &'r [Check],
}

impl Report for TestReport<'_> {
    fn human(&self) -> String {
        let mut text = String::new();
        let mut suite = "";
        // Writing to a string cannot fail.
        for check in self.checks {
            if suite != check.suite {
                suite = &check.suite;
                let _ = writeln!(text, "{}", visible(suite));
            }
            line(check, &mut text);
        }
        let number = |verdict| self.checks.iter().filter(|check| check.verdict == verdict).count();
        let parts = [
            (Verdict::Failed, "failed"),
            (Verdict::Unchecked, "could not be made"),
            (Verdict::Skipped, "skipped"),
        ];
        let parts = parts.map(|(verdict, word)| (number(verdict), word)).into_iter();
        let parts =
            parts.filter(|(number, _)| *number > 0).map(|(number, word)| format!(", {number} {word}"));
        let rest: String = parts.collect();
        let checks = count(self.checks.len(), "check");
        let _ = writeln!(
            text,
            "{} ({}): {checks}, {} passed{rest}",
            visible(&self.image),
            self.platform,
            number(Verdict::Passed)
        );
        text
    }
}

fn line(check: &Check, text: &mut String) {
    let (mark, style) = match check.verdict {
        Verdict::Passed => ("✓", PASSED),
        Verdict::Failed => ("✗", FAILED),
        Verdict::Skipped => ("–", FAINT),
        Verdict::Unchecked => ("?", UNCHECKED),
    };
    let reason = check.reason.as_ref().map(|reason| format!(": {}", visible(reason))).unwrap_or_default();
    let name = visible(&check.name);
    let _ =
        writeln!(text, "  {style}{mark}{style:#} {name}{reason} {FAINT}({:.2} s){FAINT:#}", check.seconds);
    for problem in &check.problems {
        let _ = writeln!(text, "      expected: {}", indented(&problem.expected));
        let _ = writeln!(text, "      found:    {}", indented(&problem.found));
    }
    if !check.logs.is_empty() {
        let _ = writeln!(text, "      last lines of its log:");
        for logged in &check.logs {
            let _ = writeln!(text, "        {}", visible(logged));
        }
    }
    for hint in &check.hints {
        let _ = writeln!(text, "      hint: {}", visible(hint));
    }
}

/// Lines below the first stand where the first begins.
fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| visible(line).to_string()).collect();
    lines.join("\n                ")
}
