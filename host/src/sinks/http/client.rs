//! One request to the far side, and what its answer means for the events in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::excerpt::excerpt;
use super::payload::Payload;
use crate::config::{self, ClientOptions, Endpoint};
use crate::outside::{Clock, Outside};
use crate::sandbox::{Body, Egress, Notes, RequestOptions, Transport, Way};
use crate::sinks::{Retry, SinkError};

/// The far side's pooled client.
pub struct Client {
    /// The sink's, for whoever has to mend its configuration.
    id: Box<str>,
    transport: Arc<dyn Transport>,
    options: ClientOptions,
    clock: Clock,
    /// Which of the endpoints is used. The next one, after trouble.
    current: AtomicUsize,
}

/// What the far side said.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Whole, unless the connection broke off in the middle.
    pub body: Result<Bytes, SinkError>,
    /// By which endpoint.
    pub endpoint: usize,
}

impl Reply {
    /// Whether it is for people: that is no answer of a service.
    pub fn is_page(&self) -> bool {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(|content_type| content_type.trim_start().to_ascii_lowercase().starts_with("text/html"))
    }
}

/// A `_bulk` of a million events answers with no more.
const MOST_OF_ANSWER: usize = 64 << 20;

/// Of an answer that is no success, so much is looked at.
const MOST_OF_ERROR: usize = 64 << 10;

