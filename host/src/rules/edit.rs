//! Replaces values of a body.

use std::cmp::Reverse;
use std::ops::{ControlFlow, Range};

use super::budget::{Budget, Overdue};
use super::field::is_identity;
use super::json::{NotJson, Scan, Text, ValueKind};
use super::{Action, Rule};

/// A rule that hides something.
pub struct Edit<'a> {
    pub rule: &'a Rule,
    /// Whether the event is one that it looks at.
    pub active: bool,
    /// Whether it has replaced something.
    pub changed: bool,
}

/// Why a body could not be changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    NotJson(NotJson),
    /// It becomes longer than it may.
    TooLong,
    /// The edit of this index searches longer than it may.
    Overdue(usize),
}

/// Lets rules replace values of `body` one after the other, in each value: that is the same as in one body after the other,
/// since none of them changes anything but texts. The new body is in `out`, if something was changed. Values at the member
/// that holds `id` stay.
///
/// # Errors
/// If the body is no JSON, becomes longer than `most` bytes, or takes longer than `budget` has; `out` is of no use then.
pub fn edit(
    body: &str,
    id: u128,
    edits: &mut [Edit<'_>],
    scan: &mut Scan,
    most: usize,
    budget: &mut Budget,
    out: &mut String,
) -> Result<bool, Trouble> {
    out.clear();
    let (mut copied, mut trouble) = (0, None);
    let read = scan.read(body, |value, place| {
        let spelled = match value.kind {
            ValueKind::Null | ValueKind::Container => return ControlFlow::Continue(()),
            ValueKind::String => &body[value.at.start + 1..value.at.end - 1],
            ValueKind::Number | ValueKind::Bool => &body[value.at.clone()],
        };
        let mut new: Option<String> = None;
        for (at, Edit { rule, active, changed }) in edits.iter_mut().enumerate() {
            if !*active || rule.conditions.field.as_ref().is_some_and(|field| !field.reaches(place)) {
                continue;
            }
            let text = match &new {
                Some(new) => Text::of(new),
                None if value.escaped => Text::of(spelled),
                None => Text::plain(spelled),
            };
            match replace(rule, &text, new.as_deref().unwrap_or(spelled), most, budget) {
                Ok(None) => {}
                Ok(Some(_)) if is_identity(place, spelled, id) => break,
                Ok(Some(replaced)) => {
                    new = Some(replaced);
                    *changed = true;
                }
                Err(stop) => {
                    trouble = Some(match stop {
                        Stop::TooLong => Trouble::TooLong,
                        Stop::Overdue => Trouble::Overdue(at),
                    });
                    return ControlFlow::Break(());
                }
            }
        }
        if let Some(new) = new {
            for piece in [&body[copied..value.at.start], "\"", &new, "\""] {
                out.push_str(piece);
            }
            copied = value.at.end;
            if out.len() > most {
                trouble = Some(Trouble::TooLong);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    read.map_err(Trouble::NotJson)?;
    if copied > 0 {
        out.push_str(&body[copied..]);
    }
    if out.len() > most { Err(Trouble::TooLong) } else { Ok(copied > 0) }
}

/// Why a rule gives a value up.
enum Stop {
    TooLong,
    Overdue,
}

impl From<Overdue> for Stop {
    fn from(_: Overdue) -> Self {
        Stop::Overdue
    }
}

/// What stands between the quotes after the rule replaced what it matches; `None` if that is nothing. `text` is that of
/// `spelled`.
fn replace(
    rule: &Rule,
    text: &Text<'_>,
    spelled: &str,
    most: usize,
    budget: &mut Budget,
) -> Result<Option<String>, Stop> {
    let (mut out, mut copied, mut changed) = (String::new(), 0, false);
    let mut put = |part: Range<usize>| {
        let place = text.spelled(part.clone());
        out.push_str(&spelled[copied..place.start]);
        copied = place.end;
        changed = true;
        match &rule.action {
            Action::Mask(replacement) => out.push_str(&replacement.spelled),
            Action::Hash(key) => key.hash(&text.as_str()[part], &mut out),
            // They hide nothing.
            Action::Include | Action::Exclude => {}
        }
        if out.len() > most { Err(Stop::TooLong) } else { Ok(()) }
    };
    let length = text.as_str().len();
    // Where the next search begins. It may read all that is left, wherever its match ends.
    let mut next = 0;
    match &rule.conditions.pattern {
        None => put(0..length)?,
        Some(pattern) if !pattern.has_groups() => {
            for found in pattern.regex().find_iter(text.as_str()) {
                budget.found(length - next)?;
                next = found.end();
                // There is nothing to hide in a match without text.
                if !found.is_empty() {
                    put(found.range())?;
                }
            }
        }
        Some(pattern) => {
            let mut groups: Vec<Range<usize>> = Vec::new();
            for captures in pattern.regex().captures_iter(text.as_str()) {
                budget.found(length - next)?;
                next = captures.get_match().end();
                let found = captures.iter().skip(1).flatten().filter(|group| !group.is_empty());
                groups.extend(found.map(|group| group.range()));
                // An outer group before those in it, which go with it.
                groups.sort_by_key(|group| (group.start, Reverse(group.end)));
                let mut end = 0;
                for group in groups.drain(..) {
                    if group.start >= end {
                        end = group.end;
                        put(group)?;
                    }
                }
            }
        }
    }
    if changed {
        out.push_str(&spelled[copied..]);
    }
    Ok(changed.then_some(out))
}
