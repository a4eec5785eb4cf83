//! What is wrong with a source's configuration, mistake by mistake: an operator finds each by its path.

use std::fmt;

use serde_json::Value;

use super::{SourceError, SourceReason};
use crate::config::{Problem, Step, listed, source_keys, suggestion};
use crate::sandbox::{Fault, FaultClass, GuestError};

impl SourceError {
    /// What is wrong. Paths are those in the source's table; that of the table itself is empty.
    pub fn problems(&self) -> Vec<Problem> {
        match &self.reason {
            SourceReason::Guest(GuestError::Fault(fault)) if fault.class == FaultClass::Configuration => {
                mistakes(fault)
            }
            SourceReason::Quotas { names, known } => {
                let problem = |name| Problem::new(Step::Sources, format!("quotas.{name}"), NO_QUOTA);
                names.iter().map(|name| problem(name).hint(other_quota(known))).collect()
            }
            reason => vec![Problem::new(Step::Sources, "", reason.to_string())],
        }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems().into_iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{}", problem.within(&format!("sources.{}", self.id)))?;
        }
        Ok(())
    }
}

const NO_QUOTA: &str = "there is no quota of that name";

fn other_quota(known: &str) -> String {
    format!("Remove it, or choose from {known}")
}

/// The mistakes that a component tells: a line of its message for each, which begins with the key in backticks, and a line of
/// its hint.
fn mistakes(fault: &Fault) -> Vec<Problem> {
    let mut hints = fault.hint.iter().flat_map(|hint| hint.lines());
    let messages = fault.message.lines().filter(|line| !line.trim().is_empty());
    let mistake = |line: &str| {
        let (path, message) = match key(line) {
            Some((key, message)) => (key, message.to_owned()),
            None => ("", format!("{line} ({})", fault.code)),
        };
        let hint = hints.next().map(str::trim).filter(|hint| !hint.is_empty());
        let hint = hint.unwrap_or("Correct it in the source's table");
        Problem::new(Step::Sources, path, message.trim_end_matches('.')).hint(hint)
    };
    let mistakes: Vec<Problem> = messages.map(mistake).collect();
    match mistakes.is_empty() {
        true => vec![Problem::new(Step::Sources, "", fault.to_string())],
        false => mistakes,
    }
}

/// The key with which a line begins, and what is said of it.
fn key(line: &str) -> Option<(&str, &str)> {
    let (key, message) = line.strip_prefix('`')?.split_once("` ")?;
    (!key.is_empty() && !key.contains(['`', ' '])).then_some((key, message.trim_start()))
}

/// The same, where keys that the component does not know may be meant for the host, which takes some out of the same table.
/// `schema` is the component's, which names its own.
pub(super) fn with_host_keys(error: GuestError, schema: &str) -> GuestError {
    let mut fault = match error {
        GuestError::Fault(fault) if fault.class == FaultClass::Configuration => fault,
        other => return other,
    };
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let Some(own) = schema.get("properties").and_then(Value::as_object) else { return fault.into() };
    let host: Vec<&str> = source_keys().filter(|key| !own.contains_key(*key)).collect();
    let mut all: Vec<&str> = own.keys().map(String::as_str).chain(host.iter().copied()).collect();
    all.sort_unstable();
    let mut hints = fault.hint.iter().flat_map(|hint| hint.lines());
    let hint = |line| {
        let said = hints.next().unwrap_or_default();
        let unknown = key(line).map(|(key, _)| key).filter(|key| !key.contains(['.', '[']) && !own.contains_key(*key));
        match unknown.map(|key| suggestion(key, &host)) {
            Some(Some(host)) => host,
            Some(None) if !said.starts_with("Did you mean") => format!("Remove it, or choose from {}", listed(&all)),
            _ => said.to_owned(),
        }
    };
    let hints: Vec<String> = fault.message.lines().map(hint).collect();
    fault.hint = Some(hints.join("\n"));
    fault.into()
}

