//! Threat intelligence: an indicator of STIX, with its pattern read where it is a plain comparison.

use super::{EventWriter, event::Told, url::Parts};
use crate::{
    normalize::ocsf::intelligence::{HASH, IP_ADDRESS, Type, comparisons},
    record::{
        Field, Value, nested,
        scan::Shape,
        time,
        value::{address, is_hex},
    },
};

/// What a pattern compares with what: `[file:hashes.'SHA-256' = '…']`.
#[derive(Debug, PartialEq, Eq)]
struct Comparison<'p> {
    object: &'p [u8],
    path: &'p [u8],
    value: &'p [u8],
}

impl EventWriter<'_, '_> {
    pub fn threat(&mut self) {
        let kind = self.record.kind();
        self.event(&Told::default());
        let mark = self.json.open("threat");
        self.json.raw(if self.feed_suffix() == "_grid" {
            "\"feed\":{\"name\":\"Mimecast malware of the grid\"},"
        } else {
            "\"feed\":{\"name\":\"Mimecast malware of the customer\"},"
        });
        self.indicator();
        self.json.close(mark);
        self.vendor(kind, |_| {});
    }

    /// Elastic has a data set for each of the two feeds.
    pub fn feed_suffix(&self) -> &'static str {
        if self.input.origin.stream.contains("grid") { "_grid" } else { "_customer" }
    }

    /// Only of what is an indicator: malware and relationships also come alone.
    fn indicator(&mut self) {
        let is_indicator = self.record.peek(Field::Type).text() == Some(b"indicator");
        if !is_indicator && !self.record.has(Field::Pattern) {
            return;
        }
        let mark = self.json.open("indicator");
        let pattern = self.record.peek(Field::Pattern);
        // A text with escapes stands without them already.
        match pattern.text().map(|text| (text, comparison(text))) {
            Some((_, Some(Comparison { object, path, value }))) => {
                self.compared(object, path, Value { bytes: value, ..pattern });
            }
            Some((text, None)) => self.several(&String::from_utf8_lossy(text)),
            None => {}
        }
        let first_seen = [Field::Created, Field::ValidFrom].into_iter().find_map(|field| self.date(field));
        if let Some(time) = first_seen {
            self.time("first_seen", time);
        }
        if self.record.peek(Field::Id).text().is_some() {
            self.json.raw("\"id\":[");
            self.json.scalar_value(self.record.peek(Field::Id));
            self.json.raw("],");
        }
        if let Some(time) = self.date(Field::Modified) {
            self.time("modified_at", time);
        }
        self.json.raw("\"provider\":\"Mimecast\",");
        self.json.close(mark);
    }

    /// Dates also stay as they came.
    fn date(&self, field: Field) -> Option<u64> {
        time::parse(self.record.peek(field))
    }

    /// What the pattern looks for.
    fn compared(&mut self, object: &[u8], path: &[u8], value: Value<'_>) {
        match object {
            b"file" => {
                self.json.literal("type", "file");
                let algorithm = path.strip_prefix(b"hashes.").unwrap_or_default();
                let name = match algorithm.trim_ascii() {
                    b"'SHA-256'" | b"SHA256" | b"'SHA256'" if is_hex(value.bytes, 64) => "sha256",
                    b"'SHA-1'" | b"SHA1" | b"'SHA1'" if is_hex(value.bytes, 40) => "sha1",
                    b"MD5" | b"'MD5'" if is_hex(value.bytes, 32) => "md5",
                    _ => return self.json.scalar("name", value),
                };
                self.related.hash.push(value);
                self.json.raw("\"file\":{\"hash\":{");
                self.json.scalar(name, value);
                self.json.out.pop();
                self.json.raw("}},");
            }
            b"url" => {
                self.json.literal("type", "url");
                let mark = self.json.open("url");
                self.json.scalar("full", value);
                self.json.scalar("original", value);
                let domain = Parts::of(value).domain;
                if !domain.is_empty() {
                    self.json.scalar("domain", Value { bytes: domain, ..value });
                }
                self.json.close(mark);
            }
            b"ipv4-addr" | b"ipv6-addr" => {
                self.json.literal("type", if object == b"ipv4-addr" { "ipv4-addr" } else { "ipv6-addr" });
                if let Some((ip, None)) = address(value.bytes) {
                    self.write_ip(value, ip, None);
                }
            }
            b"email-addr" => {
                self.json.literal("type", "email-addr");
                let mark = self.json.open("email");
                self.json.scalar("address", value);
                self.json.close(mark);
            }
            b"domain-name" => {
                self.json.literal("type", "domain-name");
                self.json.scalar("name", value);
            }
            _ => self.json.scalar("name", value),
        }
    }

    /// What a pattern of several comparisons looks for: the hashes of one file (one of each algorithm; all of them are
    /// related), or addresses. ECS has no place for a choice of anything else.
    fn several(&mut self, pattern: &str) {
        let found = comparisons(pattern);
        let of = |kind: Type| found.iter().filter(move |(own, _)| *own == kind).map(|(_, value)| value.as_str());
        let hashes: Vec<&str> = of(HASH).collect();
        let addresses = || of(IP_ADDRESS).filter_map(|ip| Some((ip, address(ip.as_bytes())?.0)));
        if !hashes.is_empty() {
            self.json.literal("type", "file");
        } else if let Some((_, ip)) = addresses().next() {
            self.json.literal("type", if ip.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" });
        }
        let file = self.json.open("file");
        let hash = self.json.open("hash");
        for (name, digits) in [("md5", 32), ("sha1", 40), ("sha256", 64)] {
            if let Some(hash) = hashes.iter().find(|hash| is_hex(hash.as_bytes(), digits)) {
                self.json.text(name, hash.as_bytes());
            }
        }
        self.json.close(hash);
        self.json.close(file);
        hashes.iter().for_each(|hash| self.related.hash.push(as_text(hash)));
        for (index, (written, ip)) in addresses().enumerate() {
            if index == 0 {
                self.write_ip(as_text(written), ip, None);
            }
            self.related.ip.push(as_text(written));
        }
    }

    /// The labels of an indicator, as elements of `tags`. What is no list of texts also stays as it is.
    pub fn indicator_labels(&mut self) {
        let labels = self.record.peek(Field::Labels);
        if labels.shape != Shape::Nested || nested::is_object(labels.bytes) {
            return;
        }
        let mut whole = true;
        let json = &mut self.json;
        nested::each(labels.bytes, |_, label| match label.text() {
            Some(_) => {
                json.scalar_value(label);
                json.comma();
            }
            None => whole &= !label.populated(),
        });
        if whole {
            self.record.read(Field::Labels);
        }
    }
}

