//! HTTP/1.1 over the local socket: one request a connection, each bounded in size and time.

use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::patient::Patient;
use super::socket::Socket;

/// Connections at once. What comes then waits.
const CONNECTIONS: usize = 32;
/// Bytes of a request's head, and of its body.
const HEAD_BYTES: usize = 16 << 10;
const BODY_BYTES: usize = 64 << 10;
/// How long a request may take to arrive, and an answer may lie untaken.
const REQUEST_TIME: Duration = Duration::from_secs(10);
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// A long answer is made in pieces of this size, and so many are made ahead.
const PIECE: usize = 64 << 10;
const PIECES: usize = 4;

pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A request that has arrived whole.
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub body: Bytes,
}

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    fn answer(&self, asked: Asked) -> impl Future<Output = Answer> + Send;
}

/// Answers until it is dropped.
pub async fn serve<S: Service>(socket: Socket, service: Arc<S>) {
    let (free, mut connections) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match socket.listener.accept().await {
            Ok((stream, _)) => {
                let service = Arc::clone(&service);
                connections.spawn(async move {
                    connection(stream, service).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("the local socket takes no connection: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn connection<S: Service>(stream: UnixStream, service: Arc<S>) {
    let io = TokioIo::new(Patient::new(stream, ANSWER_TIME));
    let answer = service_fn(|request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(handle(request, &*service).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIME).max_buf_size(HEAD_BYTES).keep_alive(false);
    if let Err(error) = server.serve_connection(io, answer).await {
        tracing::debug!("a connection of the local socket ended: {error}");
    }
}

async fn handle(request: Request<Incoming>, service: &impl Service) -> Answer {
    let (head, body) = request.into_parts();
    let body = match timeout(REQUEST_TIME, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large", None);
        }
        Ok(Err(_)) => return refusal(StatusCode::BAD_REQUEST, "the request broke off", None),
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the request takes too long to arrive", None),
    };
    service.answer(Asked { method: head.method, path: head.uri.path().to_owned(), body }).await
}

/// An answer of JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut text) => {
            text.push(b'\n');
            whole(status, HeaderValue::from_static("application/json"), text.into())
        }
        Err(error) => {
            let text = HeaderValue::from_static("text/plain");
            whole(StatusCode::INTERNAL_SERVER_ERROR, text, error.to_string().into())
        }
    }
}

/// An answer of text.
pub fn text_of(form: &'static str, text: String) -> Answer {
    whole(StatusCode::OK, HeaderValue::from_static(form), text.into())
}

/// An answer that says why not, with what to do next.
pub fn refusal(status: StatusCode, message: impl AsRef<str>, hint: Option<&str>) -> Answer {
    json(status, &json!({ "error": { "message": message.as_ref(), "hint": hint } }))
}

fn whole(status: StatusCode, form: HeaderValue, body: Bytes) -> Answer {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, form);
    answer
}

/// An answer in lines of JSON, which `write` makes on a thread that may block. It breaks off where `write` fails, and is
/// never held whole.
pub fn lines(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Answer {
    let (sender, pieces) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces { sender: sender.clone(), buffer: BytesMut::new() };
        let written = write(&mut pieces).and_then(|()| pieces.flush());
        if let Err(error) = written {
            // Whoever asked may have gone.
            let _ = sender.blocking_send(Err(error));
        }
    });
    streamed(pieces)
}

/// An answer in lines of JSON that are sent as they come.
pub fn streamed(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Answer {
    let mut answer = Response::new(BodyExt::boxed_unsync(Streamed(pieces)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    answer
}

struct Streamed(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|piece| Some(piece?.map(Frame::data)))
    }
}

/// Cuts what is written into pieces, and waits while too many are untaken.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: BytesMut,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
