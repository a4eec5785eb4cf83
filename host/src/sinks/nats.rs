//! Events into NATS JetStream, acknowledged by the stream that takes them.
//!
//! `Nats-Msg-Id` is the sink's id and the event's, so a stream drops what it has had from this sink within its window for
//! duplicates (two minutes unless it is set), and says so. It looks at no subject for that: without the sink's id, of two
//! sinks into one stream the second would lose what the first has brought.

use std::collections::{BTreeSet, VecDeque};
use std::future::IntoFuture as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use futures_util::future::join_all;
use tokio::sync::{Mutex, watch};

use super::{Answer, Concurrency, DeliverFuture, Retry, Sink, SinkError, SinkFuture, Terms};
use crate::config::{NatsCredentials, NatsOptions};
use crate::deliver::{Batch, EventId, Head, Origin};
use crate::sandbox::tls_client;

/// What the protocol puts before each payload, with [`message_id`] in it: the version, and one header.
const HEADERS: usize = "NATS/1.0\r\nNats-Msg-Id: \r\n\r\n".len();

/// In which a stream's answer must come.
const ANSWER: Duration = Duration::from_secs(10);

/// In which the answers must come for what was sent together with an event that was not taken.
const LATE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Nats {
    /// The sink's.
    id: Box<str>,
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

/// What becomes of the events of one delivery.
#[derive(Default)]
struct Flight {
    /// In the order in which they were sent.
    waiting: VecDeque<(Place, Acknowledgement)>,
    answers: Vec<Answer>,
    /// Those of which the stream has said what became of them.
    answered: BTreeSet<Place>,
}

/// Of an event: the index of its batch, and its own in it.
type Place = (usize, usize);

type Acknowledgement = Pin<Box<dyn Future<Output = Result<PublishAck, PublishError>> + Send>>;

impl Nats {
    /// `id` is the sink's.
    ///
    /// # Errors
    /// When its TLS settings do not fit together.
    pub fn new(id: &str, options: &NatsOptions) -> Result<Self, SinkError> {
        tls(options)?;
        Ok(Self { id: id.into(), options: options.clone(), connection: Mutex::new(None), said: Arc::default() })
    }

    /// Bytes that the protocol adds to an event.
    fn overhead(&self) -> usize {
        HEADERS + message_id(&self.id, 0).len()
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

    /// Publishes as long as the connection stands. What the stream has acknowledged by then does not come again: it may be
    /// longer until there is another connection than the stream remembers ids.
    async fn deliver_all(&self, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        let connection = self.connection().await?;
        let mut broken = connection.broken.clone();
        let mut flight = Flight::default();
        let (published, late) = tokio::select! {
            biased;
            published = self.publish(&connection, batches, &mut flight) => (published, LATE),
            // Its sender lives as long as the connection does. What has not come by now never does.
            _ = broken.wait_for(|broken| *broken) => (Err(self.broke()), Duration::ZERO),
        };
        let Err(error) = published else { return Ok(flight.answers) };
        let waiting = std::mem::take(&mut flight.waiting).into_iter();
        let waiting = waiting.map(|(place, sent)| async move { (place, tokio::time::timeout(late, sent).await) });
        for (place, result) in join_all(waiting).await {
            // What could not be taken comes again, as all does that nothing was said of.
            let _ = result.map(|result| self.answer(place, result, &mut flight));
        }
        if flight.answered.is_empty() {
            return Err(error);
        }
        let places = batches.iter().enumerate().flat_map(|(batch, of)| (0..of.events.len()).map(move |i| (batch, i)));
        let unknown = places.filter(|place| !flight.answered.contains(place));
        flight.answers.extend(unknown.map(|(batch, event)| Answer::again(batch, event, error.clone())));
        Ok(flight.answers)
    }

    fn broke(&self) -> SinkError {
        let fault = SinkError::new("the connection broke before the stream had answered for all events");
        match self.said.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(said) => SinkError::new(format!("{}; the server said: {said}", fault.message)),
            None => fault.hint("Check whether the server is up"),
        }
    }

    async fn publish(
        &self,
        connection: &Connection,
        batches: &[Arc<Batch>],
        flight: &mut Flight,
    ) -> Result<(), SinkError> {
        let Connection { client, context, .. } = connection;
        let most = Some(client.server_info().max_payload).filter(|most| *most > 0).unwrap_or(usize::MAX);
        let overhead = self.overhead();
        for (number, batch) in batches.iter().enumerate() {
            for (index, event) in batch.events.iter().enumerate() {
                if flight.waiting.len() >= self.options.max_in_flight {
                    self.first(flight).await?;
                }
                let begin = event.begin as usize;
                let body = batch.bodies.slice(begin..begin + batch.body(event).len());
                if body.len() + overhead > most {
                    let reason = format!("it is {} bytes long; the server takes {most} (max_payload)", body.len());
                    flight.answers.push(Answer::refused(number, index, reason));
                    flight.answered.insert((number, index));
                    continue;
                }
                let message = PublishMessage::build().message_id(message_id(&self.id, event.id)).payload(body);
                let sent = context.send_publish(self.subject(&batch.origin, event), message).await;
                let acknowledgement = sent.map_err(|error| self.fault(&error))?.into_future();
                flight.waiting.push_back(((number, index), acknowledgement));
            }
        }
        while !flight.waiting.is_empty() {
            self.first(flight).await?;
        }
        Ok(())
    }

    /// Waits for what was sent first. It stays in the queue until then, so that whoever stops waiting can still look.
    async fn first(&self, flight: &mut Flight) -> Result<(), SinkError> {
        let Some((place, acknowledgement)) = flight.waiting.front_mut() else { return Ok(()) };
        let (place, result) = (*place, acknowledgement.await);
        flight.waiting.pop_front();
        self.answer(place, result, flight)
    }

    /// What became of one event.
    ///
    /// # Errors
    /// If nobody knows, and those behind it need not be waited for.
    fn answer(
        &self,
        place: Place,
        result: Result<PublishAck, PublishError>,
        flight: &mut Flight,
    ) -> Result<(), SinkError> {
        let (number, index) = place;
        match result {
            Ok(stored) => flight.answers.extend(stored.duplicate.then(|| Answer::known(number, index))),
            Err(error) if is_too_long(&error) => {
                let reason = "it is longer than the stream takes (max_msg_size)";
                flight.answers.push(Answer::refused(number, index, reason));
            }
            Err(error) if error.kind() == PublishErrorKind::Other => {
                flight.answers.push(Answer::again(number, index, self.fault(&error)));
            }
            Err(error) => return Err(self.fault(&error)),
        }
        flight.answered.insert(place);
        Ok(())
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

/// What a stream knows an event by.
fn message_id(sink: &str, event: EventId) -> String {
    format!("{sink}:{event:032x}")
}

/// `text` as one token of a subject. One that begins with `$` would be the server's own.
fn token(text: &str) -> String {
    let illegal = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '$');
    let clean: String = text.chars().map(|c| if illegal(c) { '_' } else { c }).collect();
    if clean.is_empty() { "_".to_owned() } else { clean }
}

impl Sink for Nats {
    fn terms(&self) -> Terms {
        Terms { overhead: self.overhead(), concurrency: Concurrency::Fixed(1), ..Terms::default() }
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
