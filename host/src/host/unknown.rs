//! Names in rules and routes that stand for nothing: by a slip of the pen events could be kept back, or be left as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Planned;
use crate::config::{Config, Problem, Step, glob};
use crate::rules::Rules;

/// What a source has, by the names that rules and routes use.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub source: String,
    pub kinds: Arc<[String]>,
    pub streams: Vec<String>,
}

impl Known {
    pub fn of(planned: &Planned) -> Self {
        Self {
            source: planned.config.id.clone(),
            kinds: Arc::clone(planned.source.component.kinds()),
            streams: planned.plan.streams.iter().map(|stream| stream.name.clone()).collect(),
        }
    }
}

/// Names of kinds and streams in the rules and routes of `config` that none of the sources has which they see.
pub(crate) fn unknown_names(config: &Config, known: &[Known]) -> Vec<Problem> {
    let mut found = Vec::new();
    for source in known {
        let rules = config.sources.get(&source.source).map(|source| &source.rules);
        let Some(rules) = rules.filter(|rules| !rules.is_empty()) else { continue };
        let seen = Seen::by(known, |id| id == source.source);
        seen.unknown_in_rules(Step::Sources, &format!("sources.{}", source.source), rules, &mut found);
    }
    for sink in config.sinks.values().filter(|sink| !sink.rules.is_empty() || !sink.only.is_everything()) {
        let (seen, path) = (Seen::by(known, |id| sink.takes(id)), format!("sinks.{}", sink.id));
        seen.unknown_in_rules(Step::Sinks, &path, &sink.rules, &mut found);
        for (what, named, known) in
            [("kind", &sink.only.kinds, &seen.kinds), ("stream", &sink.only.streams, &seen.streams)]
        {
            for name in named.iter().filter(|name| !known.iter().any(|known| glob(name, known))) {
                found.push(problem(Step::Sinks, format!("{path}.where"), what, name));
            }
        }
    }
    found
}

/// What a list of rules sees.
struct Seen<'a> {
    kinds: Vec<&'a str>,
    streams: Vec<&'a str>,
}

impl<'a> Seen<'a> {
    fn by(known: &'a [Known], takes: impl Fn(&str) -> bool) -> Self {
        let (mut kinds, mut streams) = (BTreeSet::new(), BTreeSet::new());
        for source in known.iter().filter(|source| takes(&source.source)) {
            kinds.extend(source.kinds.iter().map(String::as_str));
            streams.extend(source.streams.iter().map(String::as_str));
        }
        Self { kinds: kinds.into_iter().collect(), streams: streams.into_iter().collect() }
    }

    fn unknown_in_rules(&self, step: Step, path: &str, rules: &Rules, found: &mut Vec<Problem>) {
        let kinds = rules.unknown_kinds(&self.kinds).into_iter().map(|at| ("kind", at));
        let streams = rules.unknown_streams(&self.streams).into_iter().map(|at| ("stream", at));
        for (what, (index, name)) in kinds.chain(streams) {
            found.push(problem(step, format!("{path}.rules[{index}]"), what, name));
        }
    }
}

fn problem(step: Step, path: String, what: &str, name: &str) -> Problem {
    let message = format!("no source that it sees has a {what} `{}`", name.escape_debug());
    Problem::new(step, path, message).hint("`tributary describe` lists those that there are")
}
