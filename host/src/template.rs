//! Texts with places for what is known of an event: `{tenant}/{stream}/{date}`.
//!
//! ```
//! use tributary_host::template::Template;
//!
//! assert!(Template::parse("mimecast-{stream}").is_ok());
//! let error = Template::parse("mimecast-{streams}").unwrap_err();
//! assert!(error.to_string().contains("{streams}"));
//! ```

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::deliver::{Head, Origin};

/// See the module. `{{` and `}}` stand for braces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Source,
    Tenant,
    Stream,
    Class,
    Severity,
    /// The event's own day, as 2026-11-22, and its hour, as 07; UTC.
    Date,
    Year,
    Month,
    Day,
    Hour,
}

const PLACES: [(&str, Place); 10] = [
    ("source", Place::Source),
    ("tenant", Place::Tenant),
    ("stream", Place::Stream),
    ("class", Place::Class),
    ("severity", Place::Severity),
    ("date", Place::Date),
    ("year", Place::Year),
    ("month", Place::Month),
    ("day", Place::Day),
    ("hour", Place::Hour),
];

/// What to do about any of the errors.
pub const HINT: &str = "Correct what stands in braces; write `{{` for the sign itself";

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "there is no {{{0}}}. Known are {{source}}, {{tenant}}, {{stream}}, {{class}}, {{severity}}, {{date}}, {{year}}, {{month}}, {{day}} and {{hour}}"
    )]
    Unknown(String),
    #[error("a `{0}` stands alone. Write `{0}{0}` for the sign itself")]
    Brace(char),
}

impl Template {
    /// # Errors
    /// When a place is not known, or a brace stands alone.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut literal) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = if rest[at..].starts_with('{') { '{' } else { '}' };
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push(brace);
                rest = after;
                continue;
            }
            let name = rest.split_once('}').filter(|(name, _)| brace == '{' && !name.contains('{'));
            let (name, after) = name.ok_or(TemplateError::Brace(brace))?;
            let place = PLACES.iter().find(|(known, _)| *known == name.trim());
            let (_, place) = place.ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Place(*place));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// One without any text.
    pub fn empty() -> Self {
        Self { parts: Vec::new() }
    }

    /// The texts between the places.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Place(_) => None,
        })
    }

    /// The text before the last `/` that stands before the first place, and the template of what follows; `None` without
    /// such a `/`.
    pub fn split_folder(&self) -> Option<(&str, Template)> {
        let (folder, rest) = self.prefix().rsplit_once('/')?;
        let mut parts = self.parts.clone();
        parts[0] = Part::Text(rest.to_owned());
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Some((folder, Template { parts }))
    }

    /// Its pieces between slashes, each with its fixed text and whether a place stands in it too.
    pub fn pieces(&self) -> Vec<(String, bool)> {
        let mut pieces = vec![(String::new(), false)];
        for part in &self.parts {
            let last = pieces.len() - 1;
            match part {
                Part::Place(_) => pieces[last].1 = true,
                Part::Text(text) => {
                    let mut texts = text.split('/');
                    pieces[last].0.push_str(texts.next().unwrap_or_default());
                    pieces.extend(texts.map(|text| (text.to_owned(), false)));
                }
            }
        }
        pieces
    }

    /// Whether it is the same for all events.
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Whether it is the same for all events of one batch.
    pub fn is_fixed_in_batch(&self) -> bool {
        let of_origin = |place: &Place| matches!(place, Place::Source | Place::Tenant | Place::Stream);
        self.parts
            .iter()
            .all(|part| matches!(part, Part::Text(_)) || matches!(part, Part::Place(place) if of_origin(place)))
    }

    /// The text before the first place. What is written into it cannot change that.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Text(text)) => text,
            _ => "",
        }
    }

    /// The text for one event. `clean` is given what is filled in, and says how it is written here.
    pub fn render(&self, origin: &Origin, event: &Head, clean: impl Fn(&str) -> String) -> String {
        self.render_path(origin, event, &clean, &clean)
    }

    /// The same, where a `/` in a stream's name may mean something: that is cleaned by `clean_stream`.
    pub fn render_path(
        &self,
        origin: &Origin,
        event: &Head,
        clean: impl Fn(&str) -> String,
        clean_stream: impl Fn(&str) -> String,
    ) -> String {
        let mut text = String::new();
        let time = DateTime::<Utc>::from_timestamp_nanos(i64::try_from(event.time).unwrap_or(i64::MAX));
        for part in &self.parts {
            let filled = match part {
                Part::Text(fixed) => {
                    text.push_str(fixed);
                    continue;
                }
                Part::Place(Place::Source) => clean(&origin.source),
                Part::Place(Place::Tenant) => clean(&origin.tenant),
                Part::Place(Place::Stream) => clean_stream(&origin.stream),
                Part::Place(Place::Class) => event.class.to_string(),
                Part::Place(Place::Severity) => severity(event.severity).to_owned(),
                Part::Place(Place::Date) => {
                    let _ = write!(text, "{:04}-{:02}-{:02}", time.year(), time.month(), time.day());
                    continue;
                }
                Part::Place(Place::Year) => format!("{:04}", time.year()),
                Part::Place(Place::Month) => format!("{:02}", time.month()),
                Part::Place(Place::Day) => format!("{:02}", time.day()),
                Part::Place(Place::Hour) => format!("{:02}", time.hour()),
            };
            text.push_str(&filled);
        }
        text
    }
}

