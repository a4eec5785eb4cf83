//! Paths of fields, as an operator writes them: `actor.user.email_addr`, `evidences[0].url`, `observables[*].value`,
//! `labels."a.b"`.

use memchr::memmem;

use super::Fault;
use super::json::{Frame, Place, Text};

/// No event has more; a path is compared with every value.
const MOST_STEPS: usize = 32;

/// A path to a value. What is in the value belongs to it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field(Box<[Step]>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member of an object. On the way there, arrays are gone through: `evidences.url` is that of every evidence.
    Key(String),
    /// An element of an array.
    Index(usize),
    /// Every element of an array.
    Every,
}

impl Field {
    /// # Errors
    /// If it is no path.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (mut steps, mut rest) = (Vec::new(), text);
        loop {
            if !(steps.is_empty() && rest.starts_with('[')) {
                let (name, after) = name(rest)?;
                steps.push(Step::Key(name));
                rest = after;
            }
            while let Some(after) = rest.strip_prefix('[') {
                let (number, after) = after.split_once(']').ok_or_else(|| fault("`[` is not closed by `]`"))?;
                let step = match number {
                    "*" => Some(Step::Every),
                    _ if number.bytes().all(|digit| digit.is_ascii_digit()) => number.parse().ok().map(Step::Index),
                    _ => None,
                };
                steps.push(step.ok_or_else(|| fault("between `[` and `]` stands neither a number nor `*`"))?);
                rest = after;
            }
            if steps.len() > MOST_STEPS {
                return Err(fault(&format!("has more than {MOST_STEPS} steps")));
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return Ok(Self(steps.into())),
                None => return Err(fault("after a step there is neither `.` nor `[`")),
            }
        }
    }

    /// Whether the value there is this field, or in it.
    pub fn reaches(&self, place: Place<'_>) -> bool {
        let mut steps = self.0.iter();
        let Some(mut step) = steps.next() else { return true };
        for frame in place.frames() {
            let taken = match (step, frame) {
                (Step::Key(name), Frame::Member(key)) => place.is(key, name),
                (Step::Key(_), Frame::Element(_)) => continue,
                (Step::Index(wanted), Frame::Element(number)) => wanted == number,
                (Step::Every, Frame::Element(_)) => true,
                (Step::Index(_) | Step::Every, Frame::Member(_)) => false,
            };
            if !taken {
                return false;
            }
            match steps.next() {
                Some(next) => step = next,
                None => return true,
            }
        }
        false
    }

    /// Whether it may be in `line`. If not, the line need not be read as JSON.
    pub fn may_be_in(&self, line: &str) -> bool {
        let mut names = self.0.iter().rev().filter_map(|step| match step {
            Step::Key(name) => Some(name),
            _ => None,
        });
        let Some(last) = names.next() else { return true };
        let quoted = format!("\"{last}\"");
        // With a backslash, a name may be spelled otherwise.
        memmem::find(line.as_bytes(), quoted.as_bytes()).is_some() || memchr::memchr(b'\\', line.as_bytes()).is_some()
    }

    /// Whether it names that member of that object, both by their names.
    pub fn names(&self, object: &str, member: &str) -> bool {
        matches!(&*self.0, [Step::Key(one), Step::Key(other)] if one == object && other == member)
    }
}

fn fault(message: &str) -> Fault {
    let hint = "Write it like actor.user.email_addr, evidences[0].url, observables[*].value or labels.\"a.b\"";
    Fault { message: message.to_owned(), hint }
}

