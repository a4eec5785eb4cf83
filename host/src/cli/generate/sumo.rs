//! Takes over a Mimecast source of Sumo Logic's: the JSON that its page and its API show, of either generation.
//!
//! Public of it are the settings `domain`, `application_id`, `application_key`, `access_key`, `secret_key` and
//! `supported_apis` of the source for API 1.0, and `clientID`, `clientSecret` and `dataCollection` of the one for API 2.0
//! (SumoLogic/sumologic-documentation, `mimecast-source.md` and `example.json`); `name`, `description`, `category` and
//! `fields` are every source's. Both poll every five minutes. Where a source has a key for that or for its beginning, the
//! spellings of its neighbours are accepted.

use serde_json::{Map, Value, json};

use super::starter::{id, variable};
use super::{Block, Line};
use crate::config::EMBEDDED_SOURCE;

/// One source that was taken over.
#[derive(Debug)]
pub struct Imported {
    pub block: Block,
    /// What has no counterpart, for people. No values: any may be a secret.
    pub notes: Vec<String>,
}

/// How often Sumo Logic polls where nothing says so, in minutes.
const POLL_MINUTES: u64 = 5;

/// Their names of data sets, in lower case, and our streams and groups.
const DATA_SETS: [(&str, &str); 6] = [
    ("siem", "siem"),
    ("dlp", "dlp"),
    ("auditevent", "audit"),
    ("audit events", "audit"),
    ("holdmessagelist", "held/messages"),
    ("hold message list", "held/messages"),
];

/// Keys of Sumo Logic's own that mean nothing elsewhere.
const THEIRS: [&str; 6] = ["contentType", "hashAlgorithm", "encoding", "timeZone", "automaticDateParsing", "schemaRef"];

const SECRETS_1: [(&str, &str); 4] = [
    ("application_id", "app_id"),
    ("application_key", "app_key"),
    ("access_key", "access_key"),
    ("secret_key", "secret_key"),
];
const SECRETS_2: [(&str, &str); 2] = [("clientID", "client_id"), ("clientSecret", "client_secret")];

const INTERVALS: [&str; 5] =
    ["pollingIntervalMin", "pollingIntervalMinutes", "polling_interval_min", "pollingInterval", "polling_interval"];
const STARTS: [&str; 6] = ["startTime", "start_time", "startDate", "backfillDays", "backfill_days", "backfill"];

const EXPECTED: &str = "Copy it from the source's page in Sumo Logic (the JSON symbol), or from \
                        GET /api/v1/collectors/{id}/sources/{id}";

/// The Mimecast sources in `text`; `named` is to be the id of the first.
///
/// # Errors
/// When there is none: what was found instead, without any value.
pub fn sources(text: &str, named: Option<&str>) -> Result<Vec<Imported>, String> {
    let tree: Value = serde_json::from_str(text)
        // The parser's message could quote what stands there.
        .map_err(|error| format!("is no JSON, at line {} column {}. {EXPECTED}", error.line(), error.column()))?;
    let mut found = Vec::new();
    collect(&tree, &mut found);
    if found.is_empty() {
        return Err(format!(
            "holds no Mimecast source of Sumo Logic: none with `clientID` or with `application_id` in its `config`. {EXPECTED}"
        ));
    }
    let mut ids: Vec<String> = Vec::new();
    let mut sources = Vec::new();
    for config in found {
        let mut own = match named.filter(|_| ids.is_empty()) {
            Some(named) => named.to_owned(),
            None => slug(config.get("name").and_then(Value::as_str).unwrap_or_default()),
        };
        let (base, mut number) = (own.clone(), 2);
        while ids.contains(&own) {
            own = format!("{base}-{number}");
            number += 1;
        }
        sources.push(source(&own, config));
        ids.push(own);
    }
    Ok(sources)
}

/// The settings of each Mimecast source: of one, of a list, of the answer of their API, or of Terraform's `config`.
fn collect<'a>(tree: &'a Value, found: &mut Vec<&'a Map<String, Value>>) {
    match tree {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => {
            let of = |keys: &[(&str, &str)]| keys.iter().any(|(key, _)| map.contains_key(*key));
            if of(&SECRETS_1) || of(&SECRETS_2) {
                found.push(map);
            } else {
                let inner = ["source", "sources", "config"].into_iter().filter_map(|key| map.get(key));
                inner.for_each(|inner| collect(inner, found));
            }
        }
        _ => {}
    }
}

/// An id made of a name.
fn slug(name: &str) -> String {
    let mut made = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' | '_' => made.push(c),
            _ if made.is_empty() || made.ends_with('-') => {}
            _ => made.push('-'),
        }
    }
    made.truncate(64);
    let made = made.trim_end_matches('-').to_owned();
    if id(&made).is_ok() { made } else { EMBEDDED_SOURCE.to_owned() }
}

struct Reader<'a> {
    id: &'a str,
    lines: Vec<Line>,
    notes: Vec<String>,
}