/// Whether all templates give the same text for two events of one batch, without a look at any.
pub fn alike(one: &Head, other: &Head) -> bool {
    const HOUR: u64 = 3_600_000_000_000;
    one.time / HOUR == other.time / HOUR && one.class == other.class && one.severity == other.severity
}

/// The words for the severities of the contract, from 0 on.
pub const SEVERITIES: [&str; 7] = ["unknown", "informational", "low", "medium", "high", "critical", "fatal"];

/// The word for one.
pub fn severity(severity: u8) -> &'static str {
    SEVERITIES.get(usize::from(severity)).unwrap_or(&SEVERITIES[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> String {
        let origin = Origin { source: "acme-eu".into(), tenant: "Acme".into(), stream: "siem/receipt".into() };
        // 2026-11-22T07:08:09Z
        let time = 1_795_331_289_000_000_000;
        let head = Head { id: 1, time, kind: 0, class: 4009, severity: 4, alert_key: None, begin: 0, end: 0 };
        Template::parse(template).unwrap().render(&origin, &head, |text| text.replace('/', "-"))
    }

    #[test]
    fn places_are_filled_in() {
        assert_eq!(render("a/{tenant}/{stream}/{date}/{hour}"), "a/Acme/siem-receipt/2026-11-22/07");
        assert_eq!(render("{source}-{class}-{severity}"), "acme-eu-4009-high");
        assert_eq!(render("eventDay={year}{month}{day}"), "eventDay=20261122");
        assert_eq!(render("{{x}} 100"), "{x} 100");
        assert_eq!(render(""), "");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (wrong, why) in
            [("{tenants}", "{tenants}"), ("a{", "stands alone"), ("a}", "stands alone"), ("{a{b}", "stands alone")]
        {
            let error = Template::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
        Template::parse("{ tenant }").unwrap();
    }

    #[test]
    fn what_it_depends_on() {
        let of = |text| Template::parse(text).unwrap();
        assert!(of("a").is_fixed() && !of("{tenant}").is_fixed());
        assert!(of("{tenant}/{stream}").is_fixed_in_batch() && !of("{date}").is_fixed_in_batch());
        assert_eq!((of("lake/{tenant}").prefix(), of("{tenant}").prefix()), ("lake/", ""));
    }

    #[test]
    fn folders_and_pieces() {
        let of = |text| Template::parse(text).unwrap();
        let whole = of("/a/b/x-{tenant}/{date}");
        let (folder, rest) = whole.split_folder().unwrap();
        assert_eq!((folder, rest), ("/a/b", of("x-{tenant}/{date}")));
        assert_eq!(of("/a/{tenant}").split_folder().unwrap(), ("/a", of("{tenant}")));
        assert!(of("a-{tenant}/b").split_folder().is_none());
        let pieces = of("x-{tenant}{stream}/../{date}").pieces();
        assert_eq!(pieces, [("x-".to_owned(), true), ("..".to_owned(), false), (String::new(), true)]);
        assert_eq!(of("{tenant}//").pieces()[1..], [(String::new(), false), (String::new(), false)]);
    }
}
