//! Refusals: every shape of error body to one list, and status and code to the contract's faults (sections 8.1 to 8.3
//! of the API reference).

use serde_json::Value;

use super::rate;
use super::{Endpoint, Headers};
use crate::advice::{APPLICATION, EXPIRED, PASSING, QUOTA, REDIRECT, REGION, REPORT, RETRY, SIGNATURE, TOKEN};
use crate::chunk::{Fault, FaultClass, Timestamp};
use crate::code::Code;
use crate::kind::Generation;

/// One error as Mimecast tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorError {
    pub code: String,
    pub message: String,
    pub retryable: bool,
}

/// A call that failed: what the host must know, and the vendor's codes for what a stream can mend itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub fault: Fault,
    pub codes: Vec<String>,
}

impl Failure {
    pub fn has(&self, code: &str) -> bool {
        self.codes.iter().any(|c| c == code)
    }

    /// A page token or cursor that was sent with the request may be what is wrong (quirks Q16 and Q23).
    pub fn may_be_the_token(&self) -> bool {
        self.fault.status == Some(400) || self.has("err_audit_siem_invalid_token")
    }

    /// The same where the token costs little to leave. Errors of fields come with status 200, too (section 8.2, shape b), and which of
    /// them a token that has run out gets is not public.
    pub fn may_be_the_page(&self) -> bool {
        self.may_be_the_token() || (self.fault.class == FaultClass::Protocol && self.fault.code == "fail")
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure { fault, codes: Vec::new() }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        failure.fault
    }
}

/// Every `{code, message}` under `fail[]`, `fail[].errors[]`, `error` and `errors[]`.
pub fn errors(body: &Value) -> Vec<VendorError> {
    let mut found = Vec::new();
    for key in ["fail", "error", "errors"] {
        if let Some(value) = body.get(key) {
            collect(value, &mut found);
        }
    }
    found
}

fn collect(value: &Value, found: &mut Vec<VendorError>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => {
            if let Some(inner) = map.get("errors") {
                collect(inner, found);
            }
            let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (code, message) = (text("code"), text("message"));
            if !code.is_empty() || !message.is_empty() {
                let retryable = map.get("retryable").and_then(Value::as_bool).unwrap_or(false);
                found.push(VendorError { code, message, retryable });
            }
        }
        // OAuth's own form: {"error":"invalid_client"}.
        Value::String(text) if !text.is_empty() => {
            found.push(VendorError { code: text.clone(), message: String::new(), retryable: false });
        }
        _ => {}
    }
}

/// The circumstances of an answer.
pub struct Answered<'a> {
    pub generation: Generation,
    pub endpoint: &'a Endpoint,
    /// Host and path.
    pub at: &'a str,
    pub headers: &'a Headers,
    pub now: Timestamp,
}

/// What a refusal means.
///
/// `status` is the HTTP status, 200 included, where `fail` is not empty.
pub fn judge(status: u16, body: &[u8], answered: &Answered<'_>, redact: &dyn Fn(&str) -> String) -> Failure {
    let errors = serde_json::from_slice::<Value>(body).map(|value| self::errors(&value)).unwrap_or_default();
    let said = match errors.first() {
        Some(error) if error.message.is_empty() => format!(": {}", error.code),
        Some(error) if error.code.is_empty() => format!(": {}", error.message),
        Some(error) => format!(": {} ({})", error.message.trim_end_matches('.'), error.code),
        // It may be what was asked for, under a status that nobody expects: an access token, or addresses that are signed.
        None if status < 400 => format!(", with a body of {} bytes", body.len()),
        None => beginning(body),
    };
    // First without its secrets, then cut short: half of a secret would not be found any more.
    let message = format!("{} answered {status}{}", answered.at, shortened(&redact(&said)));
    let codes: Vec<String> = errors.iter().map(|error| error.code.clone()).collect();
    let has = |code: &str| codes.iter().any(|c| c == code);
    let http = Code::Http(status);
    let of = |class: FaultClass, code: Code, hint: String| {
        Fault::new(class, code, message.clone()).status(status).hint(hint)
    };

    let fault = if status == 418 || has("err_xdk_binding_expired") {
        of(FaultClass::Credentials, Code::KeysExpired, EXPIRED.into())
    } else if has("err_developer_key") {
        of(FaultClass::Configuration, Code::WrongAppId, APPLICATION.into())
    } else if has("err_audit_log_incorrect_region") {
        of(FaultClass::Configuration, Code::WrongRegion, REGION.into())
    } else if status == 403 || has("err_xdk_operation_forbidden_for_address") {
        of(FaultClass::NotEntitled, Code::Http(if status == 200 { 403 } else { status }), entitlement(answered, &said))
    } else {
        match status {
            401 => unauthorized(&codes, &errors, answered, &of),
            404 => of(
                FaultClass::Protocol,
                http,
                "Check `base_url` or `region`, and that `api` is the account's generation".into(),
            ),
            429 => {
                let wait = rate::wait_ms(answered.headers, answered.now);
                of(FaultClass::Throttled(wait), http, QUOTA.into())
            }
            200 if errors.iter().any(|error| error.retryable) => of(FaultClass::Unavailable, Code::Fail, RETRY.into()),
            200 => of(FaultClass::Protocol, Code::Fail, REPORT.into()),
            300..=399 => of(FaultClass::Protocol, http, REDIRECT.into()),
            408 | 500..=599 => of(FaultClass::Unavailable, http, RETRY.into()),
            _ => of(FaultClass::Protocol, http, REPORT.into()),
        }
    };
    Failure { fault, codes }
}

