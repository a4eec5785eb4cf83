//! Events into NATS JetStream, acknowledged by the stream that takes them.
//!
//! `Nats-Msg-Id` is the event's id, so a stream drops what it has had within its window for duplicates (two minutes unless
//! it is set), and says so.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::{Mutex, watch};

use super::{Answer, Concurrency, DeliverFuture, Retry, Sink, SinkError, SinkFuture, Terms};
use crate::config::{NatsCredentials, NatsOptions};
use crate::deliver::{Batch, Head, Origin};
use crate::sandbox::tls_client;

/// What the protocol puts before each payload: the version and the header with the id.
const HEADERS: usize = 64;

/// In which a stream's answer must come.
const ANSWER: Duration = Duration::from_secs(10);

/// See the module.
pub struct Nats {
    options: NatsOptions,
    connection: Mutex<Option<Connection>>,
    /// What the server said last that was no answer: that it may not be published there, for one.
    said: Arc<Lock<Option<String>>>,
}

#[derive(Clone)]
struct Connection {
    client: Client,
    context: Context,
    /// Whether it broke. What was not answered by then never is.
    broken: watch::Receiver<bool>,
}

impl Nats {
    /// # Errors
    /// When its TLS settings do not fit together.
    pub fn new(options: &NatsOptions) -> Result<Self, SinkError> {
        tls(options)?;
        Ok(Self { options: options.clone(), connection: Mutex::new(None), said: Arc::default() })
    }

    /// The connection, or another if that is gone. The client would make one by itself, but does not say why it cannot.
    async fn connection(&self) -> Result<Connection, SinkError> {
        let mut held = self.connection.lock().await;
        let stands = |held: &&Connection| !*held.broken.borrow() && held.client.connection_state() == State::Connected;
        if let Some(connection) = held.as_ref().filter(stands) {
            return Ok(connection.clone());
        }
        *held = None;
        let connection = self.connect().await?;
        *held = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection, SinkError> {
        let NatsOptions { servers, credentials, network, .. } = &self.options;
        let said = Arc::clone(&self.said);
        let (breaks, broken) = watch::channel(false);
        let options = ConnectOptions::new()
            .name("tributary")
            .connection_timeout(network.timeouts.connect)
            .tls_client_config(tls(&self.options)?)
            .require_tls(servers.iter().any(|server| server.starts_with("tls://")))
            .event_callback(move |event| {
                match event {
                    Event::ServerError(error) => {
                        *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                    }
                    Event::Disconnected | Event::Closed => {
                        breaks.send_replace(true);
                    }
                    _ => {}
                }
                std::future::ready(())
            });
        let options = match credentials {
            NatsCredentials::None => options,
            NatsCredentials::User { user, password } => {
                options.user_and_password(user.clone(), password.expose().to_owned())
            }
            NatsCredentials::Token(token) => options.token(token.expose().to_owned()),
            NatsCredentials::NKey(seed) => options.nkey(seed.expose().to_owned()),
            NatsCredentials::File(path) => options.credentials_file(path).await.map_err(|error| {
                // The file's text is a secret, and the error does not hold it.
                SinkError::new(format!("the credentials in {} cannot be used: {error}", path.display()))
                    .hint("Correct the sink's `auth.path`, or let `nsc` write the file again")
            })?,
        };
        let client = options.connect(servers.as_slice()).await.map_err(|error| self.unconnected(&error))?;
        let context = jetstream::ContextBuilder::new().timeout(ANSWER).max_ack_inflight(self.options.max_in_flight * 2);
        let context = context.backpressure_on_inflight(true).build(client.clone());
        Ok(Connection { client, context, broken })
    }

    fn unconnected(&self, error: &ConnectError) -> SinkError {
        let mut reason = error.to_string();
        if let Some(said) = self.said.lock().unwrap_or_else(PoisonError::into_inner).take() {
            reason = format!("{reason}; the server said: {said}");
        }
        let fault = SinkError::new(format!("no connection to {}: {reason}", self.options.servers.join(", ")));
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                fault.hint("Correct the sink's `auth`; the server does not accept it")
            }
            kind if kind == ConnectErrorKind::Tls || is_tls(error) => {
                fault.hint("Name the authority that signed the server's certificate with `tls.ca_file`")
            }
            _ => fault.hint("Check the sink's `url`, and whether the server runs there"),
        }
    }

    fn subject(&self, origin: &Origin, event: &Head) -> String {
        // A slash in a stream's name makes a token, as a dot does.
        let stream = |stream: &str| stream.split('/').map(token).collect::<Vec<_>>().join(".");
        self.options.subject.render_path(origin, event, token, stream)
    }

    /// Publishes as long as the connection stands.
    async fn deliver_all(&self, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        let connection = self.connection().await?;
        let mut broken = connection.broken.clone();
        tokio::select! {
            biased;
            answers = self.publish(&connection, batches) => answers,
            // Its sender lives as long as the connection does.
            _ = broken.wait_for(|broken| *broken) => Err(self.broke()),
        }
    }

    fn broke(&self) -> SinkError {
        let fault = SinkError::new("the connection broke before the stream had answered for all events");
        match self.said.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(said) => SinkError::new(format!("{}; the server said: {said}", fault.message)),
            None => fault.hint("Check whether the server is up"),
        }
    }

    async fn publish(&self, connection: &Connection, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        let Connection { client, context, .. } = connection;
        let most = Some(client.server_info().max_payload).filter(|most| *most > 0).unwrap_or(usize::MAX);
        let mut answers = Vec::new();
        let mut waiting: VecDeque<(usize, usize, PublishAckFuture)> = VecDeque::new();
        for (number, batch) in batches.iter().enumerate() {
            for (index, event) in batch.events.iter().enumerate() {
                if waiting.len() >= self.options.max_in_flight
                    && let Some((number, index, acknowledgement)) = waiting.pop_front()
                {
                    answers.extend(self.answer(number, index, acknowledgement).await?);
                }
                let begin = event.begin as usize;
                let body = batch.bodies.slice(begin..begin + batch.body(event).len());
                if body.len() + HEADERS > most {
                    let reason = format!("it is {} bytes long; the server takes {most} (max_payload)", body.len());
                    answers.push(Answer::refused(number, index, reason));
                    continue;
                }
                let message = PublishMessage::build().message_id(format!("{:032x}", event.id)).payload(body);
                let sent = context.send_publish(self.subject(&batch.origin, event), message).await;
                waiting.push_back((number, index, sent.map_err(|error| self.fault(&error))?));
            }
        }
        for (number, index, acknowledgement) in waiting {
            answers.extend(self.answer(number, index, acknowledgement).await?);
        }
        Ok(answers)
    }

    /// What became of one event. An error means that those behind it need not be waited for.
    async fn answer(
        &self,
        number: usize,
        index: usize,
        acknowledgement: PublishAckFuture,
    ) -> Result<Option<Answer>, SinkError> {
        match acknowledgement.await {
            Ok(stored) => Ok(stored.duplicate.then(|| Answer::known(number, index))),
            Err(error) if is_too_long(&error) => {
                Ok(Some(Answer::refused(number, index, "it is longer than the stream takes (max_msg_size)")))
            }
            Err(error) if error.kind() == PublishErrorKind::Other => {
                Ok(Some(Answer::again(number, index, self.fault(&error))))
            }
            Err(error) => Err(self.fault(&error)),
        }
    }

    fn fault(&self, error: &PublishError) -> SinkError {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(said) = said {
            return SinkError::new(format!("the server said: {said}"))
                .hint("Let this user publish on the sink's `subject`, and receive on `_INBOX.>`");
        }
        let fault = SinkError::new(format!("the events were not taken: {}", reason(error)));
        match error.kind() {
            PublishErrorKind::StreamNotFound => {
                fault.hint("Make a stream that takes the sink's `subject` (nats stream add), or correct it")
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => {
                fault.hint("Check whether the server is up, and its stream has a leader")
            }
            PublishErrorKind::MaxPayloadExceeded => fault.retry(Retry::Smaller),
            _ => fault.hint("If the stream is full, raise its limits; it goes on by itself then"),
        }
    }
}

