//! The rules that can match events of one stream.

use super::{Action, Rule, Rules};
use crate::config::glob;
use crate::deliver::Head;

/// Rules for one stream: what can be known of them without an event is known.
#[derive(Debug, Clone)]
pub struct Bound {
    pub(super) rules: Rules,
    pub(super) steps: Box<[Step]>,
}

/// What is done with an event, or several things that are done at once.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Select(Reach),
    Edit(Vec<Reach>),
}

/// A rule by its index, and the events that it looks at, as far as their heads say.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub rule: usize,
    severity_at_least: u8,
    kinds: Kinds,
}

#[derive(Debug, Clone)]
enum Kinds {
    All,
    /// By their index.
    Some(Box<[bool]>),
    None,
}

impl Bound {
    pub(super) fn new<K: AsRef<str>>(rules: &Rules, stream: &str, kinds: &[K]) -> Self {
        let mut steps = Vec::new();
        for (index, rule) in rules.as_slice().iter().enumerate() {
            let reach = Reach::new(index, rule, stream, kinds);
            match rule.action {
                Action::Include if reach.is_all() && !rule.looks_into_bodies() => {}
                Action::Include => steps.push(Step::Select(reach)),
                _ if reach.is_none() => {}
                Action::Exclude => steps.push(Step::Select(reach)),
                Action::Mask(_) | Action::Hash(_) => match steps.last_mut() {
                    Some(Step::Edit(edits)) => edits.push(reach),
                    _ => steps.push(Step::Edit(vec![reach])),
                },
            }
        }
        Self { rules: rules.clone(), steps: steps.into() }
    }

    /// Whether no rule can match an event of the stream.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether one of them looks into bodies: by a pattern or at a field.
    pub fn looks_into_bodies(&self) -> bool {
        let rules = self.rules.as_slice();
        self.steps.iter().any(|step| match step {
            Step::Select(reach) => rules[reach.rule].looks_into_bodies(),
            Step::Edit(_) => true,
        })
    }
}

impl Rule {
    fn looks_into_bodies(&self) -> bool {
        self.conditions.pattern.is_some() || self.conditions.field.is_some()
    }
}

impl Reach {
    fn new<K: AsRef<str>>(index: usize, rule: &Rule, stream: &str, kinds: &[K]) -> Self {
        let conditions = &rule.conditions;
        let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| glob(pattern, name));
        let fit: Box<[bool]> = kinds.iter().map(|kind| any(&conditions.kinds, kind.as_ref())).collect();
        let kinds = if !conditions.streams.is_empty() && !any(&conditions.streams, stream) {
            Kinds::None
        } else if conditions.kinds.is_empty() {
            Kinds::All
        } else if fit.iter().any(|fits| *fits) {
            Kinds::Some(fit)
        } else {
            Kinds::None
        };
        Self { rule: index, severity_at_least: conditions.severity_at_least, kinds }
    }

    pub(super) fn takes(&self, head: &Head) -> bool {
        let kind = match &self.kinds {
            Kinds::All => true,
            Kinds::Some(kinds) => kinds.get(head.kind as usize).copied().unwrap_or(false),
            Kinds::None => false,
        };
        kind && head.severity >= self.severity_at_least
    }

    fn is_all(&self) -> bool {
        self.severity_at_least == 0 && matches!(self.kinds, Kinds::All)
    }

    fn is_none(&self) -> bool {
        matches!(self.kinds, Kinds::None)
    }
}
