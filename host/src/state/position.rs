//! A position as text, for people and for JSON. It is the source's own and never a secret; most are text.

use super::hex;

/// Before a position that is shown in hexadecimal, since it is no text that can be shown.
const HEX: &str = "hex:";

/// `position` as it is if it is text on one line, else in hexadecimal, with `hex:` before it.
pub fn text(position: &[u8]) -> String {
    match str::from_utf8(position) {
        Ok(text) if !text.starts_with(HEX) && !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("{HEX}{}", hex::encode(position)),
    }
}

/// What [`text`] made into text; `None` if it did not make this.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix(HEX) {
        Some(digits) => hex::decode(digits),
        None => Some(text.as_bytes().to_vec()),
    }
}

/// For `#[serde(with)]` of a position that may be missing.
pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(position: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        position.as_deref().map(super::text).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text: Option<String> = Deserialize::deserialize(deserializer)?;
        let bytes = text.map(|text| super::bytes(&text).ok_or_else(|| D::Error::custom("it is no position")));
        bytes.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_each_position_comes_back() {
        for (position, shown) in [
            (&br#"{"day":"2026-11-22"}"#[..], r#"{"day":"2026-11-22"}"#),
            (b"", ""),
            ("weiß".as_bytes(), "weiß"),
            (b"\xff\x00", "hex:ff00"),
            (b"a\nb", "hex:610a62"),
            (b"hex:00", "hex:6865783a3030"),
        ] {
            assert_eq!(text(position), shown);
            assert_eq!(bytes(shown).as_deref(), Some(position));
        }
        assert_eq!(bytes("hex:0"), None);
    }
}
