//! Signed notes: a text, a blank line, and signatures (`golang.org/x/mod/sumdb/note`).
//!
//! The checksum database signs each of its tree heads this way, with an Ed25519 key that every Go has built in.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// The one algorithm of keys: a key's bytes begin with it.
const ED25519: u8 = 1;
/// More signatures than any note has; reading endless ones is not worth the time.
const MOST_SIGNATURES: usize = 100;
const SIGNATURE_START: &str = "\u{2014} ";

/// A key that signatures are checked with, written `name+hash+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    name: String,
    hash: [u8; 4],
    key: VerifyingKey,
}

/// A verifier's text is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `name+hash+key`.
    #[error("the key is not of the form name+hash+base64")]
    Form,
    /// The hash belongs to another name or key.
    #[error("the key's hash does not belong to its name and bytes")]
    Hash,
    /// Another algorithm than Ed25519.
    #[error("the key's algorithm is not known")]
    Algorithm,
}

/// A note cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not a note.
    #[error("it is not a signed note")]
    Malformed,
    /// The key that should have signed it did not.
    #[error("{0} has not signed it")]
    Unsigned(String),
    /// A signature of the key does not fit the text.
    #[error("the signature of {0} is wrong")]
    WrongSignature(String),
}

impl Verifier {
    /// Whose key it is: the database's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Verifier {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let stated = u32::from_str_radix(hash, 16).map_err(|_| KeyError::Form)?;
        let key = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        if hash.len() != 8 || !is_name(name) {
            return Err(KeyError::Form);
        }
        let digest = Sha256::new().chain_update(name).chain_update("\n").chain_update(&key).finalize();
        if digest[..4] != stated.to_be_bytes() {
            return Err(KeyError::Hash);
        }
        let bytes: &[u8; 32] = match key.split_first() {
            Some((&ED25519, bytes)) => bytes.try_into().map_err(|_| KeyError::Form)?,
            _ => return Err(KeyError::Algorithm),
        };
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Form)?;
        Ok(Verifier { name: name.to_owned(), hash: stated.to_be_bytes(), key })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|character: char| character.is_whitespace() || character == '+')
}

/// The text of a note that the verifier's key signed, with its last line's end.
pub(crate) fn open<'a>(message: &'a [u8], verifier: &Verifier) -> Result<&'a str, NoteError> {
    let message = std::str::from_utf8(message).map_err(|_| NoteError::Malformed)?;
    if message.contains(|character: char| character < ' ' && character != '\n') {
        return Err(NoteError::Malformed);
    }
    let split = message.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, signatures) = (&message[..=split], &message[split + 2..]);
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let mut signed = false;
    for (count, line) in signatures.split('\n').enumerate() {
        let (name, signature) =
            signature_of(line).filter(|_| count < MOST_SIGNATURES).ok_or(NoteError::Malformed)?;
        if name == verifier.name && signature[..4] == verifier.hash {
            let wrong = |_| NoteError::WrongSignature(name.to_owned());
            let signature = Signature::from_slice(&signature[4..]).map_err(wrong)?;
            verifier.key.verify_strict(text.as_bytes(), &signature).map_err(wrong)?;
            signed = true;
        }
    }
    if signed { Ok(text) } else { Err(NoteError::Unsigned(verifier.name.clone())) }
}

/// A signature line's name, and its bytes: four of the key's hash, then the signature.
fn signature_of(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    (is_name(name) && bytes.len() >= 5).then_some((name, bytes))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    /// A key pair made of a seed: the verifier's text and a signer of notes.
    pub(crate) fn key(name: &str, seed: u8) -> (String, impl Fn(&str) -> String) {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(signing.verifying_key().as_bytes());
        let digest = Sha256::new().chain_update(name).chain_update("\n").chain_update(&bytes).finalize();
        let hash: [u8; 4] = digest[..4].try_into().unwrap();
        let verifier = format!("{name}+{:08x}+{}", u32::from_be_bytes(hash), STANDARD.encode(&bytes));
        let owner = name.to_owned();
        let sign = move |text: &str| {
            let signature = [&hash[..], &signing.sign(text.as_bytes()).to_bytes()].concat();
            format!("{text}\n\u{2014} {owner} {}\n", STANDARD.encode(signature))
        };
        (verifier, sign)
    }

    #[test]
    fn a_signed_text_is_given_and_every_change_of_it_refused() {
        let (verifier, sign) = key("db.example/x", 7);
        let verifier: Verifier = verifier.parse().unwrap();
        let text = "first\n\nsecond\n";
        let note = sign(text);
        assert_eq!(open(note.as_bytes(), &verifier), Ok(text));
        for at in 0..note.len() {
            for change in [1, 0x20, 0x80] {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= change;
                assert!(open(&bytes, &verifier).is_err(), "byte {at} ^ {change}");
            }
            assert!(open(&note.as_bytes()[..at], &verifier).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn other_signatures_are_passed_over_and_the_right_one_must_be_there() {
        let (verifier, sign) = key("db", 7);
        let verifier: Verifier = verifier.parse().unwrap();
        let text = "text\n";
        let signature = |note: String| note.rsplit_once("\n\n").unwrap().1.to_owned();
        let (right, wrong) = (signature(sign(text)), signature(sign("other\n")));
        let (other, same_name) = (signature(key("else", 8).1(text)), signature(key("db", 8).1(text)));
        let cases = [
            (vec![&right], Ok(text)),
            (vec![&other, &right], Ok(text)),
            (vec![&right, &right, &same_name], Ok(text)),
            (vec![&right, &wrong], Err(NoteError::WrongSignature("db".into()))),
            (vec![&other, &same_name], Err(NoteError::Unsigned("db".into()))),
            (vec![], Err(NoteError::Malformed)),
            (vec![&right; 101], Err(NoteError::Malformed)),
        ];
        for (signatures, expected) in cases {
            let lines: String = signatures.iter().map(|line| line.as_str()).collect();
            let note = format!("{text}\n{lines}");
            assert_eq!(open(note.as_bytes(), &verifier), expected, "{note}");
        }
        assert_eq!(open(b"text\n\n- db AAAA\n", &verifier), Err(NoteError::Malformed));
        assert_eq!(open(b"a\rb\n\n", &verifier), Err(NoteError::Malformed));
    }

    #[test]
    fn keys_are_read_strictly() {
        let real = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        assert_eq!(real.parse::<Verifier>().unwrap().name(), "sum.golang.org");
        let cases = [
            ("", KeyError::Form),
            ("sum.golang.org", KeyError::Form),
            ("sum.golang.org+033de0ae", KeyError::Form),
            ("sum golang+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", KeyError::Form),
            ("sum.golang.org+33de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", KeyError::Form),
            ("sum.golang.org+033de0ae+!", KeyError::Form),
            ("sum.golang.com+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", KeyError::Hash),
            ("sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", KeyError::Hash),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Verifier>(), Err(expected), "{text}");
        }
    }
}
