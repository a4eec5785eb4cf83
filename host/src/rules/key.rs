//! The key of a rule that hashes.

use std::fmt;
use std::sync::Arc;

use ring::hmac;
use zeroize::Zeroizing;

/// A secret: it shows itself to nobody, and its memory is wiped after the last use.
#[derive(Clone)]
pub struct Key(Arc<Inner>);

struct Inner {
    secret: Zeroizing<String>,
    /// Made of the secret.
    hmac: hmac::Key,
}

impl Key {
    pub fn new(secret: Zeroizing<String>) -> Self {
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self(Arc::new(Inner { secret, hmac }))
    }

    /// Appends the HMAC-SHA-256 of `text` in lower-case hexadecimal digits, 64 of them.
    pub fn hash(&self, text: &str, out: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in hmac::sign(&self.0.hmac, text.as_bytes()).as_ref() {
            out.extend([byte >> 4, byte & 15].map(|half| char::from(DIGITS[usize::from(half)])));
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.secret == other.0.secret
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Key {
        Key::new(Zeroizing::new(secret.to_owned()))
    }

    #[test]
    fn hashes_as_rfc_4231_says() {
        let mut out = String::from("> ");
        key("Jefe").hash("what do ya want for nothing?", &mut out);
        assert_eq!(out, "> 5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn a_key_is_compared_and_not_shown() {
        assert_eq!(key("hunter2"), key("hunter2"));
        assert_ne!(key("hunter2"), key("hunter3"));
        assert_eq!(format!("{:?}", key("hunter2")), "Key(hidden)");
    }
}
