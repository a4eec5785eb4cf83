//! Applies rules to the events of one batch.

use std::sync::Arc;

use bytes::Bytes;

use super::bound::{Bound, Reach, Step};
use super::budget::Budget;
use super::edit::{Edit, Trouble, edit};
use super::json::{NotJson, Scan};
use super::{Conditions, Rule, select};
use crate::deliver::{Batch, Head};

/// How much longer the bodies of one batch may become, in bytes: a pattern that matches each character makes much of
/// little.
const MOST_GROWTH: usize = 64 << 20;

/// Why an event is refused that a rule searches too long.
const OVERDUE: &str = "its pattern takes too long, as it searches the whole text of the event again behind each match; write it without `.*` and without optional parts that contain repetitions, for example [^ ]* in place of .*";

/// What came of a batch. Each event of it is in one of `batch`, `filtered` and `refused`.
#[derive(Debug)]
pub struct Applied {
    /// The events that go on. If nothing was done, it is the batch that was given; if events were only left out, it shares
    /// the bodies; and otherwise it has bodies of its own.
    pub batch: Arc<Batch>,
    /// How many events a rule, by its index, has kept from going on. Ascending, without zeros.
    pub filtered: Vec<(usize, u64)>,
    /// In how many events a rule, by its index, has replaced something. Ascending, without zeros.
    pub changed: Vec<(usize, u64)>,
    /// Events that cannot be delivered, as a rule could not be applied.
    pub refused: Vec<Refused>,
    /// How often a body was read as JSON.
    pub parsed: u64,
}

/// An event that a rule could not be applied to. It must neither go on nor be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its index among the events of the batch that was given.
    pub event: usize,
    /// The rule's index.
    pub rule: usize,
    /// Why. It says nothing of the body.
    pub reason: String,
    /// Whether the body must not be kept, as a rule of the list hides what is in bodies.
    pub hidden: bool,
}

enum Outcome {
    Same,
    /// The new body is in [`Run::now`].
    Changed,
    /// By the rule of this index.
    Filtered(usize),
    Refused(usize, String),
}

impl Bound {
    /// Applies the rules to the events of a batch of the stream. That may take a second of this thread, and more if many
    /// events take long.
    pub fn apply(&self, batch: &Arc<Batch>) -> Applied {
        self.apply_within(batch, Budget::default())
    }

    pub(super) fn apply_within(&self, batch: &Arc<Batch>, budget: Budget) -> Applied {
        let nothing = Applied {
            batch: Arc::clone(batch),
            filtered: Vec::new(),
            changed: Vec::new(),
            refused: Vec::new(),
            parsed: 0,
        };
        if self.is_empty() {
            return nothing;
        }
        let mut run = Run::new(self, budget);
        let (mut rest, mut refused) = (Rest::new(batch), Vec::new());
        for (index, head) in batch.events.iter().enumerate() {
            let body = &batch.bodies[head.begin as usize..head.end as usize];
            match run.event(head, body, rest.growth()) {
                Outcome::Same => rest.keep(index, body),
                Outcome::Changed => rest.change(index, &run.now),
                Outcome::Filtered(rule) => {
                    run.filtered[rule] += 1;
                    rest.leave_out(index);
                }
                Outcome::Refused(rule, reason) => {
                    refused.push(Refused { event: index, rule, reason, hidden: self.rules.hide() });
                    rest.leave_out(index);
                }
            }
        }
        Applied {
            batch: rest.close(),
            filtered: counts(run.filtered),
            changed: counts(run.changed),
            refused,
            parsed: run.parsed,
        }
    }
}

fn counts(counts: Vec<u64>) -> Vec<(usize, u64)> {
    counts.into_iter().enumerate().filter(|(_, count)| *count > 0).collect()
}

