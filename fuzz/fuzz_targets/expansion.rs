//! Any text is expanded or refused, in each of the ways there are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore_dockerfile::Expander;

fuzz_target!(|text: &str| {
    let lookup = |name: &str| (name.len() % 2 == 1).then(|| format!("{name}/a.b {name}"));
    for escape in ['\\', '`'] {
        let plain = Expander::new(escape, &lookup);
        for expander in [
            plain,
            plain.keeping_quotes(),
            plain.keeping_quotes().keeping_escapes().keeping_unset(),
            Expander::for_heredoc(&lookup),
        ] {
            let _ = expander.expand(text);
        }
    }
});
