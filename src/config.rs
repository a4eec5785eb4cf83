//! What an operator may set: read from JSON, judged without any I/O, every complaint naming its key.

mod address;
mod form;
mod mistakes;
mod schema;
mod span;
mod streams;
mod value;

use base64::Engine;

use crate::catalog::Stream;
use crate::chunk::{Fault, FaultClass, Timestamp};
use crate::code::Code;
use crate::kind::Generation;

pub use address::{Base, DISCOVERY, is_loopback};
pub use form::{IncludeOriginal, Label, Output};
use mistakes::Mistakes;
pub use schema::{KEYS, config_schema};
pub use span::{DAY, HOUR, MILLISECOND, MINUTE, SECOND, instant};
pub use streams::{SiemMode, Tuning};
use value::{Values, shown};

/// A configuration that has been judged good.
#[derive(Debug, Clone)]
pub struct Config {
    pub keys: Keys,
    /// Where the API is; `None` where it has to be discovered (API 1.0 without `base_url` and `region`).
    pub base: Option<Base>,
    /// Plain HTTP to loopback, for a simulator. Nothing else.
    pub insecure_http: bool,
    /// The selected streams, in the descriptor's order.
    pub collect: Vec<Stream>,
    pub start_at: StartAt,
    pub siem_mode: SiemMode,
    /// The form of the bodies.
    pub output: Output,
    /// Products whose names of a kind go into each event.
    pub labels: Vec<Label>,
    /// The operator's own category, for each event.
    pub category: Option<String>,
    /// How much of the record as it came goes into each event.
    pub include_original: IncludeOriginal,
    pub tenant: String,
    /// What ids are scoped to; the tenant unless set.
    pub id_scope: String,
    /// Constant fields that every body gets.
    pub fields: Vec<(String, String)>,
    /// Intervals, overlaps and page sizes that differ from the streams' own. See [`Config::interval`] and its neighbours.
    tuning: Tuning,
}

/// The credentials, by generation.
#[derive(Debug, Clone)]
pub enum Keys {
    V1 {
        /// Needed for discovery only.
        administrator_email: Option<String>,
        app_id: String,
        app_key: Secret<String>,
        access_key: Secret<String>,
        /// Decoded from base64.
        secret_key: Secret<Vec<u8>>,
    },
    V2 {
        client_id: Secret<String>,
        client_secret: Secret<String>,
    },
}

/// A value that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(pub T);

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// Where a stream without a position begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// So many nanoseconds before the first pull.
    Ago(u64),
    At(Timestamp),
}

impl StartAt {
    /// The time that it means, seen from `now`; never in the future.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            StartAt::Ago(span) => now.saturating_sub(span),
            StartAt::At(time) => time.min(now),
        }
    }
}

const V1_KEYS: [&str; 5] = ["administrator_email", "app_id", "app_key", "access_key", "secret_key"];
const V2_KEYS: [&str; 2] = ["client_id", "client_secret"];

impl Config {
    /// Judges a configuration.
    ///
    /// # Errors
    /// A fault of the class `configuration` with all mistakes: a line of its message for each, which begins with the key and
    /// says what is wrong with it, and a line of its hint, which says what to do. It never repeats the value of a secret.
    pub fn parse(json: &str) -> Result<Config, Fault> {
        let mut found = Mistakes::default();
        let values = Values::parse(json, &mut found)?;
        // Without it, nobody can say which keys and names are right.
        let generation = found.keep(generation(&values));
        let keys = match generation {
            Some(Generation::V1) => keys_v1(&values, &mut found),
            Some(Generation::V2) => keys_v2(&values, &mut found),
            None => Keys::V2 { client_id: Secret(String::new()), client_secret: Secret(String::new()) },
        };
        let insecure_http = found.keep(values.boolean("insecure_http")).map(Option::unwrap_or_default);
        let base = generation
            .zip(insecure_http)
            .and_then(|(generation, insecure)| found.keep(address::base(&values, generation, insecure)).flatten());
        // What is wrong or misspelt has been said.
        let placed = ["base_url", "region"].iter().any(|key| values.has(key) || values.is_misspelt(key))
            || values.text("administrator_email").is_err()
            || values.is_misspelt("administrator_email");
        if let Keys::V1 { administrator_email: None, .. } = &keys
            && !placed
        {
            let message = "`region` is not set, and neither is `base_url` nor `administrator_email`";
            let hint =
                "Set `region` (eu, us, …), or `administrator_email` so that Mimecast is asked for the account's region";
            found.note(fault(Code::MissingKey, message).hint(hint));
        }
        let tenant = found.keep(values.text("tenant")).flatten().unwrap_or_else(|| "default".to_owned());
        let id_scope = found.keep(values.text("id_scope")).flatten().unwrap_or_else(|| tenant.clone());
        let siem_mode = generation.and_then(|generation| found.keep(streams::siem_mode(&values, generation)));
        let collect = generation.map(|generation| streams::collect(&values, generation, siem_mode, &mut found));
        let start_at = found.keep(streams::start_at(&values)).unwrap_or(StartAt::Ago(0));
        let config = Config {
            keys,
            base,
            insecure_http: insecure_http.unwrap_or_default(),
            collect: collect.unwrap_or_default(),
            start_at,
            siem_mode: siem_mode.unwrap_or_default(),
            output: found.keep(form::output(&values)).unwrap_or_default(),
            labels: found.keep(form::labels(&values)).unwrap_or_default(),
            category: found.keep(form::category(&values)).flatten(),
            include_original: found.keep(form::include_original(&values)).unwrap_or_default(),
            tenant,
            id_scope,
            fields: found.keep(values.fields("fields")).unwrap_or_default(),
            tuning: generation.map(|generation| streams::tuning(&values, generation, &mut found)).unwrap_or_default(),
        };
        found.finish(config)
    }

