//! One line of an API 1.0 file of the form `key_value`: `datetime=…|aCode=…|Subject=\Weekly report\`.
//!
//! Nothing in it is escaped, so a `|` in a subject looks like a separator. Section 7.2 of the API reference has the
//! tolerant rules that are followed here.

use super::{
    dictionary::{Field, LISTS, Name},
    field_set::{FieldSet, set},
    scan::Span,
};

/// Whose values are codes, numbers and times: no `|` is ever part of one. So what follows is a key even if it is new.
const WITHOUT_BAR: FieldSet = set(&[
    Field::Timestamp,
    Field::AccountId,
    Field::AggregateId,
    Field::Action,
    Field::Direction,
    Field::RemoteIp,
    Field::SenderIp,
    Field::SourceIp,
    Field::NumberAttachments,
    Field::TotalSizeAttachments,
    Field::SizeAttachment,
    Field::EmailSize,
    Field::Delivered,
    Field::DeliveryAttempts,
    Field::DeliveryTime,
    Field::BytesSent,
    Field::RejectionCode,
    Field::SpamDetectionLevel,
    Field::SpamScore,
    Field::TlsUsed,
    Field::TlsVersion,
    Field::TlsCipher,
    Field::Md5,
    Field::Sha1,
    Field::Sha256,
]);

/// The line has not one `key=value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFields;

impl std::fmt::Display for NoFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the line holds no key=value")
    }
}

/// Hands over the keys and values of a line.
///
/// A `|` separates if a name of the dictionary and a `=` follow; what else it stands before belongs to the value before
/// it, if that is one that can hold a `|`. The first key may be any word. The first `=` ends a key. A text between two backslashes loses them.
pub fn line(text: &[u8], mut each: impl FnMut(Span, Span)) -> Result<(), NoFields> {
    let text = &text[..text.len().min(u32::MAX as usize)];
    let mut name = word(text, 0).ok_or(NoFields)?;
    loop {
        let begin = name.end as usize + 1;
        let any_key_ends_it = Name::find(name.of(text)).is_some_and(|name| WITHOUT_BAR.contains(name.field()));
        let mut at = begin;
        let next = loop {
            match text[at..].iter().position(|byte| *byte == b'|') {
                None => break None,
                Some(found) => {
                    at += found;
                    match word(text, at + 1).filter(|next| any_key_ends_it || known(next.of(text))) {
                        Some(next) => break Some(next),
                        None => at += 1,
                    }
                }
            }
        };
        let end = if next.is_some() { at } else { text.len() };
        each(name, bare(text, begin, end));
        match next {
            Some(next) => name = next,
            None => return Ok(()),
        }
    }
}

/// Whether a word is a name that lines have: `to=` in a subject is no field.
fn known(word: &[u8]) -> bool {
    Name::find(word).is_some_and(|name| !LISTS.contains(name.field()))
}

/// The word before a `=` that begins at `start`. A key is short, and has no blank in it.
fn word(text: &[u8], start: usize) -> Option<Span> {
    const LONGEST: usize = 64;
    let rest = text.get(start..)?;
    let length =
        rest.iter().take(LONGEST).position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'-')?;
    (length > 0 && rest[length] == b'=').then(|| Span { start: start as u32, end: (start + length) as u32 })
}

fn bare(text: &[u8], mut start: usize, mut end: usize) -> Span {
    if end - start >= 2 && text[start] == b'\\' && text[end - 1] == b'\\' {
        start += 1;
        end -= 1;
    }
    Span { start: start as u32, end: end as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(&str, &str)> {
        let mut pairs = Vec::new();
        let slice = |span: Span| &text[span.start as usize..span.end as usize];
        line(text.as_bytes(), |name, value| pairs.push((slice(name), slice(value)))).expect("fields");
        pairs
    }

    #[test]
    fn a_line_is_split_where_a_known_key_follows() {
        assert_eq!(
            read(
                r"datetime=2021-05-12T09: 05:31+0100|Subject=\Q1 | plan|x=1\|RejInfo=\\|Act=Acc|headerFrom=|AttNames=\a"
            ),
            [
                ("datetime", "2021-05-12T09: 05:31+0100"),
                ("Subject", "Q1 | plan|x=1"),
                ("RejInfo", ""),
                ("Act", "Acc"),
                ("headerFrom", ""),
                ("AttNames", r"\a"),
            ]
        );
    }

    #[test]
    fn the_first_equals_sign_ends_the_key() {
        assert_eq!(
            read(
                r#"ReceiptAck=250 2.0.0 OK id=1|SpamProcessingDetail={"spf":{"info":"a|b","allow":true}}|SpamScore=1"#
            ),
            [
                ("ReceiptAck", "250 2.0.0 OK id=1"),
                ("SpamProcessingDetail", r#"{"spf":{"info":"a|b","allow":true}}"#),
                ("SpamScore", "1"),
            ]
        );
    }

    #[test]
    fn a_new_key_is_one_after_a_value_that_holds_no_bar() {
        assert_eq!(
            read("datetime=2021-05-12T09:05:31Z|newKey=a|b|other=1|Act=Acc|newest=2"),
            [("datetime", "2021-05-12T09:05:31Z"), ("newKey", "a|b|other=1"), ("Act", "Acc"), ("newest", "2")]
        );
    }

    #[test]
    fn what_only_lists_have_begins_no_field_of_a_line() {
        assert_eq!(
            read(r"Subject=\a|to=b\|Act=Acc|to=c|size=1"),
            [("Subject", r"a|to=b"), ("Act", "Acc"), ("to", "c|size=1")]
        );
    }

    #[test]
    fn a_line_may_begin_with_an_unknown_key_but_not_without_one() {
        assert_eq!(read("newKey=1|acc=C0"), [("newKey", "1"), ("acc", "C0")]);
        for bad in ["", "no fields here", "=x", "two words=x"] {
            assert_eq!(line(bad.as_bytes(), |_, _| {}), Err(NoFields), "{bad}");
        }
    }
}