impl Reader<'_> {
    fn note(&mut self, text: String) {
        self.lines.push(Line::Comment(format!("Not taken over: {text}")));
        self.notes.push(format!("sources.{}: not taken over: {text}", self.id));
    }

    fn text(&mut self, config: &Map<String, Value>, key: &str) -> Option<String> {
        match config.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(_) => {
                self.note(format!("`{key}`, which is no text"));
                None
            }
        }
    }
}

fn source(id: &str, config: &Map<String, Value>) -> Imported {
    let first = SECRETS_1.iter().any(|(key, _)| config.contains_key(*key)) && !config.contains_key("clientID");
    let mut reader = Reader { id, lines: Vec::new(), notes: Vec::new() };
    let mut known: Vec<&str> =
        vec!["name", "description", "category", "fields", "domain", "supported_apis", "dataCollection"];
    known.extend(INTERVALS.into_iter().chain(STARTS).chain(THEIRS));
    let name = reader.text(config, "name");
    reader.lines.push(Line::key("type", EMBEDDED_SOURCE));
    reader.lines.push(Line::key("api", if first { "1.0" } else { "2.0" }));
    if let Some(name) = name.as_deref().filter(|name| *name != id && name.len() <= 256 && plain(name)) {
        reader.lines.push(Line::Comment("Stands in every event's identity: choose it before the first run.".into()));
        reader.lines.push(Line::key("tenant", escaped(name)));
    }
    let secrets: &[(&str, &str)] = if first { &SECRETS_1 } else { &SECRETS_2 };
    reader
        .lines
        .push(Line::Comment("Sumo Logic shows no secrets. Set these variables, or use SECRET[backend.key].".into()));
    for (theirs, ours) in secrets {
        known.push(theirs);
        let given = config.get(*theirs).and_then(Value::as_str).filter(|text| is_placeholder(text));
        let value = given.map_or_else(|| variable(id, ours), str::to_owned);
        reader.lines.push(Line::key(ours, value));
    }
    address(first, config, &mut reader);
    let wanted = data_sets(first, config, &mut reader);
    interval(config, wanted, &mut reader);
    start(config, &mut reader);
    if let Some(category) = reader.text(config, "category") {
        if plain(&category) {
            reader.lines.push(Line::key("category", escaped(&category)));
        } else {
            reader.note("`category`, which holds control characters".into());
        }
    }
    fields(config, &mut reader);
    for key in config.keys().filter(|key| !known.contains(&key.as_str())) {
        // A key of the other generation, or one that is not public.
        reader.note(format!("`{}`, which has no counterpart here", key.escape_debug()));
    }
    let mut comments = Vec::new();
    if let Some(description) = config.get("description").and_then(Value::as_str).filter(|text| !text.trim().is_empty())
    {
        comments.push(description.to_owned());
    }
    let block = Block { comments, place: Some(("sources".into(), id.to_owned())), lines: reader.lines };
    Imported { block, notes: reader.notes }
}

fn address(first: bool, config: &Map<String, Value>, reader: &mut Reader<'_>) {
    let Some(domain) = reader.text(config, "domain") else {
        if first {
            reader.note("the region: there is no `domain`. Set `region` or `base_url`".into());
        }
        return;
    };
    let host = domain.trim_start_matches("https://").trim_end_matches('/');
    let good = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if first && good {
        reader.lines.push(Line::key("base_url", format!("https://{host}")));
    } else if first {
        reader.note("`domain`, which is no name of a host. Set `region` or `base_url`".into());
    } else {
        reader.note("`domain`, which belongs to API 1.0; API 2.0 has one address, or `region`".into());
    }
}

