//! Bytes to typed records: spellings, types, kinds; identity.
//!
//! A record is flat: slots by [`Field`], and what the dictionary does not know as [`Extra`]s. Values stay where they
//! are in the record's bytes; only strings with escapes are written anew, into a buffer that all records share.

pub(crate) mod bytes;
pub mod dictionary;
mod escape;
pub mod field_set;
pub mod identity;
pub mod infer;
pub mod keyvalue;
pub mod nested;
pub mod scan;
pub mod time;
pub mod value;

use std::cell::Cell;

pub use dictionary::Field;
use dictionary::{FIELD_COUNT, NAME_COUNT, Name, NameSet, TRANSPORT};
pub use field_set::{FieldSet, set};
use nested::Tree;
use scan::{Member, ScanError, Shape, Span};
pub use value::Value;

use crate::kind::{Generation, Kind};

/// One value: where it stands and what it looks like.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    span: Span,
    shape: Shape,
    /// The span is one of the scratch buffer, not of the record.
    scratch: bool,
}

/// A member that the dictionary does not know, or a second spelling of a field that is taken.
#[derive(Debug, Clone, Copy)]
struct Extra {
    name: Span,
    name_scratch: bool,
    slot: Slot,
}

/// The members of one record. Made once and used for one record after the other.
#[derive(Debug)]
pub struct Fields {
    slots: [Slot; FIELD_COUNT],
    /// The spelling of each populated field; of the others, whatever was there before.
    names: [Name; FIELD_COUNT],
    populated: FieldSet,
    /// Every spelling that occurred, with or without a value: what the kind is inferred from.
    seen: NameSet,
    extras: Vec<Extra>,
    scratch: Vec<u8>,
    /// What `spamProcessingDetail` holds: identity and mapping need it, and it is long.
    spam_detail: nested::Wrapped,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            slots: [Slot::default(); FIELD_COUNT],
            names: [Name::FIRST; FIELD_COUNT],
            populated: FieldSet::EMPTY,
            seen: [0; NAME_COUNT.div_ceil(64)],
            extras: Vec::new(),
            scratch: Vec::new(),
            spam_detail: nested::Wrapped::default(),
        }
    }
}

impl Fields {
    fn clear(&mut self) {
        self.populated = FieldSet::EMPTY;
        self.seen = Default::default();
        self.extras.clear();
        self.scratch.clear();
    }

    /// Reads a JSON object.
    pub fn read_json(&mut self, text: &[u8]) -> Result<(), ScanError> {
        self.clear();
        scan::object(text, |member| self.add_member(text, member))?;
        self.settle(text);
        self.read_spam_detail(text);
        Ok(())
    }

    /// Reads one line of `key=value|key=value`.
    pub fn read_key_value(&mut self, text: &[u8]) -> Result<(), keyvalue::NoFields> {
        self.clear();
        keyvalue::line(text, |name, span| {
            let slot = Slot { span, shape: Shape::Text, scratch: false };
            match Name::find(name.of(text)) {
                Some(known) => self.add_known(text, known, slot),
                None => self.extras.push(Extra { name, name_scratch: false, slot }),
            }
        })?;
        self.settle(text);
        self.read_spam_detail(text);
        Ok(())
    }

    fn read_spam_detail(&mut self, text: &[u8]) {
        if self.populated.contains(Field::SpamProcessingDetail) {
            let mut detail = std::mem::take(&mut self.spam_detail);
            detail.read(self.value(text, Field::SpamProcessingDetail));
            self.spam_detail = detail;
        }
    }

    #[inline]
    fn add_member(&mut self, text: &[u8], member: Member) {
        let mut slot = Slot { span: member.value, shape: member.shape, scratch: false };
        if member.shape == Shape::Escaped {
            slot = Slot { span: self.unescape(member.value.of(text)), shape: Shape::Text, scratch: true };
        }
        let (name, known) = if member.key_escaped {
            let name = self.unescape(member.key.of(text));
            (name, Name::find(name.of(&self.scratch)))
        } else {
            (member.key, Name::find(member.key.of(text)))
        };
        match known {
            Some(known) => self.add_known(text, known, slot),
            None => self.extras.push(Extra { name, name_scratch: member.key_escaped, slot }),
        }
    }

    fn unescape(&mut self, text: &[u8]) -> Span {
        let start = self.scratch.len() as u32;
        scan::unescape(text, &mut self.scratch);
        Span { start, end: self.scratch.len() as u32 }
    }