fn as_text(text: &str) -> Value<'_> {
    Value { shape: Shape::Text, bytes: text.as_bytes() }
}

/// One comparison for equality; `None` for any other pattern, which stays as it is.
fn comparison(pattern: &[u8]) -> Option<Comparison<'_>> {
    let inner = pattern.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
    let equals = inner.iter().position(|byte| *byte == b'=')?;
    let (left, right) = (inner[..equals].trim_ascii(), inner[equals + 1..].trim_ascii());
    let colon = left.iter().position(|byte| *byte == b':')?;
    let value = right.strip_prefix(b"'")?.strip_suffix(b"'")?;
    let plain =
        !value.iter().any(|byte| matches!(byte, b'\'' | b'\\')) && !left.iter().any(|byte| b"<>!".contains(byte));
    (plain && !value.is_empty()).then_some(Comparison { object: &left[..colon], path: &left[colon + 1..], value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_comparison_is_read() {
        let found = comparison(b"[file:hashes.'SHA-256' = '00ff']").expect("a comparison");
        assert_eq!((found.object, found.path, found.value), (&b"file"[..], &b"hashes.'SHA-256'"[..], &b"00ff"[..]));
        for other in [
            "",
            "[]",
            "[file:name != 'a']",
            "[a:b = 'c'] AND [d:e = 'f']",
            "[a:b = 'c' OR a:b = 'd']",
            "[a:b = 1]",
            "[a:b = 'it\\'s']",
            "[a = 'b']",
        ] {
            assert_eq!(comparison(other.as_bytes()), None, "{other}");
        }
    }
}
