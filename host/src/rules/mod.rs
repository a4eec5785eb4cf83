//! Rules: which events go on, and what is hidden in them before they do. A list of them stands at a source or at a sink.
//!
//! ```toml
//! [[sinks.lake.rules]]
//! type = "exclude"
//! streams = ["siem/*"]
//! pattern = '"disposition":"Allowed"'
//!
//! [[sinks.lake.rules]]
//! type = "hash"
//! field = "actor.user.email_addr"
//! key = "SECRET[vault.pseudonyms]"
//! ```
//!
//! Rules are applied in their order to each event. What no rule changes stays byte for byte as it was: a body is never made
//! anew from a tree, pieces of it are replaced. Bodies are read as JSON only where a rule needs it.

mod apply;
mod bound;
mod budget;
mod edit;
mod field;
mod json;
mod key;
#[cfg(test)]
mod laws;
mod pattern;
mod select;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use apply::{Applied, Refused};
pub use bound::Bound;
pub use field::{Field, IDENTITY};
pub use key::Key;
pub use pattern::Pattern;

/// A list of rules, in the order in which they are applied. Cheap to clone. Two lists are equal if the same is written in
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(Option<Arc<[Rule]>>);

/// One rule. All its conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it is counted by; no other rule of the list has it.
    pub name: String,
    pub action: Action,
    pub conditions: Conditions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Only events that match go on.
    Include,
    /// Events that match do not go on.
    Exclude,
    /// What matches is replaced by this.
    Mask(Replacement),
    /// What matches is replaced by its HMAC-SHA-256 with this key, in lower-case hexadecimal digits.
    Hash(Key),
}

impl Action {
    /// Whether it hides something, so that a body it could not be applied to must not be shown.
    pub fn hides(&self) -> bool {
        matches!(self, Action::Mask(_) | Action::Hash(_))
    }
}

/// Why what an operator wrote cannot be used. It does not show what was written, as any of it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: &'static str,
}

/// A text that stands where another stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// As it stands between the quotes of a JSON string.
    spelled: String,
}

impl Replacement {
    pub fn new(text: &str) -> Self {
        let quoted = serde_json::Value::from(text).to_string();
        Self { spelled: quoted[1..quoted.len() - 1].to_owned() }
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// Names of streams, in which `*` stands for any characters. Empty: all.
    pub streams: Vec<String>,
    /// The same of kinds.
    pub kinds: Vec<String>,
    /// The least severity, from 0 (unknown) to 6 (fatal). Zero: any.
    pub severity_at_least: u8,
    /// On the field, if there is one. Otherwise `include` and `exclude` match the text of the whole body, `mask` and `hash`
    /// each value in it.
    pub pattern: Option<Pattern>,
    pub field: Option<Field>,
}

impl Rules {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self((!rules.is_empty()).then(|| rules.into()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn as_slice(&self) -> &[Rule] {
        self.0.as_deref().unwrap_or_default()
    }

    /// What the rules are counted by, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.as_slice().iter().map(|rule| rule.name.as_str())
    }

    /// Whether a rule hides something.
    pub fn hide(&self) -> bool {
        self.as_slice().iter().any(|rule| rule.action.hides())
    }

    /// The rules for one stream of a source; [`crate::deliver::Head::kind`] is an index into `kinds`.
    pub fn bind<K: AsRef<str>>(&self, stream: &str, kinds: &[K]) -> Bound {
        Bound::new(self, stream, kinds)
    }

    /// Kinds that are named in the rules and that none of `kinds` fits: the rule's index, and what is written there.
    pub fn unknown_kinds<K: AsRef<str>>(&self, kinds: &[K]) -> Vec<(usize, &str)> {
        let named = self.as_slice().iter().enumerate();
        let named =
            named.flat_map(|(index, rule)| rule.conditions.kinds.iter().map(move |kind| (index, kind.as_str())));
        named.filter(|(_, name)| !kinds.iter().any(|kind| crate::config::glob(name, kind.as_ref()))).collect()
    }

    /// The same of streams.
    pub fn unknown_streams<S: AsRef<str>>(&self, streams: &[S]) -> Vec<(usize, &str)> {
        let named = self.as_slice().iter().enumerate();
        let named =
            named.flat_map(|(index, rule)| rule.conditions.streams.iter().map(move |stream| (index, stream.as_str())));
        named.filter(|(_, name)| !streams.iter().any(|stream| crate::config::glob(name, stream.as_ref()))).collect()
    }
}
