//! Expansion: what is refused and why, which names were asked for, and what differs from upstream on purpose. That values come out
//! as upstream's do is compared in `upstream`.

use longshore_dockerfile::{ExpandErrorKind, Expander, expand, expand_heredoc, expand_words};

fn lookup(name: &str) -> Option<String> {
    let values = [("HOME", "/root"), ("EMPTY", ""), ("TWO", "a  b"), ("FILE", "pkg/app.tar.gz")];
    values.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

#[test]
fn words_become_values() {
    let cases = [
        ("plain", "plain"),
        ("a'b c'd", "ab cd"),
        ("\"$HOME/x\"", "/root/x"),
        ("'$HOME'", "$HOME"),
        ("\\$HOME", "$HOME"),
        ("$HOME$NONE.", "/root."),
        ("${EMPTY:-d}${EMPTY-d}${NONE-d}", "dd"),
        ("${HOME:+s}${EMPTY:+s}${EMPTY+s}", "ss"),
        ("${NONE:-${EMPTY:-${HOME}}}", "/root"),
        ("${FILE#*.}|${FILE##*.}|${FILE%.*}|${FILE%%.*}", "tar.gz|gz|pkg/app.tar|pkg/app"),
        (
            "${FILE/a/A}|${FILE//a/A}|${FILE//\\//:}|${FILE/?.*/}",
            "pkg/App.tar.gz|pkg/App.tAr.gz|pkg:app.tar.gz|pkg/ap",
        ),
        ("$$", ""),
        ("a$", "a$"),
        ("tail\\", "tail"),
    ];
    for (word, expected) in cases {
        assert_eq!(expand(word, '\\', &lookup).as_deref(), Ok(expected), "{word}");
    }
    assert_eq!(expand("C:\\x`$HOME", '`', &lookup).as_deref(), Ok("C:\\x$HOME"));
}

#[test]
fn texts_are_split_behind_expansion() {
    let words = |text| expand_words(text, '\\', &lookup).unwrap();
    assert_eq!(words("a$TWO \"$TWO\" c\\ d ''"), ["aa", "b", "a  b", "c d"]);
    assert_eq!(words("80${NONE:-81}"), ["81"], "as upstream has it");
    assert_eq!(words("  "), [""; 0]);
}

#[test]
fn heredocs_keep_their_quotes() {
    let text = "say \"$HOME\" and '$HOME' \\$HOME it's\n";
    assert_eq!(expand_heredoc(text, &lookup).unwrap(), "say \"/root\" and '/root' $HOME it's\n");
}

#[test]
fn what_cannot_be_expanded_says_why() {
    let cases: [(&str, &str, bool); 13] = [
        ("a'b", "the quote ' is not closed", true),
        ("a\"b", "the quote \" is not closed", true),
        ("${HOME", "the brace of ${ is not closed", true),
        ("${HOME:-x", "the brace of ${ is not closed", true),
        ("${}", "bad substitution", true),
        ("${{x}}", "bad substitution", true),
        ("${HOME:=x}", "unsupported modifier `:=` in substitution", true),
        ("${HOME:#x}", "unsupported modifier `:#` in substitution", true),
        ("${HOME^}", "unsupported modifier `^` in substitution", true),
        ("${HOME/x}", "the second / of ${variable/pattern/replacement} is missing", false),
        ("${HOME#\\a}", "invalid pattern `\\a` in substitution: invalid escape \\a", false),
        ("${NONE:?}", "NONE: is not allowed to be unset", true),
        ("${EMPTY:?set it}", "EMPTY: set it", true),
    ];
    for (word, message, has_hint) in cases {
        let error = expand(word, '\\', &lookup).unwrap_err();
        assert_eq!(error.kind.to_string(), message, "{word}");
        assert_eq!(error.to_string(), format!("cannot expand `{word}`"));
        assert_eq!(error.hint().is_some(), has_hint, "{word}");
    }
}

#[test]
fn names_that_were_asked_for_are_known() {
    let expansion = Expander::new('\\', &lookup).expand("$HOME ${NONE:-$EMPTY} '$SKIPPED' ${HOME}").unwrap();
    assert_eq!(expansion.used.into_iter().collect::<Vec<_>>(), ["EMPTY", "HOME"]);
    assert_eq!(expansion.unset.into_iter().collect::<Vec<_>>(), ["NONE"]);
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth: usize| format!("{}x{}", "${NONE:-".repeat(depth), "}".repeat(depth));
    assert_eq!(expand(&nested(99), '\\', &lookup).as_deref(), Ok("x"));
    assert_eq!(expand(&nested(100), '\\', &lookup).unwrap_err().kind, ExpandErrorKind::TooDeep);
    assert_eq!(expand(&nested(100_000), '\\', &lookup).unwrap_err().kind, ExpandErrorKind::TooDeep);
}
