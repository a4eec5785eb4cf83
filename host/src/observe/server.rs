//! HTTP/1.1 over the Unix socket and over TCP: each request is bounded in size and time, and so are connections.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::access::{Access, Caller};
use super::patient::Patient;
use super::places::{Place, Places};
use super::sessions::Since;
use super::socket::Socket;
use super::tcp::Tcp;

/// Connections at once, of the socket and of the address each.
const CONNECTIONS: usize = 64;
/// Bytes of a request's head, and of its body.
const HEAD_BYTES: usize = 16 << 10;
const BODY_BYTES: usize = 64 << 10;
/// How long a request may take to arrive, a connection to send the next, and an answer may lie untaken.
const REQUEST_TIME: Duration = Duration::from_secs(10);
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long what is watched may lie untaken: somebody has stopped the terminal, and reads.
const WATCHED_TIME: Duration = Duration::from_secs(3600);
/// How long answers may take to end when the host does.
const END_TIME: Duration = Duration::from_secs(2);

pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// A request that has arrived whole, and that its caller may make.
pub struct Asked {
    pub caller: Caller,
    /// By which it may.
    pub access: Access,
    /// `GET` for `HEAD` too.
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    /// Without what proves who asks.
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    fn answer(&self, asked: Asked) -> impl Future<Output = Answer> + Send;
}

/// Where connections come from.
pub enum Listener {
    Unix(Socket),
    Tcp(Tcp),
}

