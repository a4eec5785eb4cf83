//! Rows of a list, read out of an answer's text without a copy of them: an answer may have 16 MiB, and a guest twice that.

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

/// The value of an object that has just one member.
pub struct Only<'a>(pub &'a RawValue);

impl<'de: 'a, 'a> Deserialize<'de> for Only<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Object<'a> {
            type Value = Only<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one member")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Only<'a>, A::Error> {
                let (_, value): (String, &RawValue) =
                    object.next_entry()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                // The first of many ends it: an object of a million members must not be kept.
                match object.next_key::<String>()? {
                    None => Ok(Only(value)),
                    Some(_) => Err(A::Error::invalid_length(2, &self)),
                }
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}
