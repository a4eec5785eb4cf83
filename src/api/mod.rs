//! Requests and answers of Mimecast's endpoints: values in, values out.

pub mod error;
pub mod events;
pub mod feed;
pub mod list;
pub mod logs;
pub mod rate;
pub mod rows;
pub mod siem;
pub mod url;

use crate::auth::Access;
use crate::chunk::{Fault, FaultClass, Timestamp};
use crate::code::Code;
use crate::config::{Config, Secret};
use crate::effects::{Body, Effects, Method, Nothing, Request, TransportError};
use error::{Answered, Failure};

/// An endpoint, and what an account needs for it (section 2.3 of the API reference).
#[derive(Debug)]
pub struct Endpoint {
    pub path: &'static str,
    /// The product's id in the catalogue of API 2.0.
    pub product: &'static str,
    /// The role's permission.
    pub permission: &'static str,
}

/// An answer's headers: names in lower case.
#[derive(Debug, Default)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl Headers {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// When the answer was made, by the vendor's clock.
    pub fn date(&self) -> Option<Timestamp> {
        let date = chrono::DateTime::parse_from_rfc2822(self.get("date")?).ok()?;
        u64::try_from(date.timestamp_nanos_opt()?).ok()
    }
}

/// A success: status 200, the body yet to be read.
pub struct Answer {
    pub headers: Headers,
    pub body: Box<dyn Body>,
    /// Host and path, for messages.
    pub at: String,
    /// What the request was authorized with: an answer may repeat it.
    authorization: Secret<Vec<String>>,
}

/// An answer in JSON is never larger than this.
pub const ANSWER_LIMIT: usize = 16 << 20;

/// An answer that is longer than this gets all the room that there is.
const FEW: usize = 1 << 20;

/// Refusals are read this far.
const REFUSAL_LIMIT: usize = 64 << 10;

/// One call of the API.
pub struct Call<'a> {
    pub endpoint: &'static Endpoint,
    /// A GET with this query, or a POST of this JSON.
    pub content: Content<'a>,
}

pub enum Content<'a> {
    Query(&'a str),
    Json(String),
}

/// What was learned about the quota from an answer, good or bad.
#[derive(Debug, Default, Clone, Copy)]
pub struct Left {
    pub quota: Option<u32>,
    /// The vendor asks for this pause, in milliseconds, before the next call.
    pub pause_ms: Option<u32>,
    /// The vendor's clock, by its `Date`.
    pub date: Option<Timestamp>,
}

/// Makes a call with the session's rights.
///
/// # Errors
/// Every status but 200, told apart by [`error::judge`]; a request that got no answer is `unavailable`.
pub fn exchange(
    effects: &mut dyn Effects,
    config: &Config,
    access: &Access,
    call: &Call<'_>,
    left: &mut Left,
) -> Result<Answer, Failure> {
    let endpoint = call.endpoint;
    let mut headers = access.headers(config, endpoint.path, effects)?;
    headers.push(("accept", "application/json".to_owned()));
    let (method, url, body) = match &call.content {
        Content::Query(query) => (Method::Get, format!("{}{}?{query}", access.base.url, endpoint.path), Vec::new()),
        Content::Json(json) => {
            headers.push(("content-type", "application/json".to_owned()));
            (Method::Post, format!("{}{}", access.base.url, endpoint.path), json.clone().into_bytes())
        }
    };
    send(effects, config, Request { method, url, headers, body }, endpoint, left)
}