/// Answers until `stop` turns true or its sender is gone. Then answers that have begun may end, for a moment.
pub async fn serve<S: Service>(listener: Listener, access: Access, service: Arc<S>, stop: watch::Receiver<bool>) {
    let (places, mut connections) = (Places::new(CONNECTIONS), JoinSet::new());
    let mut stopped = pin!(until(stop.clone()));
    loop {
        let next = async {
            let accepted = accept(&listener).await?;
            Ok((accepted, places.take().await))
        };
        let next: io::Result<(Accepted, Place)> = tokio::select! {
            biased;
            () = &mut stopped => break,
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match next {
            Ok((accepted, place)) => {
                let (service, access, stop) = (Arc::clone(&service), access.clone(), stop.clone());
                connections.spawn(async move {
                    tokio::select! {
                        biased;
                        () = place.is_needed() => tracing::debug!("a connection to the API makes room for another"),
                        () = talk(accepted, &place, &access, &*service, stop) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!("the API takes no connection: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        };
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

enum Accepted {
    Unix(tokio::net::UnixStream),
    Tcp(TcpStream, Option<tokio_rustls::TlsAcceptor>),
}

async fn accept(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Unix(socket) => socket.listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        Listener::Tcp(tcp) => Ok(Accepted::Tcp(tcp.accept().await?, tcp.tls())),
    }
}

async fn until(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

async fn talk<S: Service>(
    accepted: Accepted,
    place: &Place,
    access: &Access,
    service: &S,
    stop: watch::Receiver<bool>,
) {
    let (stream, tls) = match accepted {
        Accepted::Unix(stream) => return connection(stream, false, place, access, service, stop).await,
        Accepted::Tcp(stream, None) => return connection(stream, true, place, access, service, stop).await,
        Accepted::Tcp(stream, Some(tls)) => (stream, tls),
    };
    let shaken = tokio::select! {
        biased;
        // Nothing was asked yet.
        () = until(stop.clone()) => return,
        shaken = timeout(REQUEST_TIME, tls.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => connection(stream, true, place, access, service, stop).await,
        Ok(Err(error)) => tracing::debug!("a connection to the API speaks no TLS: {error}"),
        Err(_) => tracing::debug!("a connection to the API does not finish its TLS handshake"),
    }
}

async fn connection<S: Service>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    keep_alive: bool,
    place: &Place,
    access: &Access,
    service: &S,
    stop: watch::Receiver<bool>,
) {
    let (watching, watched) = watch::channel(None);
    let patience = {
        let watched = watched.clone();
        move || if watched.borrow().is_some() { WATCHED_TIME } else { ANSWER_TIME }
    };
    let io = TokioIo::new(Patient::new(stream, patience));
    let watching = &watching;
    let answer = service_fn(|request| async move {
        let since = access.since();
        let (caller, mut answer) = handle(request, place, access, service).await;
        watching.send_replace(answer.extensions().get::<Watched>().map(|_| Watcher { caller, since }));
        for (name, value) in GUARDS {
            answer.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
        Ok::<_, Infallible>(answer)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIME).max_buf_size(HEAD_BYTES).keep_alive(keep_alive);
    let mut connection = pin!(server.serve_connection(io, answer));
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = until(stop) => {
            connection.as_mut().graceful_shutdown();
            timeout(END_TIME, connection).await.unwrap_or(Ok(()))
        }
        () = over(watched, access) => {
            tracing::debug!("a connection to the API ends: what it showed to watch does not hold any more");
            Ok(())
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection to the API ended: {error}");
    }
}

/// Who watches, by what he has shown after this moment.
#[derive(Clone)]
struct Watcher {
    caller: Caller,
    since: Since,
}

/// Comes back once what a watcher has shown does not hold any more. Other answers are soon at their end.
async fn over(mut watched: watch::Receiver<Option<Watcher>>, access: &Access) {
    loop {
        let watcher = watched.borrow_and_update().clone();
        let over = async {
            match watcher {
                Some(Watcher { caller, since }) => access.over(caller, since).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            // The connection has the sender.
            _ = watched.changed() => {}
            () = over => return,
        }
    }
}

/// What no browser should do with an answer: guess what it is, or keep it.
const GUARDS: [(header::HeaderName, &str); 2] =
    [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::CACHE_CONTROL, "no-store")];

/// Who asks, and the answer.
async fn handle(
    request: Request<Incoming>,
    place: &Place,
    access: &Access,
    service: &impl Service,
) -> (Caller, Answer) {
    let (head, body) = request.into_parts();
    let caller = match access.admit(&head).await {
        Ok(caller) => caller,
        Err(refused) => return (Caller::Anyone, last(*refused)),
    };
    let answer = match caller {
        Caller::Anyone => last(admitted(caller, head, body, access, service).await),
        Caller::Local | Caller::Token | Caller::Session(_) => {
            place.keep();
            admitted(caller, head, body, access, service).await
        }
    };
    (caller, answer)
}

/// Ends the connection of somebody who has proved nothing, so that it holds no place.
fn last(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

async fn admitted(caller: Caller, mut head: Parts, body: Incoming, access: &Access, service: &impl Service) -> Answer {
    head.headers.remove(header::AUTHORIZATION);
    head.headers.remove(header::COOKIE);
    let body = match timeout(REQUEST_TIME, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large", None);
        }
        Ok(Err(_)) => return refusal(StatusCode::BAD_REQUEST, "the request broke off", None),
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the request takes too long to arrive", None),
    };
    // Of an answer to `HEAD` no body is sent.
    let method = if head.method == Method::HEAD { Method::GET } else { head.method };
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().map(str::to_owned));
    let access = access.clone();
    service.answer(Asked { caller, access, method, path, query, headers: head.headers, body }).await
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

/// The methods of what can be read, and of what is done.
pub const READ: &str = "GET, HEAD";
pub const DONE: &str = "POST";

/// An answer that says by which methods it would be one.
pub fn not_allowed(methods: &'static str) -> Answer {
    let message = match methods {
        READ => "this can only be read: GET",
        DONE => "this is done by POST",
        _ => "there is no such method here",
    };
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, message, None);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
}

/// An answer that is there at once; `form` is its `Content-Type`.
pub fn whole(status: StatusCode, form: HeaderValue, body: Bytes) -> Answer {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, form);
    answer
}

/// An answer in lines of JSON that are sent as they come.
pub fn streamed(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Answer {
    let mut answer = Response::new(BodyExt::boxed_unsync(Streamed(pieces)));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    answer
}

/// An answer that somebody watches: it goes on until the host stops or what he showed does not hold any more, and its reader
/// may pause.
pub fn watched(pieces: mpsc::Receiver<io::Result<Bytes>>, form: &'static str) -> Answer {
    let mut answer = streamed(pieces);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
    // A proxy in front must not wait for more.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer.extensions_mut().insert(Watched);
    answer
}

/// Marks an answer that is watched.
#[derive(Clone, Copy)]
struct Watched;

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
