//! One source: the host's keys of it. The rest is its component's.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::declaration::{Group, Others, Shape, Table, choice, key, names, table, text, whole};
use super::interpolate::{join, wipe};
use super::limits;
use super::network::{self, Networks};
use super::problem::{Problem, Step, listed, suggestion};
use super::rules;
use super::section::Section;
use super::shape::{OnPositionLost, QuotaLimit, Settings, Source};
use crate::sandbox::Limits;

const MIB: u64 = 1024 * 1024;

/// The host's keys of a source.
pub static SOURCE_KEYS: Group = Group::of(&[
    text("type", "Which component runs it: `mimecast`, or the name of one under `components`.").required(),
    text(
        "tenant",
        "Whose events these are: part of every event's identity, and of where files go. The source's id, if absent.",
    ),
    key(
        "quota_share",
        Shape::Share(0.8),
        "How much of each of the vendor's quotas may be spent, above 0 and at most 1.",
    ),
    key(
        "quotas",
        Shape::Named(&QUOTA),
        "The vendor's limits by their names, where this account's are not those that the component knows.",
    ),
    whole(
        "retry_for_secs",
        1,
        30 * 86_400,
        90 * 60,
        "For how long a passing fault is retried before the stream is in error, in seconds.",
    ),
    choice(
        "on_position_lost",
        &POSITION_LOST_NAMES,
        Some("oldest"),
        "Where to go on when the vendor no longer knows the position: at the oldest that it has, now, or nowhere.",
    ),
    whole(
        "max_in_flight_bytes",
        MIB,
        1 << 40,
        8 * MIB,
        "What may be between pull and acknowledgement in one stream, in bytes.",
    ),
    whole(
        "alert_window_secs",
        1,
        30 * 86_400,
        86_400,
        "In which each alert passes once to sinks that take alerts alone, in seconds.",
    ),
    table("limits", &limits::LIMITS),
    key("rules", Shape::Tables(&rules::RULE), rules::RULE.description),
]);

/// One source.
pub static SOURCE: Table = Table::new(
    "sources",
    "One tenant's account with one vendor, by an id of its own: 1 to 64 letters, digits, `-` or `_`.",
    &[&SOURCE_KEYS, &network::SOURCE_KEYS],
)
.others(Others::Component);

static QUOTA: Table = Table::new(
    "quotas",
    "So many requests in so many seconds.",
    &[&Group::of(&[
        key("requests", Shape::Positive, "A whole number.").required(),
        key("window_secs", Shape::Positive, "In how many seconds.").required(),
    ])],
);

const POSITION_LOST: [(&str, OnPositionLost); 3] =
    [("oldest", OnPositionLost::Oldest), ("now", OnPositionLost::Now), ("stop", OnPositionLost::Stop)];
const POSITION_LOST_NAMES: [&str; 3] = names(&POSITION_LOST);

/// What the keys at the top give to all sources.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    pub limits: Limits,
    pub networks: &'a Networks,
    pub rules: &'a rules::Reader,
    /// What runs sources.
    pub types: &'a [&'a str],
}

impl Shared<'_> {
    /// What was suspicious about what was read with it since it was asked last.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.networks.warnings();
        warnings.extend(self.rules.warnings());
        warnings
    }
}

