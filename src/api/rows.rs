//! Rows of a list, read out of an answer's text without a copy of them: an answer may have 16 MiB, and a guest twice that.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// More rows than that are refused, so that what is kept of each stays small beside the text. A page is asked for with 500
/// at the most, and an answer of 16 MiB with so many would have less than 170 bytes for each: no list has such rows.
pub const ROWS_LIMIT: usize = 100_000;

/// Rows of an answer, in its order.
#[derive(PartialEq, Eq)]
pub struct Rows {
    text: Vec<u8>,
    /// Where each begins and ends.
    places: Vec<(u32, u32)>,
}

impl Rows {
    /// The row at this place, as JSON.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let (begin, end) = *self.places.get(at)?;
        self.text.get(begin as usize..end as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Keeps the text that the places are of.
    pub fn new(text: Vec<u8>, places: Vec<(u32, u32)>) -> Self {
        Self { text, places }
    }
}

/// What an answer holds is no log's.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({})", self.len())
    }
}

/// The values of an array, at most [`ROWS_LIMIT`].
pub struct Values<'a>(pub Vec<&'a RawValue>);

impl Values<'_> {
    /// Where they stand in the text that they were read from.
    pub fn places(&self, text: &[u8]) -> Vec<(u32, u32)> {
        let base = text.as_ptr() as usize;
        let place = |row: &&RawValue| {
            let begin = (row.get().as_ptr() as usize).checked_sub(base)?;
            Some((u32::try_from(begin).ok()?, u32::try_from(begin + row.get().len()).ok()?))
        };
        self.0.iter().filter_map(place).collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Array<'a> {
            type Value = Values<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {ROWS_LIMIT} rows")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Values<'a>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = array.next_element()? {
                    if values.len() >= ROWS_LIMIT {
                        return Err(A::Error::invalid_length(values.len() + 1, &self));
                    }
                    values.push(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_seq(Array(PhantomData))
    }
}

/// What only rows have, of whatever list: an id, one of the names of their time (section 6.1), or what a message has.
const OF_ROWS: [&str; 11] = [
    "id",
    "eventTime",
    "date",
    "dateReceived",
    "released",
    "created",
    "createTime",
    "viewed",
    "messageId",
    "subject",
    "senderAddress",
];

/// A wrapper has one list, and perhaps one more for whatever.
const LISTS_LIMIT: usize = 8;

/// The lists in an object that may be no row itself, such as `{"dlpLogs":[…],"resultCount":1}`.
pub struct Lists<'a> {
    lists: Vec<&'a RawValue>,
    /// There are texts or objects beside them.
    more: bool,
}

impl<'a> Lists<'a> {
    /// The rows of all lists; none if the object is a row: it has no list, or one without any object in it, or nothing but empty
    /// lists beside something that must not be lost.
    ///
    /// # Errors
    /// There are too many rows.
    pub fn rows(self) -> Result<Option<Vec<&'a RawValue>>, serde_json::Error> {
        if self.lists.is_empty() {
            return Ok(None);
        }
        let mut rows = Vec::new();
        for list in self.lists {
            let mut own: Vec<&'a RawValue> = serde_json::from_str::<Values<'a>>(list.get())?.0;
            if !own.is_empty() && !own.iter().any(|value| value.get().starts_with('{')) {
                return Ok(None);
            }
            rows.append(&mut own);
        }
        Ok(Some(rows).filter(|rows| !(rows.is_empty() && self.more)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Lists<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Object<'a> {
            type Value = Lists<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object around lists")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Lists<'a>, A::Error> {
                let (mut lists, mut more) = (Vec::new(), false);
                while let Some((name, value)) = object.next_entry::<Cow<'de, str>, &'a RawValue>()? {
                    let is_list = value.get().starts_with('[');
                    // An object of a million members must not be kept.
                    if OF_ROWS.contains(&name.as_ref()) || (is_list && lists.len() >= LISTS_LIMIT) {
                        return Err(A::Error::invalid_length(lists.len(), &self));
                    }
                    if is_list {
                        lists.push(value);
                    }
                    more |= value.get().starts_with(['"', '{']);
                }
                Ok(Lists { lists, more })
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}