/// Sends one request of the API; a status other than 200 becomes a failure.
pub fn send(
    effects: &mut dyn Effects,
    config: &Config,
    request: Request,
    endpoint: &Endpoint,
    left: &mut Left,
) -> Result<Answer, Failure> {
    let at = url::Url::parse(&request.url).map(|url| url.to_string()).unwrap_or_default();
    let authorization = Secret(authorization(&request));
    let response = effects.send(request).map_err(|error| unreachable(&error, &at, config))?;
    let headers = Headers(response.headers);
    let now = effects.now();
    let (quota, pause_ms) = rate::left(&headers, now);
    *left = Left { quota, pause_ms, date: headers.date() };
    if response.status == 200 {
        return Ok(Answer { headers, body: response.body, at, authorization });
    }
    let mut body = response.body;
    // A refusal whose body breaks off is still that refusal.
    let mut text = Vec::new();
    if read_up_to(&mut *body, &mut text, REFUSAL_LIMIT).is_err() {
        text.clear();
    }
    let answered = Answered { generation: config.generation(), endpoint, at: &at, headers: &headers, now };
    Err(error::judge(response.status, &text, &answered, &|text| redact_all(text, config, &authorization.0)))
}

/// The secret parts of a request's `Authorization`: the token, or the key and the signature.
fn authorization(request: &Request) -> Vec<String> {
    let value = request.headers.iter().find(|(name, _)| *name == "authorization").map_or("", |(_, value)| value);
    value.split([' ', ':']).skip(1).map(str::to_owned).collect()
}

impl Answer {
    /// Reads a body that should be JSON, and checks `fail` before anything else (quirk Q1).
    pub fn json(mut self, config: &Config, endpoint: &Endpoint, effects: &mut dyn Effects) -> Result<Vec<u8>, Failure> {
        self.json_after(Vec::new(), config, endpoint, effects)
    }

    /// The rest of the body, to be read elsewhere.
    pub fn take_body(&mut self) -> Box<dyn Body> {
        std::mem::replace(&mut self.body, Box::new(Nothing))
    }

    /// The first bytes of the body: at least so many, unless there are fewer.
    pub fn begin(&mut self, config: &Config, least: usize) -> Result<Vec<u8>, Failure> {
        let mut begin = Vec::new();
        while begin.len() < least {
            match self.body.next().map_err(|error| unreachable(&error, &self.at, config))? {
                Some(piece) => begin.extend_from_slice(&piece),
                None => break,
            }
        }
        Ok(begin)
    }

    /// Like [`Answer::json`], for a body whose first bytes were read.
    pub fn json_after(
        &mut self,
        begin: Vec<u8>,
        config: &Config,
        endpoint: &Endpoint,
        effects: &mut dyn Effects,
    ) -> Result<Vec<u8>, Failure> {
        let mut text = begin;
        read_up_to(&mut *self.body, &mut text, ANSWER_LIMIT + 1)
            .map_err(|error| unreachable(&error, &self.at, config))?;
        self.check(text, config, endpoint, effects)
    }

    fn check(
        &self,
        text: Vec<u8>,
        config: &Config,
        endpoint: &Endpoint,
        effects: &mut dyn Effects,
    ) -> Result<Vec<u8>, Failure> {
        let protocol = |code, what: &str| {
            Fault::new(FaultClass::Protocol, code, format!("{} answered 200 {what}", self.at))
                .status(200)
                .hint("Check `base_url`, and whether a proxy answers instead of Mimecast; it is tried again")
        };
        if text.len() > ANSWER_LIMIT {
            return Err(protocol(Code::AnswerTooLarge, "with more than 16 MiB of JSON").into());
        }
        let text = readable(text);
        // A structure would be read from an array, too.
        let object = text.trim_ascii_start().starts_with(b"{");
        let fail = serde_json::from_slice::<FailOnly<'_>>(&text).ok().filter(|_| object);
        match fail {
            None => Err(protocol(Code::NotJson, "with something that is no JSON object").into()),
            Some(FailOnly { fail: Some(fail) }) if !matches!(fail.get(), "[]" | "null" | "{}") => {
                let now = effects.now();
                let answered =
                    Answered { generation: config.generation(), endpoint, at: &self.at, headers: &self.headers, now };
                if fail.get().len() > REFUSAL_LIMIT {
                    return Err(protocol(Code::Fail, "with more than 64 KiB of errors").into());
                }
                let body = format!("{{\"fail\":{}}}", fail.get());
                let redact = |text: &str| redact_all(text, config, &self.authorization.0);
                let failure = error::judge(200, body.as_bytes(), &answered, &redact);
                // An array of nothing that says anything, such as `[ ]` or `[{}]`, is no error; anything else is one, in whatever form.
                if failure.codes.is_empty() && says_nothing(fail.get()) { Ok(text) } else { Err(failure) }
            }
            Some(_) => Ok(text),
        }
    }
}