impl Client {
    /// # Errors
    /// When the settings of its network cannot be used.
    pub fn new(id: &str, options: &ClientOptions, outside: &Outside) -> Result<Self, SinkError> {
        let origins = options.endpoints.iter().map(|endpoint| endpoint.origin.as_str());
        let egress = Egress::new(origins)
            .map_err(|error| SinkError::new(error.to_string()).hint(format!("Correct sinks.{id}")))?;
        let way = Way {
            source: id.into(),
            egress: Arc::new(egress.allowing(config::everywhere())),
            settings: &options.network,
            notes: Arc::<Notes>::default(),
        };
        let transport = outside.network.transport(&way);
        let transport =
            transport.map_err(|error| SinkError::new(error.to_string()).hint(format!("Correct sinks.{id}")))?;
        let (options, clock) = (options.clone(), outside.clock);
        Ok(Self { id: id.into(), transport, options, clock, current: AtomicUsize::new(0) })
    }

    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Asks without a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, method: Method, path: &str) -> Result<Reply, SinkError> {
        self.send(None, method, path, HeaderMap::new(), Payload::default()).await
    }

    /// # Errors
    /// When there is no answer; or if it is none that takes the events.
    pub async fn deliver(&self, path: &str, headers: HeaderMap, payload: Payload) -> Result<Reply, SinkError> {
        let reply = self.post(path, headers, payload).await?;
        self.judge(&reply)?;
        Ok(reply)
    }

    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, mut headers: HeaderMap, payload: Payload) -> Result<Reply, SinkError> {
        let (payload, encoding) = payload.compressed(self.options.compression).await?;
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        self.send(None, Method::POST, path, headers, payload).await
    }

    /// To an endpoint that has answered before.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_to(
        &self,
        endpoint: usize,
        path: &str,
        headers: HeaderMap,
        payload: Payload,
    ) -> Result<Reply, SinkError> {
        self.send(Some(endpoint), Method::POST, path, headers, payload).await
    }

    async fn send(
        &self,
        endpoint: Option<usize>,
        method: Method,
        path: &str,
        headers: HeaderMap,
        payload: Payload,
    ) -> Result<Reply, SinkError> {
        let number = endpoint.unwrap_or_else(|| self.current.load(Ordering::Relaxed));
        let request = self.request(number, method, path, headers, payload)?;
        let answer = match self.transport.send(request, RequestOptions::default()).await {
            Ok(answer) => answer,
            Err(error) => {
                self.leave(number);
                let fault = SinkError::new(format!("{}: {error}", self.endpoint(number).origin));
                return Err(match error.hint() {
                    Some(hint) => fault.hint(hint),
                    None => {
                        fault.hint(format!("Check {}, and whether it runs there", self.key(self.options.address_key)))
                    }
                });
            }
        };
        let (parts, body) = answer.into_parts();
        if parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS {
            self.leave(number);
        }
        let most = if parts.status.is_success() { MOST_OF_ANSWER } else { MOST_OF_ERROR };
        let body =
            read(body, most).await.map_err(|why| SinkError::new(format!("{}: {why}", self.endpoint(number).origin)));
        Ok(Reply { status: parts.status, headers: parts.headers, body, endpoint: number })
    }

    fn request(
        &self,
        number: usize,
        method: Method,
        path: &str,
        headers: HeaderMap,
        payload: Payload,
    ) -> Result<Request<Body>, SinkError> {
        // All of these were looked at when the configuration was read.
        let fault = |what: &str| {
            SinkError::new(format!("sinks.{}: {what} cannot be sent", self.id))
                .hint(format!("Correct sinks.{}", self.id))
        };
        let body = payload.into_body().map_err(|never| match never {}).boxed_unsync();
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.endpoint(number).url(path).parse().map_err(|_| fault("its address"))?;
        *request.headers_mut() = headers;
        let sent = request.headers_mut();
        sent.insert(header::USER_AGENT, HeaderValue::from_static(concat!("tributary/", env!("CARGO_PKG_VERSION"))));
        let own = self.options.headers.iter().map(|(name, value)| (name, value));
        let auth = self.options.auth.iter().map(|credentials| (&credentials.header, &credentials.value));
        for (name, value) in own.chain(auth) {
            sent.insert(name.clone(), hidden(value.expose()).ok_or_else(|| fault("a header"))?);
        }
        Ok(request)
    }

    fn endpoint(&self, number: usize) -> &Endpoint {
        // A configuration without any is not accepted.
        &self.options.endpoints[number % self.options.endpoints.len()]
    }

    /// The next one from now on, if nobody has moved on yet.
    fn leave(&self, number: usize) {
        let _ = self.current.compare_exchange(
            number,
            (number + 1) % self.options.endpoints.len(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Where `key` of this sink stands.
    pub fn key(&self, key: &str) -> String {
        format!("`sinks.{}.{key}`", self.id)
    }

    /// What is taken for who we are there.
    pub fn credentials_key(&self) -> String {
        let without = if self.options.secret_address { self.options.address_key } else { "auth" };
        self.key(self.options.auth.as_ref().map_or(without, |credentials| credentials.key))
    }

    /// What an answer says, fit for a line of a log.
    pub fn excerpt(&self, reply: &Reply) -> String {
        reply.body.as_ref().map(|body| self.excerpt_of(&String::from_utf8_lossy(body))).unwrap_or_default()
    }

    /// A far side's own words. They may say anything, also what it was sent.
    pub fn excerpt_of(&self, said: &str) -> String {
        let urls = self.options.endpoints.iter().map(|endpoint| Zeroizing::new(endpoint.url("")));
        let of_urls: Vec<Zeroizing<String>> = urls.flat_map(|url| of_url(&url)).collect();
        let own = self.options.headers.iter().map(|(_, value)| value.expose());
        let values: Vec<&str> = own.chain(self.options.auth.iter().map(|auth| auth.value.expose())).collect();
        let passwords: Vec<Zeroizing<String>> = values.iter().filter_map(|value| password(value)).collect();
        let whole = of_urls.iter().chain(&passwords).map(|secret| secret.as_str());
        excerpt(said, whole.chain(values.iter().flat_map(|value| of_header(value))))
    }

    /// An answer that is no success, in one sentence.
    pub fn fault(&self, reply: &Reply) -> SinkError {
        let origin = &self.endpoint(reply.endpoint).origin;
        let said = self.excerpt(reply);
        SinkError::new(format!("{origin} answers {}{}{said}", reply.status, if said.is_empty() { "" } else { ": " }))
    }

    /// A success that `who` would never say so: something else answers there.
    pub fn no_answer_of(&self, reply: &Reply, who: &str) -> SinkError {
        let address = self.key(self.options.address_key);
        let hint =
            format!("Check the host and the path of {address}, and whether something on the way answers in its place");
        let fault = self.fault(reply);
        SinkError::new(format!("{}, which is no answer of {who}", fault.message)).hint(hint)
    }

    /// What a status means where the far side has no words of its own for it.
    ///
    /// # Errors
    /// If it is no success. What only an event can be to blame for asks for smaller deliveries, until it is alone: then it is
    /// refused.
    pub fn judge(&self, reply: &Reply) -> Result<(), SinkError> {
        let status = reply.status;
        if status.is_success() {
            return Ok(());
        }
        let fault = self.fault(reply);
        Err(match status.as_u16() {
            300..=399 => fault.hint(format!(
                "Redirects are not followed: write where that leads to into {}",
                self.key(self.options.address_key)
            )),
            401 => fault.hint(format!("Check {}: it is not accepted there", self.credentials_key())),
            403 => fault.hint(format!("Check what {} may do there", self.credentials_key())),
            404 => fault.hint(format!("Check the host and the path of {}", self.key(self.options.address_key))),
            407 => fault.hint(format!("Write the proxy's user and password into {}", self.key("proxy"))),
            429 => {
                let hint =
                    format!("Wait: it goes on when it may. If it stays, lower {}", self.key("request.concurrency"));
                fault.hint(hint).retry(self.when(reply))
            }
            408 | 425 | 500..=599 => fault.retry(self.when(reply)),
            413 => {
                let hint = format!("Let it take more there, or lower {}", self.key("batch.max_bytes"));
                fault.hint(hint).retry(Retry::Smaller)
            }
            _ => fault.retry(Retry::Smaller),
        })
    }

    /// When the far side wants to be asked again.
    pub fn when(&self, reply: &Reply) -> Retry {
        retry_after(&reply.headers, self.clock).map_or(Retry::Later, Retry::After)
    }

    /// Whether somebody is there who speaks HTTP and knows us. Most servers have nothing to say to HEAD, and that is enough.
    ///
    /// # Errors
    /// If not.
    pub async fn is_there(&self) -> Result<(), SinkError> {
        let reply = self.ask(Method::HEAD, "").await?;
        match reply.status.as_u16() {
            401 | 403 | 407 => self.judge(&reply),
            _ => Ok(()),
        }
    }
}

/// What is shorter than that is in any text: the whole path, header or password of which it is a part is hidden anyway.
const LEAST_PART: usize = 8;

/// Of the paths that the documentation of a far side has; no secrets.
const WELL_KNOWN: [&str; 3] = ["collector", "receiver", "services"];

/// What of an address may be a secret: all of it, its path with its query, and each part of these; as it is sent, and as
/// whoever reads it decodes it, before it is taken to parts or after.
fn of_url(url: &str) -> Vec<Zeroizing<String>> {
    let parts = |path: &str| -> Vec<Zeroizing<String>> {
        path.split(['/', '?', '&', '=', '#']).map(|part| Zeroizing::new(part.to_owned())).collect()
    };
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let after = parts(path).into_iter().flat_map(|part| readings(&part));
    let before = readings(path).into_iter().flat_map(|path| parts(&path));
    let parts = after.chain(before).filter(|part| part.len() >= LEAST_PART && !WELL_KNOWN.contains(&part.as_str()));
    [url, path].into_iter().flat_map(readings).chain(parts).collect()
}

/// A text of an address as it stands there, and decoded: a plus may be a space.
fn readings(text: &str) -> [Zeroizing<String>; 3] {
    let decoded = |text: &str| Zeroizing::new(percent_decode_str(text).decode_utf8_lossy().into_owned());
    let spaced = Zeroizing::new(text.replace('+', " "));
    [Zeroizing::new(text.to_owned()), decoded(text), decoded(&spaced)]
}

/// What of a header's value may be one: all of it, what stands behind the scheme, and each part of that.
fn of_header(value: &str) -> impl Iterator<Item = &str> {
    let secret = value.split_once(' ').map_or(value, |(_, secret)| secret);
    let parts = secret.split([' ', ',', ';', '=', '"']).filter(|part| part.len() >= LEAST_PART);
    [value, secret].into_iter().chain(parts)
}

/// The password in the value of a header that has one, encoded (RFC 7617).
fn password(value: &str) -> Option<Zeroizing<String>> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let both = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (_, password) = std::str::from_utf8(&both).ok()?.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}

/// When a far side wants to be asked again: in so many seconds, or at a date (RFC 9110, 10.2.3).
pub fn retry_after(headers: &HeaderMap, clock: Clock) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    let at = Duration::from_millis(u64::try_from(date.timestamp_millis()).ok()?);
    Some(at.saturating_sub(clock.now()))
}

/// A header that no log shows.
pub fn hidden(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Headers of one request.
pub fn headers<const N: usize>(headers: [(HeaderName, &'static str); N]) -> HeaderMap {
    headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

async fn read(mut body: Body, most: usize) -> Result<Bytes, String> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err("its answer broke off".into()) };
        if let Ok(data) = frame.into_data() {
            let room = most - whole.len();
            whole.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() >= room {
                break;
            }
        }
    }
    Ok(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_far_side_says_when_in_seconds_or_by_a_date() {
        // RFC 9110's example: 784,111,777 seconds after the epoch.
        let clock = Clock::simulated(Duration::from_secs(784_111_777 - 30));
        let said = |value: &'static str| headers([(header::RETRY_AFTER, value)]);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (value, expected) in [("120", Some(120)), (" 0 ", Some(0)), (date, Some(30)), ("soon", None), ("-1", None)]
        {
            assert_eq!(retry_after(&said(value), clock), expected.map(Duration::from_secs), "{value}");
        }
        let past = Clock::simulated(Duration::from_secs(784_111_777 + 30));
        assert_eq!(retry_after(&said(date), past), Some(Duration::ZERO));
        assert_eq!(retry_after(&HeaderMap::new(), past), None);
    }
}
