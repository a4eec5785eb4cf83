//! The sinks that speak a broker's protocol, as subjects of the suite. Their clients have sockets and names of their own, so
//! a name that leads nowhere is one that never does, and is mended in the configuration.

mod kafka;
mod nats;
mod records;

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tributary_host::deliver::{Batch, Head, Origin};
use tributary_host::outside::Outside;
use tributary_host::sinks::{DeliverFuture, Sink, SinkFuture, Terms};

use crate::far::{State, certificate};
use crate::feed::{EVENTS, id};
use crate::local::{built, outside};
use crate::subject::{REFUSED, Situation, Subject};

type Served = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// What one type of broker has of its own.
trait Protocol: Send + Sync {
    fn name(&self) -> &'static str;

    fn refuses_known(&self) -> bool;

    fn may_double(&self, situation: Situation) -> bool;

    /// Writes the script for a situation. False, if the protocol knows none like it.
    fn script(&self, situation: Situation, state: &mut State) -> bool;

    /// The configuration of the sink that reaches it at `address`.
    fn keys(&self, address: &str, tls: bool) -> String;

    /// The keys that the operator must be pointed to.
    fn hint(&self, situation: Situation) -> &'static str;

    /// Speaks with one client to the end.
    fn serve(self: Arc<Self>, stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) -> Served;

    /// Deliveries after which one is surely under way again, though nothing of it is seen here.
    fn tries(&self) -> u64;
}

/// See the module.
struct Broker {
    protocol: Arc<dyn Protocol>,
    port: u16,
    authority: Option<String>,
    state: Arc<Mutex<State>>,
    situation: Situation,
    /// Deliveries that were begun.
    begun: Arc<AtomicU64>,
    mended: AtomicBool,
    folder: TempDir,
}

impl Broker {
    async fn new(protocol: Arc<dyn Protocol>, situation: Situation) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let tls = situation == Situation::Untrusted;
        let (authority, acceptor) = if tls { certificate("localhost", &[]) } else { (None, None) };
        let (speaker, shared) = (Arc::clone(&protocol), Arc::clone(&state));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // How a conversation ends says nothing.
                tokio::spawn(Arc::clone(&speaker).serve(stream, acceptor.clone(), Arc::clone(&shared)));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let (begun, mended) = (Arc::default(), AtomicBool::new(false));
        Self { protocol, port, authority, state, situation, begun, mended, folder }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Subject for Broker {
    fn name(&self) -> &'static str {
        self.protocol.name()
    }

    fn refuses_known(&self, _: Situation) -> bool {
        self.protocol.refuses_known()
    }

    fn may_double(&self, situation: Situation) -> bool {
        self.protocol.may_double(situation)
    }

    fn begin(&self, situation: Situation) -> bool {
        let mut state = self.state();
        match situation {
            Situation::Refusing => state.refuses = REFUSED.into_iter().map(id).collect(),
            Situation::Mistaken => state.refuses = (0..EVENTS).map(id).collect(),
            Situation::Expired => state.locked = true,
            _ => {}
        }
        self.protocol.script(situation, &mut state)
    }

    fn outside(&self) -> Outside {
        outside()
    }

    fn sink(&self) -> Box<dyn Sink> {
        let mended = self.mended.load(Ordering::Relaxed);
        let host = if self.situation == Situation::Nameless && !mended { "far.invalid" } else { "localhost" };
        let tls = self.situation == Situation::Untrusted;
        let mut keys = self.protocol.keys(&format!("{host}:{}", self.port), tls);
        if let Some(authority) = self.authority.as_ref().filter(|_| mended) {
            let file = self.folder.path().join("ca.pem");
            std::fs::write(&file, authority).unwrap();
            keys += &format!("\ntls.ca_file = \"{}\"", file.display());
        }
        Box::new(Counted(built(&keys), Arc::clone(&self.begun)))
    }

    fn happened(&self) -> bool {
        let state = self.state();
        match self.situation {
            Situation::Expired | Situation::Untrusted => state.turned_away >= 3,
            Situation::Nameless => self.begun.load(Ordering::Relaxed) >= self.protocol.tries(),
            Situation::Restart => state.stored.len() >= 60,
            // Mended in the middle of a delivery, fewer than one in twenty of it may have been refused.
            Situation::Mistaken => {
                state.deliveries.last().is_some_and(|refused| refused.elapsed() > Duration::from_millis(200))
            }
            // The client knows what is too long, or learns it.
            Situation::TooLong => state.too_long.is_some(),
            Situation::CutAfter => state.script.is_empty() && state.known > 0,
            _ => state.script.is_empty(),
        }
    }

    fn mend(&self) {
        let mut state = self.state();
        state.locked = false;
        state.refuses.clear();
        self.mended.store(true, Ordering::Relaxed);
    }

    fn mended_here(&self, situation: Situation) -> bool {
        matches!(situation, Situation::Untrusted | Situation::Nameless)
    }

    fn hint(&self, situation: Situation) -> Option<String> {
        Some(self.protocol.hint(situation).into())
    }

    fn stored(&self) -> BTreeMap<u128, u64> {
        self.state().stored.clone()
    }

    fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }
}

/// Counts the deliveries that begin.
struct Counted(Box<dyn Sink>, Arc<AtomicU64>);

impl Sink for Counted {
    fn terms(&self) -> Terms {
        self.0.terms()
    }

    fn group(&self, origin: &Origin, event: &Head) -> Option<Box<str>> {
        self.0.group(origin, event)
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.deliver(batches)
    }

    fn check(&self) -> SinkFuture<'_> {
        self.0.check()
    }

    fn idles(&self) -> bool {
        self.0.idles()
    }

    fn idle(&self) -> SinkFuture<'_> {
        self.0.idle()
    }

    fn close(&self) -> SinkFuture<'_> {
        self.0.close()
    }
}
