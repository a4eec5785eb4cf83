//! What of one stream's events a sink is given: routes and rules, between a chunk and the sinks.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alerts::Alerts;
use super::aside::aside;
use super::outlet::letter;
use super::{Batch, Head};
use crate::config::{Route, Where};
use crate::rules::{Applied, Bound, Rules};
use crate::state::{DeadLetter, Sighting};

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
    /// If only the first event of each alert passes: which the sinks have seen.
    alerts: Option<Alerts>,
    rules: Bound,
    names: Rules,
}

/// What came of a batch at a sink, or at the source's own rules.
pub struct Passed {
    pub batch: Arc<Batch>,
    /// Letters of events that a rule could not be applied to.
    pub letters: Vec<DeadLetter>,
    /// Alerts that the sink sees with it for the first time.
    pub sightings: Vec<Sighting>,
}

/// How many events each rule or route kept back or changed.
pub type Tally = BTreeMap<String, u64>;

impl Passage {
    /// `None` if everything passes.
    pub fn new(
        only: &Where,
        alerts: Option<&Alerts>,
        rules: &Rules,
        stream: &str,
        nature: &Nature,
    ) -> Option<Box<Self>> {
        let (route, bound) = (only.bind(stream, &nature.kinds), rules.bind(stream, &nature.kinds));
        let is_open = route.is_all() && alerts.is_none() && bound.is_empty();
        let alerts = alerts.filter(|_| !route.is_none()).cloned();
        (!is_open).then(|| Box::new(Self { route, alerts, rules: bound, names: rules.clone() }))
    }

    /// The source's own rules, which come before all sinks.
    pub fn of_source(stream: &str, nature: &Nature) -> Option<Box<Self>> {
        Self::new(&Where::default(), None, &nature.rules, stream, nature)
    }

    /// Whether it takes the first event of each alert alone.
    pub fn takes_alerts(&self) -> bool {
        self.alerts.is_some()
    }

    /// Whether a rule does, so that what comes decides how long it takes.
    pub fn looks_into_bodies(&self) -> bool {
        self.rules.looks_into_bodies()
    }

    /// Lets `batch` pass to the sink of this name; without one, past the source's own rules.
    pub fn pass(&self, sink: Option<&Arc<str>>, batch: &Arc<Batch>, tally: &mut Tally, at_ms: u64) -> Passed {
        let count = |tally: &mut Tally, what: &str, before: &Batch, after: &Batch| {
            let events = (before.events.len() - after.events.len()) as u64;
            add(tally, sink, what, events);
        };
        let routed = only(batch, |head| self.route.takes(head));
        count(tally, "where", batch, &routed);
        let Some((alerts, sink)) = self.alerts.as_ref().zip(sink) else {
            return self.rule(sink, &routed, tally, at_ms);
        };
        // Rules need not look at what cannot pass. Of the others they may leave out the first, and then the next one of the
        // same alert is the one to pass: so an alert is noted behind them.
        let unseen = alerts.unseen(sink, &routed, at_ms);
        let fresh = only(&routed, |head| unseen.has(head));
        count(tally, "alerts", &routed, &fresh);
        let ruled = self.rule(Some(sink), &fresh, tally, at_ms);
        let (first, sightings) = alerts.first(sink, &ruled.batch, at_ms);
        let passed = only(&ruled.batch, |head| first.has(head));
        count(tally, "alerts", &ruled.batch, &passed);
        Passed { batch: passed, letters: ruled.letters, sightings }
    }

    /// Applies the rules.
    fn rule(&self, sink: Option<&Arc<str>>, fresh: &Arc<Batch>, tally: &mut Tally, at_ms: u64) -> Passed {
        if self.rules.is_empty() || fresh.is_empty() {
            return Passed { batch: Arc::clone(fresh), letters: Vec::new(), sightings: Vec::new() };
        }
        let apply = || self.rules.apply(fresh);
        let applied = if self.looks_into_bodies() { aside(apply) } else { apply() };
        let Applied { batch: passed, filtered, changed, refused, .. } = applied;
        let names: Vec<&str> = self.names.names().collect();
        for (rule, events) in filtered.into_iter().chain(changed) {
            add(tally, sink, &format!("rules.{}", names.get(rule).copied().unwrap_or_default()), events);
        }
        let letters = refused.into_iter().map(|refused| {
            let head = &fresh.events[refused.event];
            let reason = format!("rule {}: {}", names.get(refused.rule).copied().unwrap_or_default(), refused.reason);
            let letter = letter(sink.map(|sink| &**sink).unwrap_or_default(), fresh, head, reason, at_ms);
            if refused.hidden { letter.without_body() } else { letter }
        });
        Passed { letters: letters.collect(), batch: passed, sightings: Vec::new() }
    }
}