/// Goes through the events of one batch.
struct Run<'a> {
    bound: &'a Bound,
    scan: Scan,
    edits: Vec<Edit<'a>>,
    /// The event's body, if it was changed.
    now: String,
    next: String,
    /// Events by rule.
    filtered: Vec<u64>,
    changed: Vec<u64>,
    parsed: u64,
    budget: Budget,
}

impl<'a> Run<'a> {
    fn new(bound: &'a Bound, budget: Budget) -> Self {
        let count = bound.rules.as_slice().len();
        Self {
            bound,
            scan: Scan::default(),
            edits: Vec::new(),
            now: String::new(),
            next: String::new(),
            filtered: vec![0; count],
            changed: vec![0; count],
            parsed: 0,
            budget,
        }
    }

    /// `growth` is how much longer the body may become.
    fn event(&mut self, head: &Head, body: &[u8], growth: usize) -> Outcome {
        let bound = self.bound;
        let rules = bound.rules.as_slice();
        let line = body.strip_suffix(b"\n").unwrap_or(body);
        let most = line.len().saturating_add(growth);
        self.budget.begin(line.len(), rules.len());
        let mut changed = false;
        for step in &bound.steps {
            match step {
                Step::Select(reach) => {
                    let Rule { action, conditions, .. } = &rules[reach.rule];
                    let matched = reach.takes(head)
                        && match self.select(conditions, line, changed) {
                            Ok(matched) => matched,
                            Err(reason) => return Outcome::Refused(reach.rule, reason),
                        };
                    if matched != matches!(action, super::Action::Include) {
                        return Outcome::Filtered(reach.rule);
                    }
                }
                Step::Edit(reaches) => match self.edit(reaches, head, line, changed, most) {
                    Ok(edited) => changed |= edited,
                    Err((rule, reason)) => return Outcome::Refused(rule, reason),
                },
            }
        }
        if changed { Outcome::Changed } else { Outcome::Same }
    }

    fn select(&mut self, conditions: &Conditions, line: &[u8], changed: bool) -> Result<bool, String> {
        let Conditions { field, pattern, .. } = conditions;
        if field.is_none() && pattern.is_none() {
            return Ok(true);
        }
        let body = body(&self.now, line, changed)?;
        let matched = select::matches(body, field.as_ref(), pattern.as_ref(), &mut self.scan, &mut self.parsed);
        matched.map_err(|error| unreadable(&error))
    }

    /// Whether something was changed. The new body is `now` then.
    fn edit(
        &mut self,
        reaches: &[Reach],
        head: &Head,
        line: &[u8],
        changed: bool,
        most: usize,
    ) -> Result<bool, (usize, String)> {
        if !reaches.iter().any(|reach| reach.takes(head)) {
            return Ok(false);
        }
        let first = reaches[0].rule;
        let rules = self.bound.rules.as_slice();
        let body = body(&self.now, line, changed).map_err(|reason| (first, reason))?;
        let (mut any, edits) = (false, &mut self.edits);
        edits.clear();
        for reach in reaches {
            let rule = &rules[reach.rule];
            // What one rule puts there, the next may match.
            let active = reach.takes(head) && (any || rule.may_change(body));
            any |= active;
            edits.push(Edit { rule, active, changed: false });
        }
        if !any {
            return Ok(false);
        }
        self.parsed += 1;
        let edited = edit(body, head.id, edits, &mut self.scan, most, &mut self.budget, &mut self.next);
        let edited = edited.map_err(|trouble| {
            let active = reaches.iter().zip(&self.edits).find(|(_, edit)| edit.active);
            let rule = active.map_or(first, |(reach, _)| reach.rule);
            match trouble {
                Trouble::NotJson(error) => (rule, unreadable(&error)),
                Trouble::TooLong => {
                    let most = MOST_GROWTH >> 20;
                    let reason = format!(
                        "with it the bodies of one chunk become more than {most} MiB longer; let its pattern match more at once"
                    );
                    (rule, reason)
                }
                Trouble::Overdue(edit) => (reaches[edit].rule, OVERDUE.to_owned()),
            }
        })?;
        for (reach, edit) in reaches.iter().zip(&self.edits) {
            self.changed[reach.rule] += u64::from(edit.changed);
        }
        if edited {
            std::mem::swap(&mut self.now, &mut self.next);
        }
        Ok(edited)
    }
}

