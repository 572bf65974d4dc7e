//! JUnit's XML, in the form that CI systems read (the schema of Jenkins' xUnit plugin): a failure is what was found to be wrong, an error what could
//! not be checked.

use std::fmt::Write;

use crate::check::{Check, Verdict};

/// The report of an image's checks.
pub fn junit(image: &str, checks: &[Check]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut suites: Vec<&str> = Vec::new();
    for check in checks {
        if !suites.contains(&check.suite.as_str()) {
            suites.push(&check.suite);
        }
    }
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<testsuites name=\"{}\" {}>",
        escape(image),
        numbers(&checks.iter().collect::<Vec<_>>())
    );
    for suite in suites {
        let own: Vec<&Check> = checks.iter().filter(|check| check.suite == suite).collect();
        let _ = writeln!(text, "  <testsuite name=\"{}\" {}>", escape(suite), numbers(&own));
        own.iter().for_each(|check| case(check, &mut text));
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn numbers(checks: &[&Check]) -> String {
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let seconds: f64 = checks.iter().map(|check| check.seconds).sum();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\"",
        checks.len(),
        count(Verdict::Failed),
        count(Verdict::Unchecked),
        count(Verdict::Skipped),
    )
}

fn case(check: &Check, text: &mut String) {
    let (suite, name) = (escape(&check.suite), escape(&check.name));
    let _ = write!(text, "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{:.3}\"", check.seconds);
    let reason = escape(check.reason.as_deref().unwrap_or_default());
    let lines = |prefix: &str, lines: &[String]| {
        lines.iter().map(|line| format!("{prefix}{}\n", escape(line))).collect::<String>()
    };
    let _ = match check.verdict {
        Verdict::Passed => writeln!(text, "/>"),
        Verdict::Skipped => writeln!(text, ">\n      <skipped message=\"{reason}\"/>\n    </testcase>"),
        Verdict::Unchecked => {
            writeln!(
                text,
                ">\n      <error message=\"{reason}\">{}</error>\n    </testcase>",
                lines("hint: ", &check.hints)
            )
        }
        Verdict::Failed => {
            let found = |problem: &crate::Problem| {
                escape(&format!("expected {}, found {}", problem.expected, problem.found))
            };
            let problems: Vec<String> = check.problems.iter().map(found).collect();
            let first = problems.first().cloned().unwrap_or_default();
            writeln!(
                text,
                ">\n      <failure message=\"{first}\">{}\n{}{}</failure>\n    </testcase>",
                problems.join("\n"),
                lines("log: ", &check.logs),
                lines("hint: ", &check.hints)
            )
        }
    };
}

/// A text for XML 1.0, which cannot hold most control characters, however they are written.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push('\t'),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checks, Outcome};

    #[test]
    fn each_verdict_has_its_element() {
        let mut checks = Checks::new(false);
        checks.make("behaviour", "starts", Outcome::passed);
        checks.make("behaviour", "answers", || {
            Outcome::failed("<200>", "\"\u{1b}[31m\"").with_logs(vec!["a & b".into()])
        });
        checks.make("hardening", "--memory", || Outcome::unchecked("no cgroup"));
        checks.make("hardening", "user", || Outcome::skipped("none"));
        let mut made = checks.made().to_vec();
        for check in &mut made {
            check.seconds = 0.5;
        }
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"app:dev\" tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"2.000\">
  <testsuite name=\"behaviour\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"1.000\">
    <testcase classname=\"behaviour\" name=\"starts\" time=\"0.500\"/>
    <testcase classname=\"behaviour\" name=\"answers\" time=\"0.500\">
      <failure message=\"expected &lt;200&gt;, found &quot;\u{fffd}[31m&quot;\">expected &lt;200&gt;, found &quot;\u{fffd}[31m&quot;
log: a &amp; b
</failure>
    </testcase>
  </testsuite>
  <testsuite name=\"hardening\" tests=\"2\" failures=\"0\" errors=\"1\" skipped=\"1\" time=\"1.000\">
    <testcase classname=\"hardening\" name=\"--memory\" time=\"0.500\">
      <error message=\"no cgroup\"></error>
    </testcase>
    <testcase classname=\"hardening\" name=\"user\" time=\"0.500\">
      <skipped message=\"none\"/>
    </testcase>
  </testsuite>
</testsuites>
";
        assert_eq!(junit("app:dev", &made), expected);
    }
}
