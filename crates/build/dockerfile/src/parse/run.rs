//! RUN and its mounts. Follows BuildKit's instructions/commands_runmount.go.

use std::ops::Range;

use crate::instruction::{Mount, Run, Word};
use crate::{Diagnostic, Span, mount};

use super::flags::Flags;
use super::read::Reader;

impl Reader<'_> {
    pub(super) fn run(
        &mut self,
        place: &Span,
        flags: &mut Flags,
        arguments: &Range<usize>,
    ) -> Result<Run, Diagnostic> {
        let mounts = flags.texts("mount");
        let network = flags.text("network");
        let security = flags.text("security");
        let devices = flags.texts("device");
        self.choice("network mode", network.as_ref(), &["default", "none", "host"]);
        self.choice("security mode", security.as_ref(), &["sandbox", "insecure"]);
        let mounts = mounts.iter().filter_map(|value| self.mount(value)).collect();
        for device in &devices {
            if let Err(problem) = mount::fields(device) {
                self.diagnostics.push(problem);
            }
        }
        let command = self.command_line("RUN", place, arguments)?;
        Ok(Run { command, heredocs: self.heredocs.clone(), mounts, network, security, devices })
    }

    fn choice(&mut self, what: &str, word: Option<&Word>, allowed: &[&str]) {
        if let Some(word) = word.filter(|word| !allowed.contains(&word.text.as_str())) {
            let message = format!("invalid {what} `{}`", word.text);
            let mut problem = Diagnostic::error("invalid-flag-value", word.span.clone(), message)
                .with_likely(&word.text, allowed.iter().copied());
            problem.hint.get_or_insert_with(|| format!("it is one of {}", allowed.join(", ")));
            self.diagnostics.push(problem);
        }
    }

    fn mount(&mut self, value: &Word) -> Option<Mount> {
        let checked = mount::fields(value).and_then(|fields| {
            let mount = Mount { span: value.span.clone(), fields };
            mount::check(&mount).map(|()| mount)
        });
        match checked {
            Ok(mount) => Some(mount),
            Err(problem) => {
                self.diagnostics.push(problem);
                None
            }
        }
    }
}
