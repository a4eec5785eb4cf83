//! The simulator over real HTTP on loopback, with one listener for the API and one for the storage host.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Sleep;

use crate::exchange::{Request, Response};
use crate::simulator::Simulator;
use crate::time::Millis;

/// Where the served simulation's time comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Millis + Send + Sync>);

impl Clock {
    /// Any function of the caller's.
    pub fn new(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The machine's clock.
    pub fn real() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(Millis::MAX)
        })
    }

    /// Passes as real time does, from `start_ms` on.
    pub fn starting_at(start_ms: Millis) -> Self {
        let begin = Instant::now();
        Self::new(move || start_ms + u64::try_from(begin.elapsed().as_millis()).unwrap_or(0))
    }

    /// Stands still until its owner moves it.
    pub fn manual(start_ms: Millis) -> (Self, ManualClock) {
        let hand = ManualClock(Arc::new(AtomicU64::new(start_ms)));
        let reader = hand.clone();
        (Self::new(move || reader.now()), hand)
    }

    pub fn now(&self) -> Millis {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// The hand of a clock that stands still.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    pub fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    pub fn advance(&self, by_ms: Millis) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub fn set(&self, to_ms: Millis) {
        self.0.store(to_ms, Ordering::SeqCst);
    }
}

/// A simulator that answers on loopback, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// `http://127.0.0.1:port`, for tokens and data.
    pub api_url: String,
    /// `http://127.0.0.1:port`, of the signed URLs.
    pub storage_url: String,
    simulator: Arc<Mutex<Simulator>>,
    clock: Clock,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on two free ports of loopback.
    pub fn start(simulator: Simulator, clock: Clock) -> std::io::Result<Self> {
        Self::bind(simulator, clock, 0, 0)
    }

    /// Serves on these ports of loopback; zero is any free one. The simulator's `api_url` and `storage_url` are set.
    pub fn bind(mut simulator: Simulator, clock: Clock, api_port: u16, storage_port: u16) -> std::io::Result<Self> {
        let listen = |port: u16| {
            let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
            listener.set_nonblocking(true)?;
            let url = format!("http://{}", listener.local_addr()?);
            std::io::Result::Ok((listener, url))
        };
        let (api, api_url) = listen(api_port)?;
        let (storage, storage_url) = listen(storage_port)?;
        simulator.settings.api_url.clone_from(&api_url);
        simulator.settings.storage_url.clone_from(&storage_url);
        let simulator = Arc::new(Mutex::new(simulator));
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Shared { simulator: simulator.clone(), clock: clock.clone() };
        let hosts = [(api, authority(&api_url)), (storage, authority(&storage_url))];
        let thread = std::thread::Builder::new().name("mimecast-simulator".to_owned()).spawn(move || {
            runtime.block_on(async move {
                for (listener, host) in hosts {
                    // A socket that was just bound can be registered; if not, its clients see refused connections.
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        tokio::spawn(accept(listener, host, shared.clone()));
                    }
                }
                let mut stopped = stopped;
                // An error means that the server was dropped, which is a stop too.
                let _ = stopped.wait_for(|stop| *stop).await;
            });
        })?;
        Ok(Self { api_url, storage_url, simulator, clock, stop, thread: Some(thread) })
    }

    /// The simulator behind it, for faults, truth and the log. Requests wait while it is held.
    pub fn simulator(&self) -> MutexGuard<'_, Simulator> {
        lock(&self.simulator)
    }

    /// The same, to be kept elsewhere.
    pub fn shared(&self) -> Arc<Mutex<Simulator>> {
        self.simulator.clone()
    }

    /// The simulation's time.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails only if the thread has ended already.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Shared {
    simulator: Arc<Mutex<Simulator>>,
    clock: Clock,
}

fn authority(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

/// A panic of a test that held the lock does not make the simulator's state wrong.
fn lock(simulator: &Mutex<Simulator>) -> MutexGuard<'_, Simulator> {
    simulator.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, host: String, shared: Shared) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (host, shared) = (host.clone(), shared.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, host.clone(), shared.clone()));
            // Connections end as their clients like; a cut one ends here with an error on purpose.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Larger request bodies are refused; real ones have some hundred bytes.
const BODY_LIMIT: usize = 1 << 20;

async fn answer(
    request: hyper::Request<Incoming>,
    host: String,
    shared: Shared,
) -> Result<hyper::Response<Sending>, Infallible> {
    let (head, mut incoming) = request.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) if body.len() + data.len() <= BODY_LIMIT => body.extend_from_slice(&data),
            Ok(Err(_)) => {}
            _ => return Ok(sent(Response::new(413, ""))),
        }
    }
    let headers = head.headers.iter();
    let request = Request {
        method: head.method.as_str().to_owned(),
        // The listener is the host: a client may reach it by any name.
        host,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
    };
    let response = lock(&shared.simulator).handle(&request, shared.clock.now());
    if response.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(response.delay_ms)).await;
    }
    Ok(sent(response))
}

fn sent(response: Response) -> hyper::Response<Sending> {
    let mut builder = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    let length = response.body.len();
    if response.header_value("content-length").is_none() {
        builder = builder.header("Content-Length", length);
    }
    let cut = response.cut_after.is_some_and(|after| after < length)
        || response.header_value("content-length").is_some_and(|declared| declared != length.to_string());
    let mut data = response.body;
    data.truncate(response.cut_after.unwrap_or(length));
    let pause = cut.then(|| Box::pin(tokio::time::sleep(BEFORE_CUT)));
    let body = Sending { data: (!data.is_empty()).then_some(data), pause };
    // All headers are made here, of visible characters; a wrong one would show as a 500 in the test that made it.
    builder.body(body).unwrap_or_else(|_| {
        let mut response = hyper::Response::new(Sending { data: None, pause: None });
        *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// So long a body rests before it breaks off: hyper sends what it has only when there is nothing more at hand.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// A body that may break off.
struct Sending {
    data: Option<Bytes>,
    /// Until the cut.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(pause) = &mut self.pause else { return Poll::Ready(None) };
        pause.as_mut().poll(context).map(|()| {
            self.pause = None;
            Some(Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by a fault")))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // The declared length stands in the header, right or wrong.
        SizeHint::default()
    }
}
