//! What an operator may set: read from JSON, judged without any I/O, every complaint naming its key.

mod address;
mod form;
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
pub use schema::{KEYS, config_schema};
pub use span::{DAY, HOUR, MILLISECOND, MINUTE, SECOND, instant};
pub use streams::{SiemMode, Tuning};
use value::Values;

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
    /// A fault of the class `configuration` that names the key, says what is wrong with it and what to do. It never
    /// repeats the value of a secret.
    pub fn parse(json: &str) -> Result<Config, Fault> {
        let values = Values::parse(json)?;
        let generation = match values.version("api")?.as_deref() {
            None | Some("2.0" | "2") => Generation::V2,
            Some("1.0" | "1") => Generation::V1,
            Some(other) => {
                return Err(fault(
                    Code::BadValue,
                    format!("`api` is \"{other}\", which is no generation of Mimecast's API"),
                )
                .hint("Set it to \"2.0\" (OAuth, the default) or \"1.0\" (signed requests)"));
            }
        };
        let keys = match generation {
            Generation::V1 => keys_v1(&values)?,
            Generation::V2 => keys_v2(&values)?,
        };
        let insecure_http = values.boolean("insecure_http")?.unwrap_or(false);
        let base = address::base(&values, generation, insecure_http)?;
        if let (None, Keys::V1 { administrator_email: None, .. }) = (&base, &keys) {
            return Err(fault(Code::MissingKey, "neither `base_url` nor `region` nor `administrator_email` is set").hint(
                "Set `region` (eu, us, …), or `administrator_email` so that Mimecast is asked for the account's region",
            ));
        }
        let tenant = values.text("tenant")?.unwrap_or_else(|| "default".to_owned());
        let id_scope = values.text("id_scope")?.unwrap_or_else(|| tenant.clone());
        let siem_mode = streams::siem_mode(&values, generation)?;
        Ok(Config {
            keys,
            base,
            insecure_http,
            collect: streams::collect(&values, generation, siem_mode)?,
            start_at: streams::start_at(&values)?,
            siem_mode,
            output: form::output(&values)?,
            labels: form::labels(&values)?,
            category: form::category(&values)?,
            include_original: form::include_original(&values)?,
            tenant,
            id_scope,
            fields: values.fields("fields")?,
            tuning: streams::tuning(&values, generation)?,
        })
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

/// Keys of the other generation are a sign of a mix-up, so they are refused rather than ignored (quirk Q11).
fn refuse_other_generation(values: &Values, others: &[&str], api: &str, other: &str) -> Result<(), Fault> {
    match others.iter().find(|key| values.has(key)) {
        None => Ok(()),
        Some(key) => {
            Err(fault(Code::WrongGeneration, format!("`{key}` belongs to API {other}, but `api` is \"{api}\""))
                .hint(format!("Remove `{key}`, or set `api` to \"{other}\" and give the keys of that generation")))
        }
    }
}

fn credential(values: &Values, key: &str, hint: &str) -> Result<String, Fault> {
    let text = values.text(key)?.map(|value| value.trim().to_owned()).unwrap_or_default();
    if text.is_empty() {
        return Err(fault(Code::MissingKey, format!("`{key}` is missing or empty")).hint(hint.to_owned()));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(fault(Code::BadSecret, format!("`{key}` contains blanks or control characters"))
            .hint(format!("Copy `{key}` again, without line breaks")));
    }
    Ok(text)
}

fn keys_v2(values: &Values) -> Result<Keys, Fault> {
    let hint = "Create an API 2.0 application in Mimecast's Administration Console (Integrations | API and Platform \
                Integrations) and copy its client id and secret";
    refuse_other_generation(values, &V1_KEYS, "2.0", "1.0")?;
    Ok(Keys::V2 {
        client_id: Secret(credential(values, "client_id", hint)?),
        client_secret: Secret(credential(values, "client_secret", hint)?),
    })
}

fn keys_v1(values: &Values) -> Result<Keys, Fault> {
    let hint = "Set `app_id` and `app_key` of the API 1.0 application, and `access_key` and `secret_key` of its \
                service user";
    refuse_other_generation(values, &V2_KEYS, "1.0", "2.0")?;
    let secret = credential(values, "secret_key", hint)?;
    let secret_key = base64::engine::general_purpose::STANDARD.decode(secret.as_bytes()).map_err(|_| {
        fault(Code::BadSecret, "`secret_key` is not valid base64")
            .hint("Copy the secret key again, whole, with the `=` signs at its end")
    })?;
    Ok(Keys::V1 {
        administrator_email: values.text("administrator_email")?.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()),
        app_id: credential(values, "app_id", hint)?,
        app_key: Secret(credential(values, "app_key", hint)?),
        access_key: Secret(credential(values, "access_key", hint)?),
        secret_key: Secret(secret_key),
    })
}

#[cfg(test)]
mod tests;