/// An answer's text, with a question mark for each byte that is no UTF-8: one wrong byte in one row must not hold up a stream
/// for ever. In place, for a guest has no room for a second text.
fn readable(mut text: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Err(wrong) = std::str::from_utf8(&text[at..]) {
        let begin = at + wrong.valid_up_to();
        let end = wrong.error_len().map_or(text.len(), |length| begin + length);
        text[begin..end].fill(b'?');
        at = end;
    }
    text
}

/// Whether there is no word and no number in a JSON text.
fn says_nothing(json: &str) -> bool {
    fn nothing(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Null => true,
            serde_json::Value::String(text) => text.is_empty(),
            serde_json::Value::Array(values) => values.iter().all(nothing),
            serde_json::Value::Object(members) => members.values().all(nothing),
            serde_json::Value::Bool(_) | serde_json::Value::Number(_) => false,
        }
    }
    serde_json::from_str(json).is_ok_and(|value| nothing(&value))
}

#[derive(serde::Deserialize)]
struct FailOnly<'a> {
    #[serde(borrow, default)]
    fail: Option<&'a serde_json::value::RawValue>,
}

/// Appends a body to what was read of it, until that has `limit` bytes.
fn read_up_to(body: &mut dyn Body, text: &mut Vec<u8>, limit: usize) -> Result<(), TransportError> {
    while text.len() < limit {
        let Some(piece) = body.next()? else {
            break;
        };
        let piece = &piece[..piece.len().min(limit - text.len())];
        if text.capacity() - text.len() < piece.len() {
            // In few steps, and never beyond the limit, twice which is all the memory that a guest has: each step leaves the one before
            // it behind, so that doubling would come to the limit twice over.
            let more = if text.len() < FEW { 7 * text.len() } else { limit };
            text.reserve_exact(more.min(limit - text.len()).max(piece.len()));
        }
        text.extend_from_slice(piece);
    }
    Ok(())
}

/// A request without an answer. Everything passes by itself, but a host that may not be reached: a name may lead elsewhere
/// tomorrow, the host itself is the configuration's.
pub fn unreachable(error: &TransportError, at: &str, config: &Config) -> Fault {
    let message = redact(&format!("{at} could not be reached: {}", error.message), config);
    let (class, hint) = match error.code {
        Code::Denied => {
            (FaultClass::Configuration, "Correct `base_url`, or let the source reach this host: the keys of `egress`")
        }
        Code::AddressDenied => (
            FaultClass::Unavailable,
            "Check what this machine's name service answers; if the address is right, add it to `egress.allow_private`",
        ),
        Code::Dns => (FaultClass::Unavailable, "Check `base_url` or `region`, and this machine's name service"),
        Code::Tls => {
            (FaultClass::Unavailable, "Check this machine's clock and certificates, and whether a proxy inspects TLS")
        }
        Code::ConnectionRefused | Code::ConnectionTimeout => {
            (FaultClass::Unavailable, "Check `base_url`, the firewall and the proxy; it is tried again")
        }
        _ => (FaultClass::Unavailable, crate::advice::RETRY),
    };
    Fault::new(class, error.code, message).hint(hint)
}

/// Takes the configuration's secrets out of a text that a vendor or a transport wrote.
pub fn redact(text: &str, config: &Config) -> String {
    redact_all(text, config, &[])
}

/// The same, and further secrets; each as it is, and as a query, a form or JSON would write it.
fn redact_all(text: &str, config: &Config, more: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in config.secrets().iter().chain(more).filter(|secret| secret.len() >= 4) {
        for form in [secret.clone(), url::encode(secret), secret.replace('/', "\\/")] {
            if text.contains(&form) {
                text = text.replace(&form, "…");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