fn unauthorized(
    codes: &[String],
    errors: &[VendorError],
    answered: &Answered<'_>,
    of: &dyn Fn(FaultClass, Code, String) -> Fault,
) -> Fault {
    let is = |names: &[&str]| codes.iter().any(|code| names.contains(&code.as_str()));
    // These are sometimes answered by mistake though the credentials are good (quirks Q7 and Q8).
    let mut passing = is(&["token_verification_failed"]);
    if answered.generation == Generation::V1 && !passing {
        // One answer for three wrong keys (quirk Q3), and for a wrong clock.
        let mut hint = SIGNATURE.to_owned();
        if let Some(skew) = skew_seconds(answered).filter(|skew| skew.abs() > 300) {
            hint = format!(
                "Set this machine's clock by NTP first: it is {} s {} Mimecast's, and signatures hold the time. If it is still refused \
                 then: {SIGNATURE}",
                skew.abs(),
                if skew > 0 { "ahead of" } else { "behind" }
            );
        }
        return of(FaultClass::Credentials, Code::BadSignature, hint);
    }
    passing |= is(&["InvalidClientIdentifier", "invalid_client_identifier"])
        || errors.iter().any(|error| error.message.contains("Unauthorized Request"));
    if passing {
        return of(FaultClass::Unavailable, Code::Http(401), PASSING.into());
    }
    of(FaultClass::SessionExpired, Code::Http(401), TOKEN.into())
}

/// How far this machine's clock is ahead of the vendor's, by the answer's `Date`.
fn skew_seconds(answered: &Answered<'_>) -> Option<i64> {
    Some((answered.now / 1_000_000_000) as i64 - (answered.headers.date()? / 1_000_000_000) as i64)
}

/// What an account needs for the endpoint. Of a refusal's two wordings, one speaks of products (section 8.3); what it names is to be
/// tried first.
fn entitlement(answered: &Answered<'_>, said: &str) -> String {
    let Endpoint { product, permission, .. } = answered.endpoint;
    let role = format!("give the API 2.0 application's role the permission \"{permission}\"");
    match answered.generation {
        Generation::V2 if said.contains("product") => format!(
            "First the product: the API 2.0 application needs \"{product}\", and products cannot be changed after it was saved, so \
             make a new application and set its `client_id` and `client_secret`. Then the role: {role}. An account without that \
             product can leave the stream out of `collect`"
        ),
        Generation::V2 => format!(
            "First the role: {role}. Then the product: the application needs \"{product}\", and products cannot be changed after it was \
             saved, so make a new one. An account without that product can leave the stream out of `collect`"
        ),
        Generation::V1 => format!(
            "Give the service user's role the permission \"{permission}\". If it has it, make new keys: those that were made before the \
             user got a Basic Administrator role do not work. An account without this log can leave the stream out of `collect`"
        ),
    }
}

/// A body that tells no error that is known.
fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() { ", with an empty body".to_owned() } else { format!(": {}", text.trim()) }
}

/// The first 200 characters on one line.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut letters = line.chars().filter(|c| !c.is_control());
    let mut short: String = letters.by_ref().take(200).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}
