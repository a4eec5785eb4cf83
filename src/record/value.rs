//! What a value means: numbers and booleans that come as text, addresses, hashes.

use std::net::IpAddr;

use super::scan::Shape;
use crate::kind::Kind;

/// One value of a record. Strings stand without quotes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Value<'a> {
    pub shape: Shape,
    pub bytes: &'a [u8],
}

impl<'a> Value<'a> {
    /// Neither null nor the empty string: those say nothing.
    pub fn populated(&self) -> bool {
        self.shape != Shape::Null && !(self.bytes.is_empty() && matches!(self.shape, Shape::Plain | Shape::Text))
    }

    /// The text of a string, number or boolean; `None` for the rest and for an empty string.
    pub fn text(&self) -> Option<&'a [u8]> {
        match self.shape {
            Shape::Null | Shape::Nested => None,
            _ => Some(self.bytes).filter(|bytes| !bytes.is_empty()),
        }
    }

    /// A whole number, also as text.
    pub fn integer(&self) -> Option<i64> {
        integer(self.text()?)
    }

    /// A boolean, also as text: `true`, `Yes`, `"false"`.
    pub fn boolean(&self) -> Option<bool> {
        let text = self.text()?;
        if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"yes") {
            Some(true)
        } else if text.eq_ignore_ascii_case(b"false") || text.eq_ignore_ascii_case(b"no") {
            Some(false)
        } else {
            None
        }
    }
}

/// Digits with at most one minus before them.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -value } else { value })
}

/// The kind that `type` or `eventType` names, in any case. Also by the names that other collectors give the types in
/// what they store: `email_ttp_url`, `url-protect` (section 4.4 of the API reference).
pub fn kind(text: &[u8]) -> Option<Kind> {
    let text = std::str::from_utf8(text).ok()?;
    Kind::from_api2_type(text).or_else(|| {
        let words = text.trim().to_ascii_lowercase().replace(['_', '-'], " ");
        let words = words.strip_prefix("email ").unwrap_or(&words);
        Some(match words {
            "jrnl" => Kind::Journal,
            "antivirus" | "avlog" => Kind::Av,
            "ttp url" => Kind::UrlProtect,
            "ttp ap" => Kind::AttachmentProtect,
            "ttp impersonation" => Kind::ImpersonationProtect,
            "iep" => Kind::InternalEmailProtect,
            other => return Kind::from_api2_type(other),
        })
    })
}

/// What OCSF takes for an e-mail address, by its pattern. `<>` is none, nor is a domain with an underscore.
pub fn is_email(text: &[u8]) -> bool {
    let prefix =
        |text: &[u8], class: u8| text.iter().take_while(|byte| CLASSES[usize::from(**byte)] & class != 0).count();
    // No `@` is of the class, so this is what stands before the first one.
    let local = prefix(text, LOCAL);
    if local == 0 || text.get(local) != Some(&b'@') {
        return false;
    }
    let domain = &text[local + 1..];
    let label = prefix(domain, LABEL);
    let Some(rest) = domain[label..].strip_prefix(b".") else { return false };
    label > 0 && !rest.is_empty() && prefix(rest, DOMAIN) == rest.len()
}

/// `[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]`: in the pattern, `+-/` is a range, so a comma is in it.
const LOCAL: u8 = 1;
/// `[a-zA-Z0-9-]`
const LABEL: u8 = 2;
/// `[a-zA-Z0-9.-]`
const DOMAIN: u8 = 4;

/// Which of these classes a byte is of.
static CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = LOCAL | LABEL | DOMAIN;
        }
        byte += 1;
    }
    let others = b"!#$%&'*+,-./=?^_`{|}~";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = LOCAL;
        index += 1;
    }
    table[b'-' as usize] = LOCAL | LABEL | DOMAIN;
    table[b'.' as usize] = LOCAL | DOMAIN;
    table
};

/// An IP address, maybe with a port: `192.0.2.1:25`, `[2001:db8::1]:25`.
pub fn address(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    if text.len() > 64 {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(port(rest.strip_prefix(':')?)?) };
        return Some((IpAddr::V6(ip.parse().ok()?), port));
    }
    let (ip, rest) = text.split_once(':')?;
    Some((IpAddr::V4(ip.parse().ok()?), Some(port(rest)?)))
}

fn port(text: &str) -> Option<u16> {
    if text.starts_with('+') { None } else { text.parse().ok() }
}

/// Exactly that many hexadecimal digits.
pub fn is_hex(text: &[u8], digits: usize) -> bool {
    text.len() == digits && text.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_all_their_names() {
        for (text, expected) in [
            ("attachment protect", Some(Kind::AttachmentProtect)),
            (" Receipt ", Some(Kind::Receipt)),
            ("email_delivery", Some(Kind::Delivery)),
            ("email_ttp_impersonation", Some(Kind::ImpersonationProtect)),
            ("email_antivirus", Some(Kind::Av)),
            ("internal-email-protect", Some(Kind::InternalEmailProtect)),
            ("email_iep", Some(Kind::InternalEmailProtect)),
            ("jrnl", Some(Kind::Journal)),
            ("entities", Some(Kind::CloudEntities)),
            ("events", None),
            ("email_", None),
            ("", None),
        ] {
            assert_eq!(kind(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn addresses() {
        for good in ["a@b.c", "a,b@x.example.com", "a.b+c@x-y.example", "x=1@b.c.", "_@b.c"] {
            assert!(is_email(good.as_bytes()), "{good}");
        }
        for bad in
            ["<>", "", "a@b", "a@b_c.de", "@b.c", "a@.c", "a@b.", "a b@c.de", "a@@b.c", "<a@b.c>", "a@b.c\n", "ä@b.c"]
        {
            assert!(!is_email(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn ip_addresses_with_and_without_a_port() {
        let good = [
            ("192.0.2.1", "192.0.2.1", None),
            ("192.0.2.1:25", "192.0.2.1", Some(25)),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]:587", "2001:db8::1", Some(587)),
            ("[2001:db8::1]", "2001:db8::1", None),
        ];
        for (text, ip, port) in good {
            assert_eq!(address(text.as_bytes()), Some((ip.parse().expect("an address"), port)), "{text}");
        }
        for bad in ["Internal IP", "192.0.2", "192.0.2.1:99999", "192.0.2.1:+5", "192.0.2.1:", "[::1]x", ""] {
            assert_eq!(address(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn numbers_and_booleans_as_text() {
        let text = |bytes| Value { shape: Shape::Text, bytes };
        assert_eq!(text(b"-12").integer(), Some(-12));
        for bad in [&b"1.0"[..], b"", b"-", b"1e3", b"12345678901234567890", b" 1"] {
            assert_eq!(text(bad).integer(), None);
        }
        assert_eq!(text(b"Yes").boolean(), Some(true));
        assert_eq!(text(b"FALSE").boolean(), Some(false));
        assert_eq!(text(b"1").boolean(), None);
        assert!(!text(b"").populated());
        assert!(text(b" ").populated());
        assert!(Value { shape: Shape::Nested, bytes: b"[]" }.populated());
    }
}
