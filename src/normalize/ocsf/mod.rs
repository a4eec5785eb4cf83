//! Records as OCSF 1.8.0 events (tables 4.3 to 4.5 of the normalization reference).
//!
//! The class depends on the kind of log and its verdict, never on which optional fields happen to be there. What a
//! class has no place for stands in `unmapped` under the dictionary's name; nothing is dropped.

mod actor;
mod address;
pub(super) mod alert;
mod archive;
pub(super) mod audit;
pub(super) mod audit_text;
mod data_security;
mod email;
mod event;
mod finding;
pub(super) mod intelligence;
mod metadata;
pub(super) mod parts;
pub(super) mod roles;
pub mod values;
pub(super) mod verdict;

use super::{Assessment, Origin, Settings, writer::Writer};
use crate::{
    chunk::{Digest, Timestamp},
    kind::Kind,
    record::{Record, Value},
};
use event::EventWriter;
use metadata::{Common, Constant};

/// What the head of an event says besides its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub class: u32,
    pub severity: u8,
    pub alert_key: Option<Digest>,
}

/// One record on its way.
pub struct Input<'i, 'a> {
    pub record: &'i Record<'a>,
    pub origin: &'i Origin<'i>,
    pub id: Digest,
    pub time: Timestamp,
    /// As the record has it, if it was understood.
    pub original_time: Option<Value<'a>>,
    /// What `time` is, where the record's own could not be read.
    pub time_source: Option<&'static str>,
    /// The record as it came, if the event is to hold it.
    pub original: Option<&'i [u8]>,
    pub assessment: Assessment,
}

/// An OCSF class.
#[derive(Debug)]
pub struct Class {
    pub uid: u32,
    pub name: &'static str,
    pub category_uid: u8,
    pub category: &'static str,
}

const EMAIL: Class = Class { uid: 4009, name: "Email Activity", category_uid: 4, category: "Network Activity" };
const FINDING: Class = Class { uid: 2004, name: "Detection Finding", category_uid: 2, category: "Findings" };
const BASE: Class = Class { uid: 0, name: "Base Event", category_uid: 0, category: "Uncategorized" };

const DATA_SECURITY: Class = Class { uid: 2006, name: "Data Security Finding", category_uid: 2, category: "Findings" };
const ENTITY: Class =
    Class { uid: 3004, name: "Entity Management", category_uid: 3, category: "Identity & Access Management" };
const INTELLIGENCE: Class = Class { uid: 5021, name: "OSINT Inventory Info", category_uid: 5, category: "Discovery" };

/// The class of a kind, its activity and the activity's caption (table 4.3). `None` for the audit log, where the type
/// decides. Of kinds that report a verdict it is the class of what was found clean; a detection is a [`FINDING`].
fn class(kind: Kind) -> Option<(&'static Class, u32, &'static str)> {
    Some(match kind {
        Kind::Receipt | Kind::Rejection => (&EMAIL, 2, "Receive"),
        Kind::Process
        | Kind::Spam
        | Kind::CloudEntities
        | Kind::CloudMailflow
        | Kind::CloudUrlClick
        | Kind::Held
        | Kind::TtpUrl
        | Kind::TtpAttachment => (&EMAIL, 3, "Scan"),
        Kind::Delivery => (&EMAIL, 1, "Send"),
        Kind::Journal => (&EMAIL, 4, "Trace"),
        Kind::HeldRelease => (&EMAIL, 99, "Held message released"),
        Kind::Av
        | Kind::AttachmentProtect
        | Kind::UrlProtect
        | Kind::ImpersonationProtect
        | Kind::InternalEmailProtect
        | Kind::TtpImpersonation => DETECTION,
        Kind::Dlp => (&DATA_SECURITY, 1, "Create"),
        Kind::ArchiveSearch | Kind::ArchiveUserSearch | Kind::ArchiveView => (&ENTITY, 2, "Read"),
        Kind::ThreatIntel => (&INTELLIGENCE, 2, "Collect"),
        // Whole, in `unmapped`, as all that has no mapping of its own.
        Kind::SiemOther => (&BASE, 0, "Unknown"),
        Kind::Audit => return None,
    })
}

const DETECTION: (&Class, u32, &str) = (&FINDING, 1, "Create");

/// Maps records. Holds what is the same for all of a source.
#[derive(Debug)]
pub struct Mapper {
    tenant: String,
    /// By kind: from the activity to the type.
    heads: Vec<String>,
    /// The same for a detection, of whatever kind.
    detection: String,
    /// For held messages that were not released.
    refusal: String,
    common: Common,
    constant: Constant,
    observables: Vec<u8>,
    buffer: Vec<u8>,
    spam_detail: Vec<u8>,
    aside: Vec<u8>,
}

impl Mapper {
    pub fn new(settings: &Settings) -> Self {
        Self {
            tenant: settings.tenant.clone(),
            heads: Kind::ALL.iter().map(|kind| class(*kind).map_or_else(String::new, head)).collect(),
            detection: head(DETECTION),
            refusal: head((&EMAIL, 99, "Held message rejected")),
            common: Common::default(),
            constant: Constant::new(settings),
            observables: Vec::new(),
            buffer: Vec::new(),
            spam_detail: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// Appends one event, without a line feed.
    pub fn write(&mut self, input: &Input<'_, '_>, out: &mut Vec<u8>) -> Head {
        self.common.set(input.record.kind(), input.origin, self.constant.provider);
        self.observables.clear();
        self.spam_detail.clear();
        self.aside.clear();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut spam_detail = std::mem::take(&mut self.spam_detail);
        let mut aside = std::mem::take(&mut self.aside);
        let mut observables = std::mem::take(&mut self.observables);
        let mut event = EventWriter {
            mapper: self,
            input,
            record: input.record,
            roles: roles::of(input.record.kind()),
            json: Writer { out },
            observables: &mut observables,
            buffer: &mut buffer,
            security_control: false,
            host: false,
            spam_detail: &mut spam_detail,
            aside: &mut aside,
        };
        event.json.raw("{");
        let head = match class(input.record.kind()) {
            Some((class, ..)) => match class.uid {
                4009 if input.assessment.detection => finding::write(&mut event),
                4009 => email::write(&mut event),
                2004 => finding::write(&mut event),
                2006 => data_security::write(&mut event),
                3004 => archive::write(&mut event),
                5021 => intelligence::write(&mut event),
                _ => event.base(),
            },
            None => audit::write(&mut event),
        };
        event.observables();
        event.original();
        event.unmapped();
        event.metadata();
        event.json.end();
        self.buffer = buffer;
        self.spam_detail = spam_detail;
        self.aside = aside;
        self.observables = observables;
        head
    }
}

fn head((class, activity, caption): (&Class, u32, &str)) -> String {
    let Class { uid, name, category_uid, category } = class;
    let type_uid = uid * 100 + activity;
    let activity_type = if activity == 99 { "Other" } else { caption };
    format!(
        "\"activity_id\":{activity},\"activity_name\":\"{caption}\",\"category_name\":\"{category}\",\
         \"category_uid\":{category_uid},\"class_name\":\"{name}\",\"class_uid\":{uid},\
         \"type_name\":\"{name}: {activity_type}\",\"type_uid\":{type_uid},"
    )
}
