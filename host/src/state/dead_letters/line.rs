//! A letter as a line. The checksum is its last member and covers what stands before it, so that a damaged line is found
//! and its neighbours are not: a line feed inside a letter is escaped, and so each line is a letter.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use flate2::Crc;
use serde::{Deserialize, Serialize};

use super::{DeadLetter, Refused};

const CHECK: &[u8] = b",\"check\":\"";
/// The checksum's member with its eight digits, and the end of the object.
const TAIL: usize = CHECK.len() + 8 + 2;
/// How each letter begins. Inside a text the quotes would be escaped, so it is found nowhere else.
const BEGIN: &[u8] = b"{\"id\":\"";

/// How a letter is written. What earlier releases wrote has no `unsure`; or no `id`, no `check` and none of the members from
/// `sink` on.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    id: String,
    time: String,
    source: String,
    stream: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sink: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Event>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unsure: bool,
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    encoding: Encoding,
    head: String,
    truncated: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    tenant: String,
    id: String,
    time: u64,
    kind: u32,
    class: u32,
    severity: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alert_key: Option<String>,
}

#[derive(Serialize, Deserialize, PartialEq)]
enum Encoding {
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "base64")]
    Base64,
}

/// The letter as a line, with its line feed.
pub fn encode(letter: &DeadLetter) -> io::Result<Vec<u8>> {
    let time = i64::try_from(letter.at_ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis).unwrap_or_default();
    let (encoding, head) = match str::from_utf8(&letter.head) {
        Ok(text) => (Encoding::Utf8, text.to_owned()),
        Err(_) => (Encoding::Base64, STANDARD.encode(&letter.head)),
    };
    let event = letter.refused.as_ref().map(|refused| Event {
        tenant: refused.tenant.clone(),
        id: format!("{:032x}", refused.event),
        time: refused.time,
        kind: refused.kind,
        class: refused.class,
        severity: refused.severity,
        alert_key: refused.alert_key.map(|key| format!("{key:032x}")),
    });
    let line = Line {
        id: letter.id.clone(),
        time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
        source: letter.source.clone(),
        stream: letter.stream.clone(),
        reason: letter.reason.clone(),
        sink: letter.refused.as_ref().map(|refused| refused.sink.clone()),
        event,
        unsure: letter.unsure,
        size: letter.size,
        sha256: letter.sha256.clone(),
        encoding,
        head,
        truncated: letter.is_cut(),
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.pop();
    let check = checksum(&bytes);
    bytes.extend_from_slice(CHECK);
    bytes.extend_from_slice(format!("{check:08x}\"}}\n").as_bytes());
    Ok(bytes)
}

/// The letter that `line`, without its line feed, is; `None` if it is damaged.
pub fn decode(line: &[u8]) -> Option<DeadLetter> {
    let line: Line = match line.len().checked_sub(TAIL).map(|at| line.split_at(at)) {
        Some((body, tail)) if tail.starts_with(CHECK) => {
            if tail[CHECK.len()..] != *format!("{:08x}\"}}", checksum(body)).as_bytes() {
                return None;
            }
            serde_json::from_slice(&[body, b"}"].concat()).ok()?
        }
        // An earlier release wrote no checksum, and no id.
        _ => serde_json::from_slice(line).ok().filter(|line: &Line| line.id.is_empty())?,
    };
    letter(line)
}

/// The letters that can be saved from a damaged line, and what is left of it: a damaged line feed makes one line of two.
pub fn rescue(line: &[u8]) -> (Vec<DeadLetter>, Vec<u8>) {
    let begins: Vec<usize> =
        line.windows(BEGIN.len()).enumerate().filter(|(_, bytes)| *bytes == BEGIN).map(|(at, _)| at).collect();
    let ends = begins.iter().skip(1).copied().chain([line.len()]);
    let mut found = Vec::new();
    let mut rest = line[..begins.first().copied().unwrap_or(line.len())].to_vec();
    for (begin, end) in begins.iter().copied().zip(ends) {
        let piece = &line[begin..end];
        let check = piece.windows(CHECK.len()).rposition(|bytes| bytes == CHECK);
        let whole = check.and_then(|at| piece.split_at_checked(at + TAIL));
        match whole.and_then(|(whole, behind)| Some((decode(whole)?, behind))) {
            Some((letter, behind)) => {
                found.push(letter);
                rest.extend_from_slice(behind);
            }
            None => rest.extend_from_slice(piece),
        }
    }
    (found, rest)
}

fn letter(line: Line) -> Option<DeadLetter> {
    let head = match line.encoding {
        Encoding::Utf8 => line.head.into_bytes(),
        Encoding::Base64 => STANDARD.decode(line.head).ok()?,
    };
    let hex = |text: &str| u128::from_str_radix(text, 16).ok();
    let refused = match (line.sink, line.event) {
        (Some(sink), Some(event)) => Some(Refused {
            sink,
            tenant: event.tenant,
            event: hex(&event.id)?,
            time: event.time,
            kind: event.kind,
            class: event.class,
            severity: event.severity,
            alert_key: match event.alert_key {
                Some(key) => Some(hex(&key)?),
                None => None,
            },
        }),
        (None, None) => None,
        _ => return None,
    };
    let letter = DeadLetter {
        id: line.id,
        at_ms: DateTime::parse_from_rfc3339(&line.time).ok()?.timestamp_millis().try_into().ok()?,
        source: line.source,
        stream: line.stream,
        reason: line.reason,
        refused,
        unsure: line.unsure,
        size: line.size,
        sha256: line.sha256,
        head,
    };
    // One of an earlier release has no id yet.
    Some(letter.named(0))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters() -> Vec<DeadLetter> {
        let refused = Refused {
            sink: "lake".into(),
            tenant: "Acme \"Ltd\"".into(),
            event: 7 << 100,
            time: 1_795_000_000_123_456_789,
            kind: 3,
            class: 4009,
            severity: 2,
            alert_key: Some(5),
        };
        // Content that looks like a letter must not be taken for one.
        let inner = encode(&DeadLetter::malformed(1, "a", "s", "r", vec![], None).named(0)).unwrap();
        vec![
            DeadLetter::malformed(
                1_795_000_000_123,
                "acme",
                "audit",
                "not JSON",
                b"{\"a\":\n\"\xc3\xa9".to_vec(),
                None,
            )
            .named(0),
            DeadLetter::malformed(2, "acme", "siem/receipt", "cut", vec![0xff, 0xfe], Some(500)).named(1),
            DeadLetter::refused(3, "acme", "audit", "too long", refused.clone(), &inner).named(2),
            DeadLetter::refused(3, "acme", "audit", "1 of 2", refused, b"{}\n").unsure().named(3),
        ]
    }

    #[test]
    fn comes_back_as_it_was() {
        for letter in letters() {
            let line = encode(&letter).unwrap();
            assert!(line.ends_with(b"\"}\n") && line.iter().filter(|byte| **byte == b'\n').count() == 1);
            assert_eq!(decode(&line[..line.len() - 1]), Some(letter));
        }
    }

    #[test]
    fn each_flipped_bit_is_found() {
        let line = encode(&letters()[2]).unwrap();
        let line = &line[..line.len() - 1];
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.to_vec();
                damaged[at] ^= 1 << bit;
                assert_eq!(decode(&damaged), None, "{}", String::from_utf8_lossy(&damaged));
            }
        }
    }

    #[test]
    fn a_damaged_line_feed_hides_nothing() {
        let letters = letters();
        let mut bytes: Vec<u8> = letters.iter().flat_map(|letter| encode(letter).unwrap()).collect();
        bytes.pop();
        for byte in &mut bytes {
            if *byte == b'\n' {
                *byte = 0;
            }
        }
        assert_eq!(decode(&bytes), None);
        assert_eq!(rescue(&bytes), (letters.clone(), vec![0, 0, 0]));
        // With one of them damaged the others are there.
        let second = bytes.iter().position(|byte| *byte == 0).unwrap() + 50;
        bytes[second] ^= 4;
        let (saved, rest) = rescue(&bytes);
        assert_eq!(saved, [letters[0].clone(), letters[2].clone(), letters[3].clone()]);
        assert!(rest.len() > 100 && rest.len() < bytes.len());
    }

    #[test]
    fn what_an_earlier_release_wrote_is_read() {
        let line = br#"{"time":"2026-11-18T11:06:40.123Z","source":"acme","stream":"audit","reason":"not JSON","size":9,"encoding":"utf-8","head":"x","truncated":true}"#;
        let letter = decode(line).unwrap();
        assert_eq!((letter.at_ms, letter.id.len(), letter.is_cut()), (1_795_000_000_123, 16, true));
        // What one with checksums wrote has the mark only if it is set.
        let known = encode(&letters()[2]).unwrap();
        assert!(!String::from_utf8(known).unwrap().contains("unsure"));
        // A new one whose checksum is gone is not taken for an old one.
        let new = encode(&letter).unwrap();
        let mut cut = new[..new.len() - 1 - TAIL].to_vec();
        cut.push(b'}');
        assert_eq!(decode(&cut), None);
    }
}
