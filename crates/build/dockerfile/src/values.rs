//! Small values as Go reads them: booleans, `KEY=VALUE`.

/// What `strconv.ParseBool` takes.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// `KEY=VALUE` at its first `=`; a text without one is a key with an empty value, as in an image's `Env`.
pub fn key_value(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

/// Sets `key` in a list of `KEY=VALUE`, in place where it stands, at the end where it does not.
pub fn set(list: &mut Vec<String>, key: &str, value: &str) {
    let entry = format!("{key}={value}");
    match list.iter_mut().find(|entry| key_value(entry).0 == key) {
        Some(existing) => *existing = entry,
        None => list.push(entry),
    }
}
