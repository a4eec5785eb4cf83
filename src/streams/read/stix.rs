//! Objects of a STIX bundle, joined as they pass: an indicator with the malware that it indicates and the relationship between them.
//!
//! The three stand near each other in Mimecast's feeds (section 6.10 of the API reference), in whatever order. A bounded number of
//! objects waits for its partners; one that waited in vain is a record by itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;

/// Objects that wait, and their bytes.
const WAITING: usize = 1_000;
const WAITING_BYTES: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Indicator,
    Malware,
    Relationship,
}

struct Object {
    role: Role,
    text: Vec<u8>,
    /// It is part of a record already.
    joined: bool,
}

#[derive(Default)]
pub struct Joiner {
    /// In the order of their coming; the first one has the number `first`.
    waiting: VecDeque<Object>,
    first: u64,
    bytes: usize,
    /// The numbers of indicators and malware, by id. Of two with one id the later one counts.
    ids: BTreeMap<String, u64>,
    /// Relationships that wait for a partner: number, source, target.
    open: Vec<(u64, String, String)>,
    ready: VecDeque<Record>,
}

/// One object, or several that are one.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    pub text: Vec<u8>,
    /// Objects that no record before it was made of. One malware may be part of several.
    pub objects: u32,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    relationship_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source_ref: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    target_ref: Option<Cow<'a, str>>,
}

impl Joiner {
    /// Takes the bundle's next object. What has no partner by its nature, and what cannot be read, is ready at once.
    pub fn push(&mut self, text: &[u8]) {
        let head: Option<Head<'_>> = serde_json::from_slice(text).ok();
        let Some(head) = head.filter(|_| text.starts_with(b"{")) else {
            self.alone(text.to_vec());
            return;
        };
        let number = self.first + self.waiting.len() as u64;
        match (head.kind.as_ref(), head.id, head.source_ref, head.target_ref) {
            // The envelope of a bundle that holds nothing.
            ("bundle", ..) => {}
            ("indicator", Some(id), ..) => self.wait_for(Role::Indicator, number, id.into_owned(), text),
            ("malware", Some(id), ..) => self.wait_for(Role::Malware, number, id.into_owned(), text),
            ("relationship", _, Some(source), Some(target))
                if head.relationship_type.as_deref() == Some("indicates") =>
            {
                self.open.push((number, source.into_owned(), target.into_owned()));
                self.keep(Role::Relationship, text);
                self.join(self.open.len() - 1);
            }
            _ => self.alone(text.to_vec()),
        }
        while self.waiting.len() > WAITING || self.bytes > WAITING_BYTES {
            self.let_go();
        }
    }

    /// The bundle ends: nothing waits any longer.
    pub fn finish(&mut self) {
        while !self.waiting.is_empty() {
            self.let_go();
        }
    }

    /// The next record.
    pub fn next_record(&mut self) -> Option<Record> {
        self.ready.pop_front()
    }

    fn alone(&mut self, text: Vec<u8>) {
        self.ready.push_back(Record { text, objects: 1 });
    }

    fn keep(&mut self, role: Role, text: &[u8]) {
        self.bytes += text.len();
        self.waiting.push_back(Object { role, text: text.to_vec(), joined: false });
    }

    fn wait_for(&mut self, role: Role, number: u64, id: String, text: &[u8]) {
        self.keep(role, text);
        self.ids.insert(id, number);
        let mut at = 0;
        while at < self.open.len() {
            at += usize::from(!self.join(at));
        }
    }

    /// Makes a record of an open relationship and its partners, if both are there.
    fn join(&mut self, at: usize) -> bool {
        let (number, source, target) = &self.open[at];
        let find = |id: &str, role: Role| {
            let place = usize::try_from(self.ids.get(id)?.checked_sub(self.first)?).ok()?;
            self.waiting.get(place).filter(|object| object.role == role).map(|_| place)
        };
        let partners = (find(source, Role::Indicator), find(target, Role::Malware));
        let ((Some(indicator), Some(malware)), Some(own)) = (partners, number.checked_sub(self.first)) else {
            return false;
        };
        let own = own as usize;
        let texts = [indicator, malware, own].map(|place| self.waiting[place].text.trim_ascii());
        // An object with an id ends in `}` and is not empty.
        let mut record = texts[0].strip_suffix(b"}").unwrap_or(texts[0]).to_vec();
        record.extend_from_slice(b",\"malware\":");
        record.extend_from_slice(texts[1]);
        record.extend_from_slice(b",\"relationship\":");
        record.extend_from_slice(texts[2]);
        record.push(b'}');
        let mut objects = 0;
        for place in [indicator, malware, own] {
            objects += u32::from(!std::mem::replace(&mut self.waiting[place].joined, true));
        }
        self.ready.push_back(Record { text: record, objects });
        self.open.swap_remove(at);
        true
    }

