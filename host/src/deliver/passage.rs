//! What of one stream's events a sink is given: routes and rules, between a chunk and the sinks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alerts::First;
use super::outlet::letter;
use super::{Batch, Head};
use crate::config::{Route, Where};
use crate::rules::{Applied, Bound, Rules};
use crate::state::DeadLetter;

/// What is known of a stream's events before any comes.
#[derive(Debug, Clone, Default)]
pub struct Nature {
    /// Names of the source's kinds, which [`Head::kind`] is an index into.
    pub kinds: Arc<[String]>,
    /// The source's own rules.
    pub rules: Rules,
}

/// How events of one stream pass to one sink.
#[derive(Clone)]
pub struct Passage {
    route: Route,
    /// Only the first event of each alert.
    alerts: bool,
    rules: Bound,
    names: Rules,
}

/// What came of a batch at a sink, or at the source's own rules.
pub struct Passed {
    pub batch: Arc<Batch>,
    /// Letters of events that a rule could not be applied to.
    pub letters: Vec<DeadLetter>,
}

/// How many events each rule or route kept back or changed.
pub type Tally = BTreeMap<String, u64>;

impl Passage {
    /// `None` if everything passes.
    pub fn new(only: &Where, alerts: bool, rules: &Rules, stream: &str, nature: &Nature) -> Option<Box<Self>> {
        let (route, bound) = (only.bind(stream, &nature.kinds), rules.bind(stream, &nature.kinds));
        let is_open = route.is_all() && !alerts && bound.is_empty();
        (!is_open).then(|| Box::new(Self { route, alerts, rules: bound, names: rules.clone() }))
    }

    /// The source's own rules, which come before all sinks.
    pub fn of_source(stream: &str, nature: &Nature) -> Option<Box<Self>> {
        Self::new(&Where::default(), false, &nature.rules, stream, nature)
    }

    /// Whether it takes the first event of each alert alone.
    pub fn takes_alerts(&self) -> bool {
        self.alerts && !self.route.is_none()
    }

    /// Lets `batch` pass to the sink of this name; without one, past the source's own rules.
    pub fn pass(&self, sink: Option<&str>, batch: &Arc<Batch>, first: &First, tally: &mut Tally, at_ms: u64) -> Passed {
        let count = |tally: &mut Tally, what: &str, events: u64| {
            if events > 0 {
                let name = sink.map(|sink| format!("{sink}.{what}")).unwrap_or_else(|| what.to_owned());
                *tally.entry(name).or_default() += events;
            }
        };
        let routed = only(batch, |head| self.route.takes(head));
        count(tally, "where", (batch.events.len() - routed.events.len()) as u64);
        let fresh = if self.alerts { only(&routed, |head| first.is_first(head)) } else { Arc::clone(&routed) };
        count(tally, "alerts", (routed.events.len() - fresh.events.len()) as u64);
        if self.rules.is_empty() || fresh.is_empty() {
            return Passed { batch: fresh, letters: Vec::new() };
        }
        let Applied { batch: passed, filtered, changed, refused, .. } = self.rules.apply(&fresh);
        let names: Vec<&str> = self.names.names().collect();
        for (rule, events) in filtered.into_iter().chain(changed) {
            count(tally, &format!("rules.{}", names.get(rule).copied().unwrap_or_default()), events);
        }
        let letters = refused.into_iter().map(|refused| {
            let head = &fresh.events[refused.event];
            let reason = format!("rule {}: {}", names.get(refused.rule).copied().unwrap_or_default(), refused.reason);
            let letter = letter(sink.unwrap_or_default(), &fresh, head, reason, at_ms);
            if refused.hidden { letter.without_body() } else { letter }
        });
        Passed { letters: letters.collect(), batch: passed }
    }
}

/// The events that are `wanted`: the same batch, if that is all.
fn only(batch: &Arc<Batch>, wanted: impl Fn(&Head) -> bool) -> Arc<Batch> {
    if batch.events.iter().all(&wanted) {
        return Arc::clone(batch);
    }
    Arc::new(batch.with(batch.events.iter().filter(|head| wanted(head)).cloned().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::tests::batch;

    /// Events of the kinds 0, 1, 0 with the severities 1, 4, 5; the last two are one alert.
    fn sample() -> Arc<Batch> {
        let mut sample = Batch::clone(&batch("t", "siem/receipt", &[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]));
        for (head, (kind, severity, alert_key, class)) in
            sample.events.iter_mut().zip([(0, 1, None, 4009), (1, 4, Some(9), 2004), (0, 5, Some(9), 2004)])
        {
            (head.kind, head.severity, head.alert_key, head.class) = (kind, severity, alert_key, class);
        }
        Arc::new(sample)
    }

    fn nature() -> Nature {
        Nature { kinds: ["receipt".to_owned(), "av".to_owned()].into(), rules: Rules::default() }
    }

    fn passes(only: Where, alerts: bool) -> (Vec<u32>, Tally) {
        let passage = Passage::new(&only, alerts, &Rules::default(), "siem/receipt", &nature());
        let (sample, mut tally) = (sample(), Tally::new());
        let Some(passage) = passage else { return (vec![0, 1, 2], tally) };
        let first = First::of(&sample, |_| true);
        let passed = passage.pass(Some("lake"), &sample, &first, &mut tally, 0);
        (passed.batch.events.iter().map(|head| head.begin / 8).collect(), tally)
    }

    #[test]
    fn routes_go_by_heads() {
        let all = Where::default();
        assert_eq!(passes(all.clone(), false), (vec![0, 1, 2], Tally::new()));
        let one = |events| Tally::from([("lake.where".to_owned(), events)]);
        assert_eq!(passes(Where { kinds: vec!["rec*".into()], ..all.clone() }, false), (vec![0, 2], one(1)));
        assert_eq!(passes(Where { kinds: vec!["other".into()], ..all.clone() }, false), (vec![], one(3)));
        assert_eq!(passes(Where { streams: vec!["siem/*".into()], ..all.clone() }, false).0, [0, 1, 2]);
        assert_eq!(passes(Where { streams: vec!["dlp".into()], ..all.clone() }, false), (vec![], one(3)));
        assert_eq!(passes(Where { classes: vec![4009], ..all.clone() }, false), (vec![0], one(2)));
        assert_eq!(passes(Where { severity_at_least: 4, ..all.clone() }, false), (vec![1, 2], one(1)));
        assert_eq!(passes(Where { alerts: true, ..all }, false), (vec![1, 2], one(1)));
    }

    #[test]
    fn of_an_alert_the_first_event_passes() {
        let (events, tally) = passes(Where::default(), true);
        assert_eq!((events, tally), (vec![1], Tally::from([("lake.alerts".to_owned(), 2)])));
    }

    #[test]
    fn what_passes_whole_is_not_copied() {
        assert!(Passage::of_source("siem/receipt", &nature()).is_none());
        let only = Where { severity_at_least: 1, ..Where::default() };
        let passage = Passage::new(&only, false, &Rules::default(), "siem/receipt", &nature()).unwrap();
        let (sample, mut tally) = (sample(), Tally::new());
        let passed = passage.pass(None, &sample, &First::default(), &mut tally, 0);
        assert!(Arc::ptr_eq(&passed.batch, &sample) && tally.is_empty());
    }
}