/// Counts events under the name of the sink, or of the source's own rules.
fn add(tally: &mut Tally, sink: Option<&Arc<str>>, what: &str, events: u64) {
    if events > 0 {
        let name = sink.map(|sink| format!("{sink}.{what}")).unwrap_or_else(|| what.to_owned());
        *tally.entry(name).or_default() += events;
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::rules::{Action, Conditions, Rule};
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
        let known = Alerts::new(Duration::from_secs(1));
        passes_ruled(&"lake".into(), only, alerts.then_some(&known), &Rules::default())
    }

    fn passes_ruled(sink: &Arc<str>, only: Where, alerts: Option<&Alerts>, rules: &Rules) -> (Vec<u32>, Tally) {
        let passage = Passage::new(&only, alerts, rules, "siem/receipt", &nature());
        let (sample, mut tally) = (sample(), Tally::new());
        let Some(passage) = passage else { return (vec![0, 1, 2], tally) };
        let passed = passage.pass(Some(sink), &sample, &mut tally, 0);
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

    fn masks(text: &str) -> Rules {
        let pattern = crate::rules::Pattern::compile(text).ok();
        let conditions = crate::rules::Conditions { pattern, ..Default::default() };
        let action = crate::rules::Action::Mask(crate::rules::Replacement::new("****"));
        Rules::new(vec![crate::rules::Rule { name: "m".into(), action, conditions }])
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_rules_look_into_bodies() {
        let passes = |rules: Rules, times: u32| async move {
            let others = Arc::new(AtomicBool::new(false));
            tokio::spawn(async move {
                let setter = Arc::clone(&others);
                tokio::spawn(async move { setter.store(true, Ordering::Relaxed) });
                let only = Where { severity_at_least: 1, ..Where::default() };
                let passage = Passage::new(&only, None, &rules, "siem/receipt", &nature()).unwrap();
                (0..times).any(|_| {
                    passage.pass(None, &sample(), &mut Tally::new(), 0);
                    others.load(Ordering::Relaxed)
                })
            })
            .await
            .unwrap()
        };
        assert!(passes(masks("[12]"), 100_000).await);
        // What is over at once stays where it is.
        assert!(!passes(Rules::default(), 100).await);
    }

    #[tokio::test]
    async fn one_thread_that_carries_everything_is_enough() {
        let passage = Passage::new(&Where::default(), None, &masks("[12]"), "siem/receipt", &nature()).unwrap();
        let passed = passage.pass(None, &sample(), &mut Tally::new(), 0);
        assert_eq!(passed.batch.bodies, "{\"a\":\"****\"}\n{\"a\":\"****\"}\n{\"a\":3}\n");
    }

    #[test]
    fn an_alert_is_seen_by_a_sink_with_an_event_that_passes_to_it() {
        let known = Alerts::new(Duration::from_secs(1));
        let all = Where::default;
        let critical = Where { severity_at_least: 5, ..all() };
        let conditions = |kind: &str| Conditions { kinds: vec![kind.into()], ..Conditions::default() };
        let exclude = |kind| Rule { name: "x".into(), action: Action::Exclude, conditions: conditions(kind) };
        let rules = Rules::new(vec![exclude("av")]);
        let one = |events: &[(&str, u64)]| -> Tally { events.iter().map(|(name, n)| (name.to_string(), *n)).collect() };
        let pass = |sink: &str, only, rules: &Rules| passes_ruled(&sink.into(), only, Some(&known), rules);
        // The first event of the alert is no concern of this sink, and the second one is.
        assert_eq!(pass("pager", critical.clone(), &Rules::default()), (vec![2], one(&[("pager.where", 2)])));
        assert_eq!(
            pass("pager", critical, &Rules::default()),
            (vec![], one(&[("pager.where", 2), ("pager.alerts", 1)])),
            "once"
        );
        // What one sink has seen, another has not; and its own rule leaves the first event out.
        let counts = [("chat.alerts", 1), ("chat.rules.x", 1)];
        assert_eq!(pass("chat", all(), &rules), (vec![2], one(&counts)));
        assert_eq!(pass("mail", all(), &Rules::new(vec![exclude("receipt")])).0, [1]);
        assert_eq!(pass("mail", all(), &Rules::default()), (vec![], one(&[("mail.alerts", 3)])));
    }

    #[test]
    fn what_passes_whole_is_not_copied() {
        assert!(Passage::of_source("siem/receipt", &nature()).is_none());
        let only = Where { severity_at_least: 1, ..Where::default() };
        let passage = Passage::new(&only, None, &Rules::default(), "siem/receipt", &nature()).unwrap();
        let (sample, mut tally) = (sample(), Tally::new());
        let passed = passage.pass(None, &sample, &mut tally, 0);
        assert!(Arc::ptr_eq(&passed.batch, &sample) && tally.is_empty());
    }
}