/// What is collected, by our names.
fn data_sets(first: bool, config: &Map<String, Value>, reader: &mut Reader<'_>) -> Vec<&'static str> {
    let key = if first { "supported_apis" } else { "dataCollection" };
    let given = match config.get(key) {
        Some(Value::Array(items)) => items.clone(),
        Some(one @ Value::String(_)) => vec![one.clone()],
        Some(Value::Null) | None => Vec::new(),
        Some(_) => {
            reader.note(format!("`{key}`, which is no list"));
            Vec::new()
        }
    };
    let mut wanted = Vec::new();
    for item in &given {
        let name = item.as_str().unwrap_or_default().trim().to_ascii_lowercase();
        match DATA_SETS.iter().find(|(theirs, _)| *theirs == name) {
            Some((_, ours)) if wanted.contains(ours) => {}
            Some((_, ours)) => wanted.push(*ours),
            None => reader.note(format!("one of `{key}`, which is no data set that is known of that source")),
        }
    }
    if wanted.is_empty() {
        // What that source can collect, and no more.
        wanted = vec!["siem", "dlp", "audit", "held/messages"];
    }
    reader.lines.push(Line::Comment("Without this key, all that the account has a right to is collected.".into()));
    reader.lines.push(Line::key("collect", json!(wanted)));
    wanted
}

fn interval(config: &Map<String, Value>, wanted: Vec<&'static str>, reader: &mut Reader<'_>) {
    let given = INTERVALS.into_iter().find_map(|key| Some((key, config.get(key)?)));
    let minutes = match given {
        None => POLL_MINUTES,
        Some((key, value)) => {
            let number = value.as_u64().or_else(|| value.as_str()?.trim().trim_end_matches('m').parse().ok());
            match number.filter(|minutes| (1..=24 * 60).contains(minutes)) {
                Some(minutes) => minutes,
                None => {
                    reader.note(format!("`{key}`, which is no number of minutes from 1 to 1440"));
                    POLL_MINUTES
                }
            }
        }
    };
    let intervals: Map<String, Value> =
        wanted.into_iter().map(|name| (name.to_owned(), json!(format!("{minutes}m")))).collect();
    reader
        .lines
        .push(Line::Comment("As Sumo Logic polls. Without this key, each stream has an interval of its own.".into()));
    reader.lines.push(Line::key("intervals", Value::Object(intervals)));
}

fn start(config: &Map<String, Value>, reader: &mut Reader<'_>) {
    let Some((key, value)) =
        STARTS.into_iter().find_map(|key| Some((key, config.get(key).filter(|value| !value.is_null())?)))
    else {
        reader.lines.push(Line::Comment(
            "Where to begin: at the time when Sumo Logic's source was stopped nothing is missed, and nothing comes twice.".into(),
        ));
        reader.lines.push(Line::off("start_at", "7d"));
        return;
    };
    let days = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|days| (1..=3650).contains(days));
    let text = value.as_str().map(str::trim).unwrap_or_default();
    let moment =
        text.len() >= 20 && text.len() <= 40 && text.as_bytes().get(10).is_some_and(|c| matches!(c, b'T' | b't'));
    let timely = moment && text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.TtZz+".contains(&byte));
    match days {
        Some(days) => reader.lines.push(Line::key("start_at", format!("{days}d"))),
        None if timely => reader.lines.push(Line::key("start_at", text)),
        None => {
            reader.note(format!("`{key}`, which is neither a number of days nor a time (RFC 3339). Set `start_at`"))
        }
    }
}

/// Fields that Sumo Logic reads itself stand for its own processing.
fn fields(config: &Map<String, Value>, reader: &mut Reader<'_>) {
    let given = match config.get("fields") {
        None | Some(Value::Null) => return,
        Some(Value::Object(given)) => given,
        Some(_) => return reader.note("`fields`, which is no table".into()),
    };
    let mut kept = Map::new();
    for (name, value) in given {
        let key = name.escape_debug();
        match value {
            _ if name.starts_with('_') => {
                reader.note(format!(
                    "the field `{key}`, which Sumo Logic reads itself: a sink of type \"sumo\" has keys for such fields \
                     (siem_forward, parser and others)"
                ));
            }
            Value::String(text) => {
                kept.insert(name.clone(), escaped(text).into());
            }
            Value::Number(_) | Value::Bool(_) => {
                kept.insert(name.clone(), value.clone());
            }
            _ => reader.note(format!("the field `{key}`, which is neither a text nor a number")),
        }
    }
    if !kept.is_empty() {
        reader.lines.push(Line::key("fields", Value::Object(kept)));
    }
}

/// A text in which nothing is filled in.
fn escaped(text: &str) -> String {
    text.replace('$', "$$").replace("SECRET[", "SECRET [")
}

fn plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// `${NAME}` alone: no secret, but where one is.
fn is_placeholder(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    name.is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_ids() {
        for (name, expected) in [
            ("Mimecast EU (prod)", "mimecast-eu-prod"),
            ("  ", "mimecast"),
            ("health", "mimecast"),
            ("Größe", "gr-e"),
            (&"x".repeat(80), &"x".repeat(64)),
        ] {
            assert_eq!(slug(name), expected);
        }
    }

    #[test]
    fn only_a_reference_alone_is_no_secret() {
        for text in ["${A_1}", "${_x}"] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in ["${A:-hunter2}", "hunter2${A}", "${A}hunter2", "${}", "${1}", "********", "${a${b}"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn the_same_source_is_found_however_it_is_wrapped() {
        let config = r#"{"name": "A", "clientID": "x", "clientSecret": "y"}"#;
        for text in [
            config.to_owned(),
            format!(r#"{{"config": {config}}}"#),
            format!(r#"{{"source": {{"schemaRef": {{"type": "Mimecast"}}, "config": {config}}}}}"#),
            format!(r#"{{"sources": [{{"config": {{"url": "other"}}}}, {{"config": {config}}}]}}"#),
        ] {
            let found = sources(&text, None).unwrap();
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].block.place, Some(("sources".into(), "a".into())));
        }
        let two = sources(&format!("[{config}, {config}]"), Some("own")).unwrap();
        let ids: Vec<_> = two.iter().map(|source| source.block.place.clone().unwrap().1).collect();
        assert_eq!(ids, ["own", "a"]);
        for (text, word) in
            [("{\"clientSecret\": \"hunter2", "line 1"), ("{}", "no Mimecast source"), ("[1]", "no Mimecast")]
        {
            let error = sources(text, None).unwrap_err();
            assert!(error.contains(word) && error.contains("JSON symbol") && !error.contains("hunter2"), "{error}");
        }
    }
}
