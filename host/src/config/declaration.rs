//! What each table of the configuration has: its keys, their shapes, defaults and what they mean, said once. The reader
//! takes bounds, defaults and known names from here ([`Section`](super::section::Section)); the JSON Schema and the page
//! of all keys are made from it.

use serde_json::Value;

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Unique: `limits`, `sinks.http.batch`.
    pub name: &'static str,
    /// What the table is for, in whole sentences.
    pub description: &'static str,
    pub groups: &'static [&'static Group],
    pub others: Others,
    /// Keys that are worth hiding here, though they are not in other tables that have them.
    pub secrets: &'static [&'static str],
    /// Of each list one key must be there.
    pub either: &'static [&'static [&'static str]],
}

impl Table {
    pub const fn new(name: &'static str, description: &'static str, groups: &'static [&'static Group]) -> Self {
        Self { name, description, groups, others: Others::Refused, secrets: &[], either: &[] }
    }

    pub const fn others(mut self, others: Others) -> Self {
        self.others = others;
        self
    }

    pub const fn secrets(mut self, secrets: &'static [&'static str]) -> Self {
        self.secrets = secrets;
        self
    }

    pub const fn either(mut self, either: &'static [&'static [&'static str]]) -> Self {
        self.either = either;
        self
    }

    /// All its keys, in the order in which they are shown.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.keys)
    }

    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

/// Keys that belong together; several tables may have the same ones.
#[derive(Debug)]
pub struct Group {
    /// A heading, for those that several tables share; otherwise empty.
    pub title: &'static str,
    pub keys: &'static [Key],
}

impl Group {
    /// Keys of one table.
    pub const fn of(keys: &'static [Key]) -> Self {
        Self { title: "", keys }
    }

    pub const fn shared(title: &'static str, keys: &'static [Key]) -> Self {
        Self { title, keys }
    }
}

/// What a table does with keys that are not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    Refused,
    /// They are the component's, which judges them.
    Component,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    pub required: bool,
    /// Of values by names that the operator chooses: whether some may be worth hiding, which their names tell.
    pub may_hold_secrets: bool,
    /// What it does, with its unit, in whole sentences.
    pub description: &'static str,
}

/// What may stand under a key. Wherever it is not a text, a text with `${NAME}` or `SECRET[backend.key]` may stand too.
#[derive(Debug)]
pub enum Shape {
    /// A text that is not empty, and its default.
    Text(Option<&'static str>),
    /// The same, of a text that is worth hiding.
    Secret,
    Flag(bool),
    Whole {
        least: u64,
        most: u64,
        default: u64,
    },
    /// The same, or a word, which is the default.
    WholeOr {
        least: u64,
        most: u64,
        default: u64,
        word: &'static str,
    },
    /// A number above 0.
    Positive,
    /// A number of more than 0 and at most 1.
    Share(f64),
    /// One of these words.
    Choice {
        names: &'static [&'static str],
        default: Option<&'static str>,
    },
    /// Texts; one text alone is a list of one.
    Texts,
    /// Whole numbers.
    Numbers,
    Table(&'static Table),
    FlagOrTable(bool, &'static Table),
    /// A list of tables.
    Tables(&'static Table),
    /// Tables by names that the operator chooses.
    Named(&'static Table),
    /// The same; what each has is decided by its `type`.
    Typed(&'static [(&'static str, &'static Table)]),
    /// Texts by names that the operator chooses.
    NamedTexts,
    /// Texts, numbers and flags by names that the operator chooses.
    NamedScalars,
    Anything,
}

impl Shape {
    /// What holds if the key is not there, as far as that is one value.
    pub fn default(&self) -> Option<Value> {
        match *self {
            Shape::Text(default) | Shape::Choice { default, .. } => default.map(Value::from),
            Shape::Flag(default) | Shape::FlagOrTable(default, _) => Some(default.into()),
            Shape::Whole { default, .. } => Some(default.into()),
            Shape::WholeOr { word, .. } => Some(word.into()),
            Shape::Share(default) => Some(default.into()),
            _ => None,
        }
    }
}

impl Key {
    /// There must be one, unless the whole table is left out.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub const fn may_hold_secrets(mut self) -> Self {
        self.may_hold_secrets = true;
        self
    }
}

pub const fn key(name: &'static str, shape: Shape, description: &'static str) -> Key {
    Key { name, shape, required: false, may_hold_secrets: false, description }
}

pub const fn text(name: &'static str, description: &'static str) -> Key {
    key(name, Shape::Text(None), description)
}

pub const fn text_or(name: &'static str, default: &'static str, description: &'static str) -> Key {
    key(name, Shape::Text(Some(default)), description)
}

pub const fn secret(name: &'static str, description: &'static str) -> Key {
    key(name, Shape::Secret, description)
}

pub const fn flag(name: &'static str, default: bool, description: &'static str) -> Key {
    key(name, Shape::Flag(default), description)
}

pub const fn whole(name: &'static str, least: u64, most: u64, default: u64, description: &'static str) -> Key {
    key(name, Shape::Whole { least, most, default }, description)
}

pub const fn choice(
    name: &'static str,
    names: &'static [&'static str],
    default: Option<&'static str>,
    description: &'static str,
) -> Key {
    key(name, Shape::Choice { names, default }, description)
}

/// The words of `choices`.
pub const fn names<T: Copy, const N: usize>(choices: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = choices[i].0;
        i += 1;
    }
    names
}

pub const fn texts(name: &'static str, description: &'static str) -> Key {
    key(name, Shape::Texts, description)
}

pub const fn table(name: &'static str, table: &'static Table) -> Key {
    key(name, Shape::Table(table), table.description)
}
