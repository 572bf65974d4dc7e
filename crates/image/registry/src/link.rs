//! `Link`: where the next page of a list is. RFC 8288; OCI distribution-spec 1.1, "Listing tags".

/// The target of the first link whose relation is `next`.
pub(crate) fn next(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        // Parameters go on to the next comma that is not in quotes.
        let mut quoted = false;
        let end = after.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        });
        let (parameters, following) = after.split_at(end.unwrap_or(after.len()));
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        rest = following;
    }
}

fn is_next(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
    name.trim().eq_ignore_ascii_case("rel") && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_next_page_is_found_among_links() {
        for (value, expected) in [
            (r#"</v2/a/tags/list?last=z&n=2>; rel="next""#, Some("/v2/a/tags/list?last=z&n=2")),
            ("<x>; rel=next", Some("x")),
            (r#"<a>; rel="prev", <b>; title="x, <y>"; REL="start next""#, Some("b")),
            (r#"<a>; rel="previous""#, None),
            ("<a", None),
            ("", None),
        ] {
            assert_eq!(super::next(value), expected, "{value}");
        }
    }
}
