//! Sets of fields.

use super::dictionary::{FIELD_COUNT, FIELDS, Field};

/// A set of fields. Words of 64 bits: in wasm, a shift of 128 bits is a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet([u64; FIELD_COUNT.div_ceil(64)]);

impl FieldSet {
    pub const EMPTY: FieldSet = FieldSet([0; FIELD_COUNT.div_ceil(64)]);

    #[inline(always)]
    pub const fn contains(&self, field: Field) -> bool {
        self.0[word(field)] & bit(field) != 0
    }

    #[inline(always)]
    pub const fn insert(&mut self, field: Field) {
        self.0[word(field)] |= bit(field);
    }

    #[inline(always)]
    pub const fn remove(&mut self, field: Field) {
        self.0[word(field)] &= !bit(field);
    }

    /// What is in either of the two.
    pub const fn union(mut self, other: FieldSet) -> FieldSet {
        let mut index = 0;
        while index < self.0.len() {
            self.0[index] |= other.0[index];
            index += 1;
        }
        self
    }

    /// What is in this one and not in the other.
    pub const fn without(mut self, other: FieldSet) -> FieldSet {
        let mut index = 0;
        while index < self.0.len() {
            self.0[index] &= !other.0[index];
            index += 1;
        }
        self
    }

    /// Whether the two have a field in common.
    pub fn intersects(&self, other: FieldSet) -> bool {
        self.0.iter().zip(other.0).any(|(own, other)| own & other != 0)
    }

    /// In the order of their names.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Field> {
        let FieldSet(mut words) = self;
        let mut at = 0;
        std::iter::from_fn(move || {
            while let Some(word) = words.get_mut(at) {
                if *word != 0 {
                    let bit = word.trailing_zeros() as usize;
                    *word &= *word - 1;
                    return Some(FIELDS[at * 64 + bit]);
                }
                at += 1;
            }
            None
        })
    }
}

/// The set of these fields.
pub const fn set(fields: &[Field]) -> FieldSet {
    let mut set = FieldSet::EMPTY;
    let mut index = 0;
    while index < fields.len() {
        set.insert(fields[index]);
        index += 1;
    }
    set
}

const fn word(field: Field) -> usize {
    field as usize / 64
}

const fn bit(field: Field) -> u64 {
    1 << (field as usize % 64)
}

#[cfg(test)]
mod tests {
    use super::{super::dictionary::LISTS, *};

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let mut all = FieldSet::EMPTY;
        for field in FIELDS {
            assert!(!all.contains(*field));
            all.insert(*field);
            assert!(all.contains(*field));
        }
        assert!(all.iter().eq(FIELDS.iter().copied()));
        assert!(all.without(LISTS).union(LISTS) == all && !all.without(LISTS).intersects(LISTS));
        all.remove(Field::Viewer);
        assert!(!all.contains(Field::Viewer) && all.contains(Field::Viewed));
    }
}