    /// Of two spellings of one field, the one that the dictionary lists first stands, if it has a value; the other
    /// becomes an extra under the name that it came with. Of one spelling twice, the last stands, as in any JSON.
    #[inline]
    fn add_known(&mut self, text: &[u8], name: Name, slot: Slot) {
        name.add_to(&mut self.seen);
        let field = name.field();
        let index = field as usize;
        let populated = self.resolve(text, slot).populated();
        let taken = self.names[index];
        if self.populated.contains(field) && taken != name {
            if !populated {
                return;
            }
            let (loser, slot) = if name < taken {
                let old = std::mem::replace(&mut self.slots[index], slot);
                self.names[index] = name;
                (taken, old)
            } else {
                (name, slot)
            };
            self.add_extra(loser.text(), slot);
            return;
        }
        self.slots[index] = slot;
        self.names[index] = name;
        if populated {
            self.populated.insert(field);
        } else {
            self.populated.remove(field);
        }
    }

    fn add_extra(&mut self, name: &str, slot: Slot) {
        let start = self.scratch.len() as u32;
        self.scratch.extend_from_slice(name.as_bytes());
        let name = Span { start, end: self.scratch.len() as u32 };
        self.extras.push(Extra { name, name_scratch: true, slot });
    }

    /// Sorts the extras by name and keeps the last of each.
    fn settle(&mut self, text: &[u8]) {
        if self.extras.len() < 2 {
            return;
        }
        let scratch = &self.scratch;
        let name = |extra: &Extra| extra.name.of(if extra.name_scratch { scratch } else { text });
        self.extras.sort_by(|left, right| name(left).cmp(name(right)));
        // `dedup_by` keeps the first of a run, and the sort is stable: move the later value into it.
        self.extras.dedup_by(|later, kept| {
            let same = name(later) == name(kept);
            if same {
                kept.slot = later.slot;
            }
            same
        });
    }

    fn resolve<'a>(&'a self, text: &'a [u8], slot: Slot) -> Value<'a> {
        Value { shape: slot.shape, bytes: slot.span.of(if slot.scratch { &self.scratch } else { text }) }
    }

    fn value<'a>(&'a self, text: &'a [u8], field: Field) -> Value<'a> {
        if !self.populated.contains(field) {
            return Value::default();
        }
        self.resolve(text, self.slots[field as usize])
    }

    /// What kind of SIEM record this is: its own `type` (API 2.0) says it, else where it came from, else its fields.
    ///
    /// A type that is not known hides the other two only in API 2.0: records of API 1.0 carry none.
    pub fn siem_kind(&self, text: &[u8], told: Option<Kind>, generation: Generation) -> Kind {
        let own = self.value(text, Field::Type);
        let named = own.text().and_then(value::kind);
        if named.is_some() || (generation == Generation::V2 && own.populated()) {
            return named.unwrap_or(Kind::SiemOther);
        }
        told.or_else(|| (generation == Generation::V1).then(|| infer::kind(&self.seen)).flatten())
            .unwrap_or(Kind::SiemOther)
    }

    /// API 1.0 calls the other side of any connection `IP`. Gives it the name that the kind makes it.
    fn name_remote_ip(&mut self, kind: Kind) {
        let field = if kind == Kind::Delivery { Field::DestinationIp } else { Field::SenderIp };
        if self.populated.contains(Field::RemoteIp) && !self.populated.contains(field) {
            self.slots[field as usize] = self.slots[Field::RemoteIp as usize];
            self.populated.remove(Field::RemoteIp);
            self.populated.insert(field);
        }
    }

    /// The record of that kind. `text` is what was read last.
    pub fn record<'a>(&'a mut self, text: &'a [u8], kind: Kind) -> Record<'a> {
        if kind != Kind::Audit {
            self.name_remote_ip(kind);
        }
        Record { text, fields: self, kind, read: Cell::new(TRANSPORT) }
    }
}

/// One record of a known kind. Knows which of its fields were read, so that the rest can be kept.
#[derive(Debug)]
pub struct Record<'a> {
    text: &'a [u8],
    fields: &'a Fields,
    kind: Kind,
    read: Cell<FieldSet>,
}

