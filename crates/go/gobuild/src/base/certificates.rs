//! The CA certificates of the built-in base: Mozilla's, as the crate `webpki-root-certs` carries them.

/// Version of the crate that the certificates come from; a test holds it against Cargo.lock.
pub(crate) const CERTIFICATES_VERSION: &str = "1.0.11";

/// The bundle as PEM, in the order of the crate, with a company's own certificates behind it.
pub(crate) fn bundle(extra: &[Vec<u8>]) -> Vec<u8> {
    let mut text = Vec::with_capacity(256 * 1024);
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        push_pem(&mut text, certificate.as_ref());
    }
    for certificates in extra {
        text.extend_from_slice(certificates);
    }
    text
}

fn push_pem(text: &mut Vec<u8>, der: &[u8]) {
    use base64::Engine;
    text.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(b"-----END CERTIFICATE-----\n");
}

/// The certificates in a PEM file, without what stands between them; `None` if there are none, or one is cut off.
pub(crate) fn pem_certificates(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN CERTIFICATE-----") {
        let end_line = "-----END CERTIFICATE-----";
        let end = start + rest[start..].find(end_line)? + end_line.len();
        found.extend(rest[start..end].lines().flat_map(|line| [line.trim_end().as_bytes(), b"\n"].concat()));
        rest = &rest[end..];
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_linked() {
        let lock =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../Cargo.lock")).unwrap();
        let wanted = format!("name = \"webpki-root-certs\"\nversion = \"{CERTIFICATES_VERSION}\"");
        assert!(lock.contains(&wanted), "CERTIFICATES_VERSION is not the version in Cargo.lock");
    }

    #[test]
    fn the_bundle_is_pem_and_extra_certificates_stand_behind() {
        let own = pem_certificates(
            b"junk\r\n-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\nmore",
        )
        .unwrap();
        assert_eq!(own, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let bundle = bundle(std::slice::from_ref(&own));
        assert!(bundle.ends_with(&own));
        let count =
            pem_certificates(&bundle).unwrap().windows(11).filter(|window| window == b"-----BEGIN ").count();
        assert_eq!(count, webpki_root_certs::TLS_SERVER_ROOT_CERTS.len() + 1);
        for bad in [&b""[..], b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\xff"] {
            assert_eq!(pem_certificates(bad), None);
        }
    }
}