    /// The texts that must not appear in anything that is printed.
    pub(crate) fn secrets(&self) -> Vec<String> {
        match &self.keys {
            Keys::V1 { app_key, access_key, secret_key, .. } => {
                let secret_key = base64::engine::general_purpose::STANDARD.encode(&secret_key.0);
                vec![app_key.0.clone(), access_key.0.clone(), secret_key]
            }
            Keys::V2 { client_id, client_secret } => vec![client_secret.0.clone(), client_id.0.clone()],
        }
    }

    pub fn generation(&self) -> Generation {
        match self.keys {
            Keys::V1 { .. } => Generation::V1,
            Keys::V2 { .. } => Generation::V2,
        }
    }
}

pub(crate) fn fault(code: Code, message: impl Into<String>) -> Fault {
    Fault::new(FaultClass::Configuration, code, message)
}

fn generation(values: &Values) -> Result<Generation, Fault> {
    match values.version("api")?.as_deref() {
        None | Some("2.0" | "2") => Ok(Generation::V2),
        Some("1.0" | "1") => Ok(Generation::V1),
        Some(other) => {
            let message = format!("`api` is \"{}\", which is no generation of Mimecast's API", shown(other));
            Err(fault(Code::BadValue, message)
                .hint("Set it to \"2.0\" (OAuth, the default) or \"1.0\" (signed requests)"))
        }
    }
}

/// The credentials of one generation, as they are read.
struct Credentials<'a> {
    values: &'a Values,
    found: &'a mut Mistakes,
    /// What to do about one that is missing.
    hint: &'static str,
    /// Keys of the other generation are there: this one's are not missed then, for perhaps the generation is the mistake.
    mixed: bool,
}

impl<'a> Credentials<'a> {
    /// Keys of the other generation are a sign of a mix-up, so they are refused rather than ignored (quirk Q11).
    fn new(
        values: &'a Values,
        found: &'a mut Mistakes,
        hint: &'static str,
        others: &[&str],
        (api, other): (&str, &str),
    ) -> Self {
        let mut mixed = false;
        for key in others.iter().filter(|key| values.has(key)) {
            mixed = true;
            let message = format!("`{key}` belongs to API {other}, but `api` is \"{api}\"");
            let hint = format!("Remove `{key}`, or set `api` to \"{other}\" and give the keys of that generation");
            found.note(fault(Code::WrongGeneration, message).hint(hint));
        }
        Self { values, found, hint, mixed }
    }

    /// Empty where it is wrong.
    fn take(&mut self, key: &str) -> String {
        let Some(text) = self.found.keep(self.values.text(key)) else { return String::new() };
        let text = text.map(|value| value.trim().to_owned()).unwrap_or_default();
        if text.is_empty() {
            // Under a name that was meant to be this one it is not missing.
            if !self.mixed && !self.values.is_misspelt(key) {
                let message = format!("`{key}` is missing or empty");
                self.found.note(fault(Code::MissingKey, message).hint(self.hint));
            }
        } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let message = format!("`{key}` contains blanks or control characters");
            let hint = format!("Copy `{key}` again, without line breaks");
            self.found.note(fault(Code::BadSecret, message).hint(hint));
            return String::new();
        }
        text
    }
}

fn keys_v2(values: &Values, found: &mut Mistakes) -> Keys {
    let hint = "Create an API 2.0 application in Mimecast's Administration Console (Integrations | API and Platform \
                Integrations) and copy its client id and secret";
    let mut keys = Credentials::new(values, found, hint, &V1_KEYS, ("2.0", "1.0"));
    Keys::V2 { client_id: Secret(keys.take("client_id")), client_secret: Secret(keys.take("client_secret")) }
}

fn keys_v1(values: &Values, found: &mut Mistakes) -> Keys {
    let hint = "Set `app_id` and `app_key` of the API 1.0 application, and `access_key` and `secret_key` of its \
                service user";
    let mut keys = Credentials::new(values, found, hint, &V2_KEYS, ("1.0", "2.0"));
    let secret = keys.take("secret_key");
    let (app_id, app_key, access_key) = (keys.take("app_id"), keys.take("app_key"), keys.take("access_key"));
    let secret_key = base64::engine::general_purpose::STANDARD.decode(secret.as_bytes()).map_err(|_| {
        fault(Code::BadSecret, "`secret_key` is not valid base64")
            .hint("Copy the secret key again, whole, with the `=` signs at its end")
    });
    let email = found.keep(values.text("administrator_email")).flatten();
    Keys::V1 {
        administrator_email: email.map(|email| email.trim().to_owned()).filter(|email| !email.is_empty()),
        app_id,
        app_key: Secret(app_key),
        access_key: Secret(access_key),
        secret_key: Secret(found.keep(secret_key).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