/// The event's body as it is now.
fn body<'a>(now: &'a str, line: &'a [u8], changed: bool) -> Result<&'a str, String> {
    if changed {
        return Ok(now);
    }
    std::str::from_utf8(line).map_err(|error| format!("the body is not UTF-8 at byte {}", error.valid_up_to()))
}

fn unreadable(error: &NotJson) -> String {
    format!("the body is {error}")
}

impl Rule {
    /// Whether it may replace something in the body, as far as can be told without reading it as JSON.
    fn may_change(&self, body: &str) -> bool {
        let Conditions { field, pattern, .. } = &self.conditions;
        field.as_ref().is_none_or(|field| field.may_be_in(body))
            && pattern.as_ref().is_none_or(|pattern| pattern.may_match_in(body))
    }
}

/// What goes on of a batch. It is made only when it differs from what was given.
struct Rest<'a> {
    given: &'a Arc<Batch>,
    events: Option<Vec<Head>>,
    bodies: Option<Vec<u8>>,
    /// Bytes that were added by changes.
    grown: usize,
}

impl<'a> Rest<'a> {
    fn new(given: &'a Arc<Batch>) -> Self {
        Self { given, events: None, bodies: None, grown: 0 }
    }

    /// How much longer the next body may become.
    fn growth(&self) -> usize {
        MOST_GROWTH - self.grown.min(MOST_GROWTH)
    }

    fn leave_out(&mut self, index: usize) {
        self.events(index);
    }

    fn keep(&mut self, index: usize, body: &[u8]) {
        if self.bodies.is_some() {
            self.append(index, &[body]);
        } else if let Some(events) = &mut self.events {
            events.push(self.given.events[index].clone());
        }
    }

    fn change(&mut self, index: usize, line: &str) {
        if self.bodies.is_none() {
            let given = self.given;
            let mut bodies = Vec::with_capacity(given.bodies.len() + given.bodies.len() / 8);
            let mut events = self.events(index).clone();
            for head in &mut events {
                let begin = bodies.len();
                bodies.extend_from_slice(&given.bodies[head.begin as usize..head.end as usize]);
                (head.begin, head.end) = (begin as u32, bodies.len() as u32);
            }
            (self.events, self.bodies) = (Some(events), Some(bodies));
        }
        let old = &self.given.events[index];
        self.grown += (line.len() + 1).saturating_sub((old.end - old.begin) as usize);
        self.append(index, &[line.as_bytes(), b"\n"]);
    }

    /// Those before the event that go on.
    fn events(&mut self, index: usize) -> &mut Vec<Head> {
        self.events.get_or_insert_with(|| self.given.events[..index].to_vec())
    }

    fn append(&mut self, index: usize, pieces: &[&[u8]]) {
        let mut head = self.given.events[index].clone();
        let bodies = self.bodies.get_or_insert_default();
        head.begin = bodies.len() as u32;
        pieces.iter().for_each(|piece| bodies.extend_from_slice(piece));
        head.end = bodies.len() as u32;
        self.events(index).push(head);
    }

    fn close(self) -> Arc<Batch> {
        let Some(events) = self.events else { return Arc::clone(self.given) };
        let bodies = self.bodies.map_or_else(
            || self.given.bodies.clone(),
            |mut bodies| {
                // Where much was left out, it stays in memory no longer than the batch that was given.
                bodies.shrink_to_fit();
                Bytes::from(bodies)
            },
        );
        Arc::new(Batch { origin: self.given.origin.clone(), bodies, events })
    }
}
