//! What a request costs through a guest, against the same client without one: over TCP on this machine, one after the
//! other, by a pooled connection. CPU time of the client's thread alone; the server has its own.
//!
//! ```text
//! cargo bench --bench requests [-- REQUESTS ROUNDS]
//! ```

mod support;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use support::{spread, thread_cpu};
use tributary_host::config::network::NetworkSettings;
use tributary_host::outside::{Clock, Random};
use tributary_host::sandbox::{Context, Egress, Network, Notes, RequestOptions, Sockets, Start, Transport, Way};

/// Answers any request by a listing without files that goes on, on each connection for as long as it lasts.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let (connections, answered) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let address = listener.local_addr().expect("it is bound");
        let (counted, answers) = (Arc::clone(&connections), Arc::clone(&answered));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes it");
                while let Ok((stream, _)) = listener.accept().await {
                    counted.fetch_add(1, Ordering::Relaxed);
                    stream.set_nodelay(true).expect("a TCP socket");
                    let answers = Arc::clone(&answers);
                    let service = service_fn(move |_: http::Request<hyper::body::Incoming>| {
                        let number = answers.fetch_add(1, Ordering::Relaxed);
                        // A token that repeats would end the listing.
                        let body = format!(r#"{{"value":[],"@nextPage":"page-{number}","isCaughtUp":false}}"#);
                        let answer = http::Response::builder().header(CONTENT_TYPE, "application/json");
                        async move { Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).expect("a plain head")) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(connection);
                }
            });
        });
        Self { address, connections, answered }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Wall and CPU time of one request, in microseconds.
#[derive(Default)]
struct Samples {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Samples {
    fn add(&mut self, requests: usize, wall: Duration, cpu: Duration) {
        let each = |time: Duration| time.as_nanos() as f64 / 1e3 / requests as f64;
        self.wall.push(each(wall));
        self.cpu.push(each(cpu));
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (default_requests, default_rounds) = if support::in_earnest() { (2_000, 15) } else { (20, 1) };
    let requests = numbers.first().copied().unwrap_or(default_requests);
    let rounds = numbers.get(1).copied().unwrap_or(default_rounds);

    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let (mut guest, mut native) = (Samples::default(), Samples::default());
    runtime.block_on(async {
        let component = support::component().await;
        let sockets = Sockets::new();
        let egress = Egress::new([&*server.url()]).expect("an address of loopback");
        let egress = Arc::new(egress.allowing(["127.0.0.0/8".parse().expect("a network")]));
        let (settings, notes) = (NetworkSettings::default(), Arc::<Notes>::default());
        let transport = |source: &str| {
            let (egress, notes) = (Arc::clone(&egress), Arc::clone(&notes));
            sockets.transport(&Way { source: source.into(), egress, settings: &settings, notes }).expect("a plain way")
        };
        let context = Context {
            source: "guest".into(),
            egress: Arc::clone(&egress),
            transport: transport("guest"),
            clock: Clock::System,
            random: Random::seeded(1),
            notes: Arc::clone(&notes),
        };
        let configuration = support::CONFIGURATION.replace(support::API, &server.url());
        let mut instance = component.instantiate(&context).await.expect("an instance is made");
        instance.open(&configuration, support::STREAM, Start::Configured).await.expect("the stream opens");
        let client = transport("native");
        for _ in 0..=rounds {
            let (before, begun, cpu) = (server.answered.load(Ordering::Relaxed), Instant::now(), thread_cpu());
            let made = |server: &Server| server.answered.load(Ordering::Relaxed) - before;
            while made(&server) < requests {
                let chunk = instance.pull(support::SESSION, support::budget()).await.expect("the answers are good");
                assert!(chunk.events.is_empty() && chunk.requests > 0);
            }
            guest.add(made(&server), begun.elapsed(), thread_cpu() - cpu);

            let (begun, cpu) = (Instant::now(), thread_cpu());
            for number in 0..requests {
                ask(&*client, &server.url(), number).await;
            }
            native.add(requests, begun.elapsed(), thread_cpu() - cpu);
        }
    });
    let connections = server.connections.load(Ordering::Relaxed);
    println!("{requests} requests one after the other, {rounds} rounds in turns; {connections} connections, one each");
    assert_eq!(connections, 2, "a connection is used again");
    println!("{:<22} {:>12} {:>12} {:>12} {:>12}", "", "median/s", "best/s", "CPU median", "CPU least");
    // The first round warms up.
    let [guest, native] = [&guest, &native].map(|samples| (spread(&samples.wall[1..]), spread(&samples.cpu[1..])));
    for (name, (wall, cpu)) in [("through a guest", guest), ("the client alone", native)] {
        let (median, best) = (1e6 / wall.median, 1e6 / wall.least);
        println!("{name:<22} {median:>12.0} {best:>12.0} {:>9.1} us {:>9.1} us", cpu.median, cpu.least);
    }
    println!(
        "a guest takes {:.2} times the CPU time by the medians, {:.2} by the least; {:.2} times the wall time",
        guest.1.median / native.1.median,
        guest.1.least / native.1.least,
        guest.0.median / native.0.median
    );
}

/// A request like those of the guest.
async fn ask(client: &dyn Transport, url: &str, number: usize) {
    let request =
        http::Request::get(format!("{url}/siem/v1/batch/events/cg?type=receipt&pageSize=100&nextPage=page-{number}"))
            .header(AUTHORIZATION, "Bearer made-up")
            .header(ACCEPT, "application/json")
            .body(Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync())
            .expect("a plain head");
    let answer = client.send(request, RequestOptions::default()).await.expect("the server answers");
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.expect("the body is whole").to_bytes();
    assert!(body.starts_with(b"{\"value\":[]"));
}
