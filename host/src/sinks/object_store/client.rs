//! The crate's requests, sent by the host's own client: its TLS, its proxies, its time-outs.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use wasmtime_wasi_http::Error as BodyError;

use crate::outside::Clock;
use crate::sandbox::{RequestOptions, Transport, TransportError};
use crate::sinks::http::retry_after;

/// Answers to what a sink asks are short.
const MOST: usize = 16 << 20;

/// See the module.
#[derive(Clone)]
pub struct HostClient {
    pub transport: Arc<dyn Transport>,
    pub clock: Clock,
}

impl fmt::Debug for HostClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostClient")
    }
}

impl HttpConnector for HostClient {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(String);

/// What the crate's macro would write.
type Called<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for HostClient {
    fn call<'life0, 'async_trait>(&'life0 self, request: HttpRequest) -> Called<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let request = request.map(|body| body.map_err(|_| BodyError::ConnectionTerminated).boxed_unsync());
            let answer = self.transport.send(request, RequestOptions::default()).await;
            let answer = answer.map_err(|error| {
                let kind = match &error {
                    TransportError::ResponseTimeout(_) => HttpErrorKind::Timeout,
                    _ => HttpErrorKind::Connect,
                };
                note(|answer| {
                    answer.hint = error.hint();
                    answer.trouble = Some(error.to_string());
                });
                HttpError::new(kind, Broken(error.to_string()))
            })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MOST).collect().await;
            let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, Broken(error.to_string())))?;
            let body = body.to_bytes();
            note(|answer| {
                answer.status = Some(parts.status.as_u16());
                answer.retry_after = retry_after(&parts.headers, self.clock);
                answer.code = if parts.status.is_success() { None } else { code(&body) };
            });
            Ok(HttpResponse::from_parts(parts, HttpResponseBody::from(body)))
        })
    }
}

/// Of S3's, Google's and Azure's errors in XML: `<Code>AccessDenied</Code>`.
fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    (code.len() <= 100 && code.chars().all(|c| c.is_ascii_alphanumeric())).then(|| code.to_owned())
}

tokio::task_local! {
    static ANSWER: Arc<std::sync::Mutex<Answer>>;
}

fn note(change: impl FnOnce(&mut Answer)) {
    // Outside of a scope nobody wants to know.
    let _ = ANSWER.try_with(|answer| change(&mut answer.lock().unwrap_or_else(std::sync::PoisonError::into_inner)));
}

/// What came last while a call of the crate ran: its errors do not say all of it.
#[derive(Debug, Clone, Default)]
struct Answer {
    status: Option<u16>,
    code: Option<String>,
    retry_after: Option<Duration>,
    trouble: Option<String>,
    hint: Option<String>,
}

/// See [`Answer`].
#[derive(Default)]
pub struct Noted(Arc<std::sync::Mutex<Answer>>);

impl Noted {
    /// Notes what comes while `work` runs.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> {
        ANSWER.scope(Arc::clone(&self.0), work)
    }

    #[cfg(test)]
    pub fn set(&self, status: u16, code: Option<&str>) {
        let answer = Answer { status: Some(status), code: code.map(str::to_owned), ..Answer::default() };
        *self.0.lock().unwrap() = answer;
    }

    fn get(&self) -> Answer {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub fn status(&self) -> Option<u16> {
        self.get().status
    }

    pub fn code(&self) -> Option<String> {
        self.get().code
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.get().retry_after
    }

    /// Why there was no answer at all, and what can be done.
    pub fn trouble(&self) -> Option<(String, Option<String>)> {
        let answer = self.get();
        answer.trouble.map(|trouble| (trouble, answer.hint))
    }

    /// Whether an answer that the crate takes for "already there" means that. S3 and Google answer 412 then; with 409 they
    /// say that somebody else is at it, and nothing of how that ends. Azure's 409 says what it is.
    pub fn exists(&self) -> bool {
        let answer = self.get();
        answer.status != Some(409) || answer.code.as_deref() == Some("BlobAlreadyExists")
    }

    /// Whether the store says that not the object is missing, but what it should be in.
    pub fn names_no_bucket(&self) -> bool {
        matches!(self.code().as_deref(), Some("NoSuchBucket" | "ContainerNotFound"))
    }
}
