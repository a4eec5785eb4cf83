//! Whether a body matches.

use std::ops::ControlFlow;

use super::json::{NotJson, Scan, Text, ValueKind};
use super::{Field, Pattern};

/// Whether there is a value at `field` that is not null, and that `pattern` matches where there is one: its text, or that of
/// a value in it. No field is the text of the whole body. `parsed` counts bodies that are read as JSON.
///
/// # Errors
/// If the body had to be read as JSON and is none.
pub fn matches(
    body: &str,
    field: Option<&Field>,
    pattern: Option<&Pattern>,
    scan: &mut Scan,
    parsed: &mut u64,
) -> Result<bool, NotJson> {
    let Some(field) = field else { return Ok(pattern.is_none_or(|pattern| pattern.regex().is_match(body))) };
    if !field.may_be_in(body) || pattern.is_some_and(|pattern| !pattern.may_match_in(body)) {
        return Ok(false);
    }
    *parsed += 1;
    let mut found = false;
    scan.read(body, |value, place| {
        let spelled = match value.kind {
            ValueKind::Null => return ControlFlow::Continue(()),
            ValueKind::Container if pattern.is_some() => return ControlFlow::Continue(()),
            ValueKind::String => &body[value.at.start + 1..value.at.end - 1],
            ValueKind::Number | ValueKind::Bool | ValueKind::Container => &body[value.at],
        };
        let text = || if value.escaped { Text::of(spelled) } else { Text::plain(spelled) };
        let matched = |pattern: &Pattern| pattern.regex().is_match(text().as_str());
        found = field.reaches(place) && pattern.is_none_or(matched);
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(found)
}