impl<'a> Record<'a> {
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A field's value, which from now on counts as delivered. Not populated: a null.
    pub fn read(&self, field: Field) -> Value<'a> {
        let mut read = self.read.get();
        read.insert(field);
        self.read.set(read);
        self.peek(field)
    }

    /// A field's value, for a decision only.
    pub fn peek(&self, field: Field) -> Value<'a> {
        self.fields.value(self.text, field)
    }

    /// Takes back a [`Record::read`]: the value had no place where it was to go, so it must be kept as it is.
    pub fn put_back(&self, field: Field) {
        let mut read = self.read.get();
        read.remove(field);
        self.read.set(read);
    }

    /// What `spamProcessingDetail` holds, whichever way it is wrapped, if it is an array or object. Does not count as read.
    pub fn spam_detail(&self) -> Option<Tree<'a>> {
        if self.has(Field::SpamProcessingDetail) { self.fields.spam_detail.tree() } else { None }
    }

    /// The name that a populated field came with.
    pub fn spelling(&self, field: Field) -> &'static str {
        let name = self.fields.names[field as usize];
        if name.field() == field { name.text() } else { field.name() }
    }

    pub fn has(&self, field: Field) -> bool {
        self.fields.populated.contains(field)
    }

    /// Whether any of these fields has a value.
    pub fn has_any(&self, fields: FieldSet) -> bool {
        self.fields.populated.intersects(fields)
    }

    /// The populated fields in the order of their names, transport fields left out.
    pub fn populated(&self) -> impl Iterator<Item = (Field, Value<'a>)> + use<'a> {
        let (text, fields) = (self.text, self.fields);
        fields.populated.without(TRANSPORT).iter().map(move |field| (field, fields.value(text, field)))
    }

    /// The populated fields that nobody has read yet.
    pub fn unread(&self) -> impl Iterator<Item = (Field, Value<'a>)> + use<'a> {
        let (text, fields) = (self.text, self.fields);
        fields.populated.without(self.read.get()).iter().map(move |field| (field, fields.value(text, field)))
    }

    /// The populated members that the dictionary does not know, sorted by name. Names without escapes.
    pub fn extras(&self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
        let (text, fields) = (self.text, self.fields);
        fields
            .extras
            .iter()
            .map(move |extra| {
                let name = extra.name.of(if extra.name_scratch { &fields.scratch } else { text });
                (name, fields.resolve(text, extra.slot))
            })
            .filter(|(_, value)| value.populated())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(json: &str, kind: Kind, look: impl FnOnce(&Record<'_>) -> T) -> T {
        let mut fields = Fields::default();
        fields.read_json(json.as_bytes()).expect("valid");
        look(&fields.record(json.as_bytes(), kind))
    }

    fn dump(json: &str) -> Vec<(String, String)> {
        read(json, Kind::Receipt, |record| {
            record
                .populated()
                .map(|(field, value)| (field.name().as_bytes(), value))
                .chain(record.extras())
                .map(|(name, value)| {
                    (String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value.bytes).into_owned())
                })
                .collect()
        })
    }

    #[test]
    fn spellings_are_one_field() {
        for json in [r#"{"type":"x"}"#, r#"{"eventType":"x"}"#, r#"{"event\u0054ype":"\u0078"}"#] {
            assert_eq!(dump(json), [("type".to_owned(), "x".to_owned())], "{json}");
        }
    }

    #[test]
    fn two_spellings_in_one_record_lose_nothing_whatever_their_order() {
        let expected = [("type".to_owned(), "a".to_owned()), ("eventType".to_owned(), "b".to_owned())];
        assert_eq!(dump(r#"{"type":"a","eventType":"b"}"#), expected);
        assert_eq!(dump(r#"{"eventType":"b","type":"a"}"#), expected);
        assert_eq!(dump(r#"{"type":null,"eventType":"b"}"#), [("type".to_owned(), "b".to_owned())]);
        assert_eq!(dump(r#"{"eventType":"b","type":""}"#), [("type".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn the_last_of_two_equal_keys_stands() {
        assert_eq!(dump(r#"{"action":"a","action":"b"}"#), [("action".to_owned(), "b".to_owned())]);
        assert_eq!(dump(r#"{"zz":"a","aa":1,"zz":"b"}"#)[1], ("zz".to_owned(), "b".to_owned()));
        assert_eq!(dump(r#"{"action":"a","action":null}"#), []);
    }

    #[test]
    fn the_remote_address_gets_the_name_that_the_kind_makes_it() {
        let json = r#"{"IP":"192.0.2.1"}"#;
        assert_eq!(read(json, Kind::Receipt, |r| r.peek(Field::SenderIp).bytes.to_vec()), b"192.0.2.1");
        assert_eq!(read(json, Kind::Delivery, |r| r.peek(Field::DestinationIp).bytes.to_vec()), b"192.0.2.1");
        assert!(!read(json, Kind::Delivery, |r| r.has(Field::SenderIp)));
    }

    #[test]
    fn what_is_not_read_is_left() {
        read(r#"{"action":"a","subject":"b","_offset":1,"x":null,"y":2}"#, Kind::Receipt, |record| {
            record.read(Field::Action);
            let unread: Vec<_> = record.unread().map(|(field, _)| field).collect();
            assert_eq!(unread, [Field::Subject]);
            record.put_back(Field::Action);
            assert_eq!(record.unread().count(), 2);
            assert_eq!(record.extras().map(|(name, _)| name).collect::<Vec<_>>(), [b"y"]);
        });
    }
}