/// The same, with the quotas of these names, which the component does not know: whoever mends the one must not meet the other
/// after it. `known` are those that it knows.
pub(super) fn with_quotas(error: GuestError, names: &[String], known: &str) -> GuestError {
    let mut fault = match error {
        GuestError::Fault(fault) if fault.class == FaultClass::Configuration && !names.is_empty() => fault,
        other => return other,
    };
    let mut hints = fault.hint.iter().flat_map(|hint| hint.lines());
    let told = fault.message.lines().filter(|line| !line.trim().is_empty());
    let told = told.map(|line| (line.to_owned(), hints.next().unwrap_or_default().to_owned()));
    let quotas = names.iter().map(|name| (format!("`quotas.{}` {NO_QUOTA}", name.escape_debug()), other_quota(known)));
    let (messages, hints): (Vec<_>, Vec<_>) = told.chain(quotas).unzip();
    (fault.message, fault.hint) = (messages.join("\n"), Some(hints.join("\n")));
    fault.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_host_are_guessed_too() {
        let schema = r#"{"properties": {"region": {}, "client_id": {}}}"#;
        let hints = |message: &str, hint: Option<&str>| {
            let (class, code) = (FaultClass::Configuration, "unknown-key".to_owned());
            let fault = Fault { class, code, message: message.into(), hint: hint.map(str::to_owned), status: None };
            match with_host_keys(fault.into(), schema) {
                GuestError::Fault(fault) => fault.hint.unwrap_or_default(),
                other => panic!("{other}"),
            }
        };
        let keys = "The keys are: region, client_id";
        assert_eq!(hints("`qouta_share` is no key", Some(keys)), "Did you mean `quota_share`?");
        let all = hints("`colour` is no key", Some(keys));
        assert!(all.contains("`region`") && all.contains("`quota_share`") && all.contains("`rules`"), "{all}");
        assert_eq!(hints("`clientID` is no key", Some("Did you mean `client_id`?")), "Did you mean `client_id`?");
        assert_eq!(hints("`region` is odd\n`rule` is no key", Some("Set it\nX")), "Set it\nDid you mean `rules`?");
        assert_eq!(hints("`region.a` is odd", Some("Set it")), "Set it");
        assert_eq!(hints("it is wrong", Some("Mend it")), "Mend it");
    }

    fn told(message: &str, hint: Option<&str>) -> Vec<String> {
        let (class, code) = (FaultClass::Configuration, "bad-value".to_owned());
        let fault = Fault { class, code, message: message.into(), hint: hint.map(str::to_owned), status: None };
        let error = SourceError { id: "acme".into(), reason: SourceReason::Guest(fault.into()) };
        error.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_mistake_has_its_path_and_its_next_step() {
        assert_eq!(
            told("`region` is \"eu\"\n`intervals.siem/av` is odd.", Some("Choose `uk`\nSet `30m`")),
            ["sources.acme.region: is \"eu\". Choose `uk`", "sources.acme.intervals.siem/av: is odd. Set `30m`"]
        );
        // Components that know nothing of that.
        assert_eq!(told("it is wrong", Some("Mend it")), ["sources.acme: it is wrong (bad-value). Mend it"]);
        assert_eq!(
            told("`a b` and `c`", None),
            ["sources.acme: `a b` and `c` (bad-value). Correct it in the source's table"]
        );
        assert_eq!(told("`a` x\n`b` y", Some("Only one")).len(), 2);
        assert_eq!(told("", Some("Mend it")), ["sources.acme:  (bad-value). Mend it"]);
    }

    #[test]
    fn other_reasons_stand_at_the_table() {
        let error = |reason| SourceError { id: "acme".into(), reason }.to_string();
        let kind = "other".to_owned();
        let text = error(SourceReason::NotLoaded { kind });
        assert_eq!(text, "sources.acme: its component `other` was not loaded. Restart tributary");
        let (names, known) = (vec!["siem-bach".to_owned(), "adit".to_owned()], "siem-batch, audit".to_owned());
        let text = error(SourceReason::Quotas { names, known });
        let said = |name| {
            format!(
                "sources.acme.quotas.{name}: there is no quota of that name. Remove it, or choose from siem-batch, audit"
            )
        };
        assert_eq!(text, format!("{}\n{}", said("siem-bach"), said("adit")));
    }

    #[test]
    fn unknown_quotas_stand_beside_the_components_mistakes() {
        let told = |class, message: &str, hint: Option<&str>, names: &[&str]| {
            let (code, hint) = ("bad-value".to_owned(), hint.map(str::to_owned));
            let fault = Fault { class, code, message: message.into(), hint, status: None };
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let error = with_quotas(fault.into(), &names, "audit");
            SourceError { id: "acme".into(), reason: error.into() }.to_string()
        };
        let configuration = FaultClass::Configuration;
        assert_eq!(
            told(configuration, "`region` is odd\n`tenant` too", Some("Set it"), &["x", "y"]),
            "sources.acme.region: is odd. Set it\n\
             sources.acme.tenant: too. Correct it in the source's table\n\
             sources.acme.quotas.x: there is no quota of that name. Remove it, or choose from audit\n\
             sources.acme.quotas.y: there is no quota of that name. Remove it, or choose from audit"
        );
        assert_eq!(told(configuration, "`region` is odd", Some("Set it"), &[]), "sources.acme.region: is odd. Set it");
        assert_eq!(told(configuration, "it is wrong", None, &["a\nb"]).lines().count(), 2);
        assert!(!told(FaultClass::Unavailable, "it is late", None, &["x"]).contains("quotas"));
    }
}
