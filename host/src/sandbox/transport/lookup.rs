//! The system's resolver, asked for a few names at once.
//!
//! A lookup is a call that blocks, and nothing breaks it off: while the resolver does not answer, it holds its thread for as
//! long as the system waits, though nobody waits for it any more. The state's and the watchdog's calls need threads of the
//! same pool. So lookups have few of them, and one name has one.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::spawn_blocking;

/// Names that are looked up at once: a quarter of the threads that may block.
const LOOKUPS: usize = 16;

/// Those of this process.
static SYSTEM: Lookups = Lookups::new();

/// The addresses of a host, which is a name or an address, by the system's resolver. Their port is 0.
///
/// # Errors
/// What the system says.
pub async fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, 0)]);
    }
    SYSTEM.find(host, |name| (name, 0).to_socket_addrs().map(Iterator::collect)).await
}

/// What is asked for now.
struct Lookups {
    places: Semaphore,
    running: Mutex<BTreeMap<Box<str>, Answer>>,
}

/// What comes of a lookup: for all who asked for its name while it ran. An error cannot be shared, so it is told in its
/// parts.
type Answer = watch::Receiver<Option<Result<Vec<SocketAddr>, (io::ErrorKind, String)>>>;

impl Lookups {
    const fn new() -> Self {
        Self { places: Semaphore::const_new(LOOKUPS), running: Mutex::new(BTreeMap::new()) }
    }

    /// The addresses of `name`, for which `ask` blocks.
    async fn find<F>(&'static self, name: &str, ask: F) -> io::Result<Vec<SocketAddr>>
    where
        F: FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    {
        let running = self.lock().get(name).cloned();
        let mut answer = match running {
            Some(answer) => answer,
            None => {
                let place = self.places.acquire().await.map_err(io::Error::other)?;
                self.begin(name, place, ask)
            }
        };
        match answer.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(found))) => Ok(found.clone()),
            Ok(Some(Err((kind, text)))) => Err(io::Error::new(*kind, text.clone())),
            Ok(None) | Err(_) => Err(io::Error::other("its lookup broke down")),
        }
    }

    /// Begins to ask for `name`, unless another did while this one waited for its place.
    fn begin<F>(&'static self, name: &str, place: SemaphorePermit<'static>, ask: F) -> Answer
    where
        F: FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
    {
        let mut running = self.lock();
        if let Some(answer) = running.get(name) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        running.insert(name.into(), answer.clone());
        drop(running);
        let lookup = Lookup { name: name.into(), all: self, _place: place };
        spawn_blocking(move || {
            let found = ask(&lookup.name).map_err(|error| (error.kind(), error.to_string()));
            // Whoever asks from now on asks anew.
            drop(lookup);
            sender.send_replace(Some(found));
        });
        answer
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Answer>> {
        // Each change is whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that goes on, also when nobody waits for it any more. It is over when this is dropped.
struct Lookup {
    name: Box<str>,
    all: &'static Lookups,
    _place: SemaphorePermit<'static>,
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.all.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::time::timeout;

    use super::*;

    /// A resolver that does not answer before it is told to.
    struct Resolver {
        lookups: &'static Lookups,
        asked: Arc<AtomicUsize>,
        gate: Arc<Mutex<mpsc::Receiver<()>>>,
        open: Option<mpsc::Sender<()>>,
    }

    impl Resolver {
        fn new() -> Self {
            let (open, gate) = mpsc::channel();
            let lookups = Box::leak(Box::new(Lookups::new()));
            Self { lookups, asked: Arc::default(), gate: Arc::new(Mutex::new(gate)), open: Some(open) }
        }

        fn find(&self, name: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
            let (lookups, name) = (self.lookups, name.to_owned());
            let (asked, gate) = (Arc::clone(&self.asked), Arc::clone(&self.gate));
            async move {
                let ask = move |name: &str| {
                    asked.fetch_add(1, Ordering::SeqCst);
                    // Answers once nothing can be told any more.
                    let _ = gate.lock().unwrap().recv();
                    match name {
                        "none" => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
                        _ => Ok(vec![([10, 0, 0, 1], 0).into()]),
                    }
                };
                lookups.find(&name, ask).await
            }
        }

        fn answers(&mut self) {
            self.open = None;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    /// Begins, and is given up.
    async fn abandoned(lookup: impl Future<Output = io::Result<Vec<SocketAddr>>>) {
        assert!(timeout(Duration::ZERO, lookup).await.is_err(), "the resolver does not answer");
    }

    #[test]
    fn a_resolver_that_does_not_answer_leaves_threads_for_others() {
        let runtime = Builder::new_current_thread().max_blocking_threads(LOOKUPS + 1).enable_time().build().unwrap();
        runtime.block_on(async {
            let mut resolver = Resolver::new();
            for name in 0..4 * LOOKUPS {
                abandoned(resolver.find(&name.to_string())).await;
            }
            timeout(Duration::from_secs(30), spawn_blocking(|| ())).await.expect("a thread is free").unwrap();
            // Of those that were given up, the ones that had not begun never do.
            resolver.answers();
            assert_eq!(resolver.find("other").await.unwrap(), [([10, 0, 0, 1], 0).into()]);
            let _all = resolver.lookups.places.acquire_many(LOOKUPS as u32).await.unwrap();
            assert_eq!(resolver.asked(), LOOKUPS + 1);
            assert!(resolver.lookups.lock().is_empty());
        });
    }

    #[tokio::test]
    async fn one_name_is_asked_for_once_at_a_time() {
        let mut resolver = Resolver::new();
        for _ in 0..2 * LOOKUPS {
            abandoned(resolver.find("none")).await;
        }
        // There is room for another, and who joins in is told what the lookup gives.
        assert_eq!(resolver.lookups.places.available_permits(), LOOKUPS - 1);
        let (joined, other) = (resolver.find("none"), resolver.find("other"));
        let answered = async {
            tokio::task::yield_now().await;
            resolver.answers();
        };
        let (joined, other, ()) = tokio::join!(joined, other, answered);
        let error = joined.unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (io::ErrorKind::NotFound, "no such name"));
        assert!(other.is_ok());
        assert_eq!(resolver.asked(), 2);
        assert!(resolver.find("none").await.is_err());
        assert_eq!(resolver.asked(), 3, "an answer is not kept");
    }

    #[tokio::test]
    async fn an_address_is_nobodys_name() {
        assert_eq!(look_up("::1").await.unwrap(), ["[::1]:0".parse().unwrap()]);
        assert!(look_up("localhost").await.unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
