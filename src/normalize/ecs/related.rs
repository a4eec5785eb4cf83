//! `related`: everything in an event by which events are searched for across fields.

use crate::{normalize::writer::Writer, record::Value};

/// Elements of one array of strings, each once.
#[derive(Debug, Default)]
pub struct List {
    json: Vec<u8>,
    /// Where each element ends, its comma included.
    ends: Vec<u32>,
}

impl List {
    fn clear(&mut self) {
        self.json.clear();
        self.ends.clear();
    }

    pub fn push(&mut self, value: Value<'_>) {
        let start = self.json.len();
        let mut json = Writer { out: &mut self.json };
        json.scalar_value(value);
        json.comma();
        let (before, new) = self.json.split_at(start);
        let mut begin = 0;
        for end in &self.ends {
            if before.get(begin..*end as usize) == Some(new) {
                self.json.truncate(start);
                return;
            }
            begin = *end as usize;
        }
        self.ends.push(self.json.len() as u32);
    }

    /// The members of `key`, if there are any.
    pub fn write(&self, key: &str, json: &mut Writer<'_>) {
        if !self.json.is_empty() {
            let mark = json.open_array(key);
            json.out.extend_from_slice(&self.json);
            json.close_array(mark);
        }
    }
}

/// The lists of one event.
#[derive(Debug, Default)]
pub struct Related {
    pub hash: List,
    pub hosts: List,
    pub ip: List,
    pub user: List,
}

impl Related {
    pub fn clear(&mut self) {
        self.hash.clear();
        self.hosts.clear();
        self.ip.clear();
        self.user.clear();
    }

    pub fn write(&self, json: &mut Writer<'_>) {
        let mark = json.open("related");
        self.hash.write("hash", json);
        self.hosts.write("hosts", json);
        self.ip.write("ip", json);
        self.user.write("user", json);
        json.close(mark);
    }
}
