//! A log pipeline that is not Tributary's: it loads the component with wasmtime and the contract alone, and prints events.
//!
//! ```text
//! cargo run --release --example embed -- COMPONENT.wasm STREAM CONFIGURATION.json > events.ndjson
//! ```
//!
//! It reads the stream from where the configuration says until it is caught up. A real pipeline would store each chunk's
//! position after it has delivered the chunk, and open the stream again behind it; a real pipeline would also limit
//! memory and time, and let requests go only to the hosts of the plan.

use std::io::Write;

use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Result, Store, bail};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

mod contract {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "log-source",
        exports: { default: async },
        require_store_data_send: true,
    });
}
use contract::LogSource;
use contract::tributary::source::types::{Budget, Fault, Next, Start};

type Https = Client<hyper_rustls::HttpsConnector<HttpConnector>, WasiBody>;
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Sends the guest's requests over one pooled client.
struct Transport(Https);

impl WasiHttpHooks for Transport {
    fn send_request(
        &mut self,
        mut request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _done: Io,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Io), Error>> + Send> {
        let client = self.0.clone();
        Box::new(async move {
            request.headers_mut().remove(http::header::HOST);
            let response = client.request(request).await.map_err(|_| Error::ConnectionTerminated)?;
            let body = |body: hyper::body::Incoming| body.map_err(|_| Error::HttpProtocolError).boxed_unsync();
            Ok((response.map(body), Box::new(async { Ok(()) }) as Io))
        })
    }
}

struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    transport: Transport,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.transport }
    }
}

fn transport() -> Transport {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    Transport(Client::builder(TokioExecutor::new()).build(https))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [component, stream, configuration] = &arguments[..] else {
        bail!("usage: embed COMPONENT.wasm STREAM CONFIGURATION.json");
    };
    let configuration = std::fs::read_to_string(configuration)?;

    let engine = Engine::new(Config::new().concurrency_support(false))?;
    let component = Component::from_file(&engine, component)?;
    let mut linker = Linker::<Guest>::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    let guest = Guest {
        wasi: WasiCtx::builder().inherit_stderr().build(),
        http: WasiHttpCtx::new(),
        table: ResourceTable::new(),
        transport: transport(),
    };
    let mut store = Store::new(&engine, guest);
    let source = LogSource::instantiate_async(&mut store, &component, &linker).await?;
    let source = source.tributary_source_source();

    let mut session = expect(source.call_authenticate(&mut store, &configuration).await?)?;
    let reader = source.reader();
    let open = reader.call_open(&mut store, &configuration, stream, &Start::Configured).await?;
    let reader_handle = expect(open)?;
    let budget = Budget { events: 5_000, bytes: 4 << 20, time_ms: 5_000, requests: 10, verbatim: false };
    loop {
        let chunk = match reader.call_pull(&mut store, reader_handle, &session.secret, budget).await? {
            Err(Fault::SessionExpired(_)) => {
                session = expect(source.call_authenticate(&mut store, &configuration).await?)?;
                continue;
            }
            pulled => expect(pulled)?,
        };
        std::io::stdout().write_all(&chunk.bodies)?;
        eprintln!("{} events, {} malformed", chunk.events.len(), chunk.malformed.len());
        match chunk.next {
            Next::More => {}
            Next::Pause(ms) => tokio::time::sleep(std::time::Duration::from_millis(ms.into())).await,
            Next::CaughtUp => return Ok(()),
        }
    }
}

fn expect<T>(result: std::result::Result<T, Fault>) -> Result<T> {
    result.or_else(|fault| bail!("{fault:?}"))
}