fn tls(options: &NatsOptions) -> Result<rustls::ClientConfig, SinkError> {
    tls_client(&options.network.tls).map_err(|error| {
        SinkError::new(format!("its TLS settings cannot be used: {error}")).hint("Correct the sink's `tls` table")
    })
}

/// Whether it comes from TLS, which the client takes for any trouble of a socket.
fn is_tls(error: &ConnectError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inner.is_some_and(|inner| inner.is::<rustls::Error>()) || error.is::<rustls::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the stream will never take the event.
fn is_too_long(error: &PublishError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    source.is_some_and(|error| error.error_code() == ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
}

/// The error, and what it comes from.
fn reason(error: &PublishError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{}: {source}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// `text` as one token of a subject. One that begins with `$` would be the server's own.
fn token(text: &str) -> String {
    let illegal = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '$');
    let clean: String = text.chars().map(|c| if illegal(c) { '_' } else { c }).collect();
    if clean.is_empty() { "_".to_owned() } else { clean }
}

impl Sink for Nats {
    fn terms(&self) -> Terms {
        Terms { overhead: HEADERS, concurrency: Concurrency::Fixed(1), ..Terms::default() }
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(self.deliver_all(batches))
    }

    /// Whether JetStream is there; and whether a stream takes the subject, if there is only one.
    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            let Connection { context, .. } = self.connection().await?;
            if self.options.subject.is_fixed() {
                let subject = self.options.subject.prefix();
                return match context.stream_by_subject(subject).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(SinkError::new(format!("no stream takes `{subject}`: {error}"))
                        .hint("Make one (nats stream add), or correct the sink's `subject`")),
                };
            }
            match context.query_account().await {
                Ok(_) => Ok(()),
                Err(error) => Err(SinkError::new(format!("JetStream does not answer: {error}"))
                    .hint("Enable it in the server (jetstream {}), and for the sink's account")),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }

    fn close(&self) -> SinkFuture<'_> {
        Box::pin(async {
            self.connection.lock().await.take();
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_clean() {
        for (text, clean) in
            [("acme", "acme"), ("A b.c", "A_b_c"), ("$SYS", "_SYS"), (">", "_"), ("", "_"), ("é*\n", "é__")]
        {
            assert_eq!(token(text), clean);
        }
    }
}