/// The name at the begin of `text`, and what comes after it.
fn name(text: &str) -> Result<(String, &str), Fault> {
    if text.starts_with('"') {
        let mut closed = text.match_indices('"').skip(1).map(|(at, _)| at);
        let end = closed.find(|end| !escaped(&text[1..*end])).ok_or_else(|| fault("a quote is not closed"))?;
        let quoted = &text[..=end];
        let name = serde_json::from_str(quoted).map_err(|_| fault("between quotes stands no JSON string"))?;
        return Ok((name, &text[end + 1..]));
    }
    let end = text.find(['.', '[', ']', '"', '*']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    match after.chars().next() {
        _ if name.is_empty() => Err(fault("a name is missing")),
        Some('*') => Err(fault("`*` stands where a name must; all elements of an array are `[*]`")),
        Some('"' | ']') => Err(fault("a quote or bracket stands in a name")),
        _ if name.trim() != name => Err(fault("a name begins or ends with a space")),
        _ => Ok((name.to_owned(), after)),
    }
}

/// Whether what comes behind `text` is escaped.
fn escaped(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Whether the value there is the member that carries the event's identity: `metadata.uid` in OCSF, `event.hash` in ECS, as
/// long as it holds `id`. Any other value of that name is a value like others.
pub fn is_identity(place: Place<'_>, spelled: &str, id: u128) -> bool {
    let [Frame::Member(object), Frame::Member(member)] = place.frames() else { return false };
    let named = IDENTITY.iter().any(|(one, other)| place.is(object, one) && place.is(member, other));
    named && Text::of(spelled).as_str() == format!("{id:032x}")
}

/// Members that carry an event's identity: the object and the member in it.
pub const IDENTITY: [(&str, &str); 2] = [("metadata", "uid"), ("event", "hash")];

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::json::{Scan, ValueKind};
    use super::*;

    const LINE: &str =
        r#"{"a":{"b":"ab","c.d":["0",{"e":"1e"},[{"e":"2e"}]]},"b":"b","e":{"0":"zero","":"none"},"a":{"b":"again"}}"#;

    /// The texts that the path reaches.
    fn reached(path: &str) -> Vec<&'static str> {
        let field = Field::parse(path).unwrap();
        let mut found = Vec::new();
        let read = Scan::default().read(LINE, |value, place| {
            if value.kind == ValueKind::String && field.reaches(place) {
                found.push(LINE[value.at].trim_matches('"'));
            }
            ControlFlow::Continue(())
        });
        read.unwrap();
        found
    }

    #[test]
    fn paths_reach_values() {
        for (path, expected) in [
            ("b", &["b"] as &[&str]),
            ("a.b", &["ab", "again"]),
            ("a", &["ab", "0", "1e", "2e", "again"]),
            (r#"a."c.d""#, &["0", "1e", "2e"]),
            (r#"a."c.d"[0]"#, &["0"]),
            (r#"a."c.d"[1].e"#, &["1e"]),
            (r#"a."c.d"[*].e"#, &["1e", "2e"]),
            (r#"a."c.d".e"#, &["1e", "2e"]),
            (r#"a."c.d"[2][0].e"#, &["2e"]),
            (r#"a."c.d"[2]"#, &["2e"]),
            (r#"a."c.d"[3]"#, &[]),
            ("e.0", &["zero"]),
            ("e[0]", &[]),
            (r#"e."""#, &["none"]),
            (r#""\u0065".0"#, &["zero"]),
            ("a.b.c", &[]),
            ("c", &[]),
        ] {
            assert_eq!(reached(path), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in [
            "",
            ".",
            ".a",
            "a.",
            "a..b",
            "a[",
            "a[]",
            "a[x]",
            "a[-1]",
            "a[1",
            "a]b",
            "a[0]b",
            "a.*",
            "*",
            "a\"b\"",
            "\"a",
            "\"a\\\"",
            "\"a\"b",
            " a",
            "a .b",
            "a[99999999999999999999999]",
        ] {
            assert!(Field::parse(path).is_err(), "{path}");
        }
        for path in ["a", "@timestamp", "a-b.c d", "[0].a", "[*]", r#""a\"b""#, r#""a\\".b"#, "$.a", "x:y/z", "é"] {
            assert!(Field::parse(path).is_ok(), "{path}");
        }
        let deep = |steps: usize| vec!["a"; steps].join(".");
        assert!(Field::parse(&deep(MOST_STEPS)).is_ok() && Field::parse(&deep(MOST_STEPS + 1)).is_err());
    }

    #[test]
    fn the_identity_is_one_member_with_one_value() {
        let id = "000000000000000000000000000000ff";
        let line = format!(
            r#"{{"metadata":{{"uid":"{id}","uid":"ff","x":"{id}"}},"event":{{"h\u0061sh":"{id}"}},"uid":"{id}","a":{{"metadata":{{"uid":"{id}"}}}}}}"#
        );
        let mut found = Vec::new();
        let read = Scan::default().read(&line, |value, place| {
            if value.kind == ValueKind::String {
                found.push(is_identity(place, &line[value.at.start + 1..value.at.end - 1], 255));
            }
            ControlFlow::Continue(())
        });
        assert_eq!((read, found), (Ok(()), vec![true, false, false, true, false, false]));
    }
}
