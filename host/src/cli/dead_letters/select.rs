//! Which dead letters a verb is about.

use clap::Args;

use crate::cli::moment::moment;
use crate::state::DeadLetter;

/// All conditions hold together.
#[derive(Debug, Clone, Default, Args)]
pub struct Select {
    #[arg(skip)]
    pub ids: Vec<String>,

    /// Of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,

    /// Of this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,

    /// Refused by this sink
    #[arg(long, value_name = "SINK")]
    pub sink: Option<String>,

    /// With this in their reason
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// From this time on: 2025-06-01T00:00:00Z, or 7d, 36h, 30m ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<u64>,

    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<u64>,
}

impl Select {
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        let sink = letter.refused.as_ref().map(|refused| refused.sink.as_str());
        let has = |text: &String| letter.reason.to_lowercase().contains(&text.to_lowercase());
        (self.ids.is_empty() || self.ids.iter().any(|id| !id.is_empty() && letter.id.starts_with(id.as_str())))
            && self.source.as_ref().is_none_or(|source| *source == letter.source)
            && self.stream.as_ref().is_none_or(|stream| *stream == letter.stream)
            && self.sink.as_deref().is_none_or(|wanted| sink == Some(wanted))
            && self.reason.as_ref().is_none_or(has)
            && self.since.is_none_or(|since| letter.at_ms >= since)
            && self.until.is_none_or(|until| letter.at_ms < until)
    }

    /// Whether nothing is said.
    pub fn is_everything(&self) -> bool {
        let Self { ids, source, stream, sink, reason, since, until } = self;
        let texts = [source, stream, sink, reason];
        ids.is_empty() && texts.iter().all(|text| text.is_none()) && since.is_none() && until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Refused;

    fn letter() -> DeadLetter {
        let refused = Refused {
            sink: "lake".into(),
            tenant: "acme".into(),
            event: 1,
            time: 2,
            kind: 3,
            class: 4,
            severity: 5,
            alert_key: None,
        };
        let letter = DeadLetter::refused(1_000, "acme", "audit", "Too long for lake", refused, b"{}\n");
        DeadLetter { id: "abc123".into(), ..letter }
    }

    #[test]
    fn every_condition_counts() {
        let all = || Select {
            ids: vec!["zzz".into(), "abc".into()],
            source: Some("acme".into()),
            stream: Some("audit".into()),
            sink: Some("lake".into()),
            reason: Some("too LONG".into()),
            since: Some(1_000),
            until: Some(1_001),
        };
        assert!(all().takes(&letter()) && Select::default().takes(&letter()));
        assert!(Select::default().is_everything() && !all().is_everything());
        let changes: [fn(&mut Select); 8] = [
            |select| select.ids = vec!["b".into()],
            |select| select.ids = vec![String::new()],
            |select| select.source = Some("acm".into()),
            |select| select.stream = Some("siem".into()),
            |select| select.sink = Some("files".into()),
            |select| select.reason = Some("short".into()),
            |select| select.since = Some(1_001),
            |select| select.until = Some(1_000),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut select = all();
            change(&mut select);
            assert!(!select.takes(&letter()), "{number}");
        }
        // What could not be read was refused by no sink.
        let malformed = DeadLetter { refused: None, ..letter() };
        assert!(!all().takes(&malformed));
    }
}