    /// The oldest waits no longer.
    fn let_go(&mut self) {
        let Some(object) = self.waiting.pop_front() else {
            return;
        };
        let number = self.first;
        self.first += 1;
        self.bytes -= object.text.len();
        match object.role {
            Role::Relationship => self.open.retain(|(open, ..)| *open != number),
            Role::Indicator | Role::Malware => self.ids.retain(|_, known| *known != number),
        }
        if !object.joined {
            self.alone(object.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, n: usize) -> String {
        format!(r#"{{"type":"{kind}","id":"{kind}--{n}"}}"#)
    }

    fn relationship(n: usize, from: usize, to: usize) -> String {
        format!(
            r#"{{"type":"relationship","id":"relationship--{n}","relationship_type":"indicates","source_ref":"indicator--{from}","target_ref":"malware--{to}"}}"#
        )
    }

    fn joined(from: usize, to: usize, n: usize) -> String {
        let head = object("indicator", from);
        let head = head.strip_suffix('}').unwrap();
        format!(r#"{head},"malware":{},"relationship":{}}}"#, object("malware", to), relationship(n, from, to))
    }

    fn records(objects: &[String]) -> Vec<String> {
        let mut joiner = Joiner::default();
        let mut found = Vec::new();
        for text in objects {
            joiner.push(text.as_bytes());
            found.extend(std::iter::from_fn(|| joiner.next_record()));
        }
        joiner.finish();
        found.extend(std::iter::from_fn(|| joiner.next_record()));
        let counted: u32 = found.iter().map(|record| record.objects).sum();
        let envelopes = objects.iter().filter(|text| text.contains("\"bundle\"")).count();
        assert_eq!(counted as usize, objects.len() - envelopes, "each object counts once");
        found.into_iter().map(|record| String::from_utf8(record.text).unwrap()).collect()
    }

    #[test]
    fn three_objects_are_one_record_in_any_order() {
        let three = [object("malware", 1), object("indicator", 1), relationship(1, 1, 1)];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            assert_eq!(records(&order.map(|at| three[at].clone())), [joined(1, 1, 1)], "{order:?}");
        }
        // Two of them, mixed up; and one indicator of two.
        let all = [object("malware", 1), object("indicator", 2), relationship(9, 2, 1), object("indicator", 1)];
        let rest = [object("malware", 2), relationship(7, 1, 2), relationship(8, 1, 1)];
        assert_eq!(records(&[&all[..], &rest[..]].concat()), [joined(2, 1, 9), joined(1, 2, 7), joined(1, 1, 8)]);
    }

    #[test]
    fn what_has_no_partner_is_a_record_by_itself() {
        let lonely = [object("malware", 1), object("indicator", 2), relationship(1, 2, 9)];
        assert_eq!(records(&lonely), lonely);
        let others =
            [r#"{"type":"identity","id":"identity--1"}"#, "{\"type\":\"bundle\",\"id\":\"b\"}", "17", "{\"broken"];
        assert_eq!(records(&others.map(str::to_owned)), [others[0], others[2], others[3]]);
        // Another relation than this joins nothing.
        let other = relationship(1, 1, 1).replace("indicates", "mitigates");
        assert_eq!(records(&[object("malware", 1), object("indicator", 1), other.clone()]).len(), 3);
        // The same hash under a new id is another record.
        assert_eq!(records(&[object("indicator", 1), object("indicator", 2)]).len(), 2);
    }

    #[test]
    fn waiting_is_bounded_and_loses_nothing() {
        let mut objects: Vec<String> = (0..3_000).map(|n| object("malware", n)).collect();
        objects.push(object("indicator", 1));
        // Its malware waits no longer; that of the second one still does.
        objects.push(relationship(1, 1, 1));
        objects.push(object("indicator", 2));
        objects.push(relationship(2, 2, 2_900));
        let found = records(&objects);
        assert_eq!(found.len(), 3_000 + 2 + 1 - 1);
        assert!(found.contains(&joined(2, 2_900, 2)) && found.contains(&object("indicator", 1)));

        let mut joiner = Joiner::default();
        for n in 0..100 {
            let id = format!("malware--{n}{}", "x".repeat(500_000));
            joiner.push(format!(r#"{{"type":"malware","id":"{id}"}}"#).as_bytes());
            assert!(joiner.bytes <= WAITING_BYTES + 600_000);
        }
        assert!(joiner.ids.len() < 12);
    }
}