/// Reads the table of one source.
pub fn source(path: &str, id: &str, table: Value, shared: Shared<'_>, problems: &mut Vec<Problem>) -> Option<Source> {
    let mut section = Section::new(&SOURCE, path, Step::Sources, table, problems)?;
    let kind = component_type(&mut section, shared.types, "Choose one of these, or name the component in [components]");
    let tenant = section.text("tenant").unwrap_or_else(|| id.to_owned());
    if tenant.len() > 256 || tenant.chars().any(char::is_control) {
        let hint = "Shorten it, or remove it: then the source's id is its name";
        section.fault("tenant", "must be at most 256 bytes without control characters", Some(hint.into()));
    }
    let quota_share = section.share("quota_share");
    let retry_for = Duration::from_secs(section.whole("retry_for_secs"));
    let on_position_lost = section.choice("on_position_lost", &POSITION_LOST);
    let max_in_flight_bytes = section.whole("max_in_flight_bytes") as usize;
    let alert_window = Duration::from_secs(section.whole("alert_window_secs"));
    let quotas = match section.take("quotas") {
        Some(table) => quotas(table, &mut section),
        None => BTreeMap::new(),
    };
    let limit_table = section.take("limits");
    let network = shared.networks.source(&mut section);
    let rules = shared.rules.take(&mut section);
    // Everything else is the component's, which judges it.
    let mut settings = section.rest();
    let limits = limits::limits(limit_table, path, Step::Sources, shared.limits, problems);
    shared.networks.judge_wall(path, &network.timeouts, limits.wall);
    settings.insert("tenant".into(), tenant.clone().into());
    let mut tree = Value::Object(settings);
    let settings = Settings::of(&tree);
    wipe(&mut tree);
    Some(Source {
        id: id.to_owned(),
        kind: kind?,
        tenant,
        settings,
        quota_share,
        quotas,
        retry_for,
        on_position_lost,
        max_in_flight_bytes,
        limits,
        network,
        alert_window,
        rules,
    })
}

/// `quotas.<name> = { requests = 50, window_secs = 900 }`. Whether there is a quota of that name, the component knows.
fn quotas(table: Value, section: &mut Section<'_>) -> BTreeMap<String, QuotaLimit> {
    let Value::Object(table) = table else {
        section.fault("quotas", "must be a table of tables", Some(QUOTA_HINT.into()));
        return BTreeMap::new();
    };
    let mut quotas = BTreeMap::new();
    for (name, limit) in table {
        let mut found = Vec::new();
        let limit = Section::new(&QUOTA, "", section.step(), limit, &mut found).map(|mut limit| {
            let mut number = |key, is_good: fn(f64) -> bool| match limit.take(key) {
                None => Err(None),
                Some(value) => {
                    let number = value.as_f64().filter(|n| (f64::MIN_POSITIVE..=1e9).contains(n) && is_good(*n));
                    number.ok_or(Some(key))
                }
            };
            let limit_of = (number("requests", |n| n.fract() == 0.0), number("window_secs", |_| true));
            limit.close();
            limit_of
        });
        // Where a key is wrong that is there, it is that: the template may have it, or the file.
        let wrong = match limit {
            Some((Ok(requests), Ok(window))) if found.is_empty() => {
                let window = Duration::from_secs_f64(window).max(Duration::from_millis(1));
                quotas.insert(name, QuotaLimit { requests: requests as u32, window });
                continue;
            }
            Some((requests, window)) => requests.err().flatten().or(window.err().flatten()),
            None => None,
        };
        let path = format!("quotas.{name}");
        let path = match wrong.or(found.first().map(|problem| &*problem.path)).filter(|key| !key.is_empty()) {
            Some(key) => join(&path, key),
            None => path,
        };
        let message = "must say how many requests, a whole number, in how many seconds";
        section.fault(&path, message, Some(QUOTA_HINT.into()));
    }
    quotas
}

const QUOTA_HINT: &str = "For example: quotas.NAME = { requests = 50, window_secs = 900 }";

/// Takes the `type`, one of `known`; `otherwise` is the hint where none of them seems to be meant.
pub fn component_type(section: &mut Section<'_>, known: &[&str], otherwise: &str) -> Option<String> {
    let (message, hint) = match section.take("type") {
        Some(Value::String(kind)) if known.contains(&kind.as_str()) => return Some(kind),
        Some(Value::String(kind)) => {
            let hint = suggestion(&kind, known).unwrap_or_else(|| otherwise.to_owned());
            (format!("must be one of {}", listed(known)), hint)
        }
        Some(_) => (format!("must be one of {}", listed(known)), "Choose one of these".into()),
        None => ("is required".to_owned(), format!("Set it to one of {}", listed(known))),
    };
    section.fault("type", message, Some(hint));
    None
}
