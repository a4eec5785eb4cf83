//! `tributary run`: collects until it is told to stop.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::reload::Reload;
use super::supervisor::{self, Supervised};
use super::{Run, backlog, exit};
use crate::config::{ApiOptions, Document};
use crate::observe::access::Access;
use crate::observe::api::Front;
use crate::observe::server::{Listener, serve};
use crate::observe::socket::{self, Socket};
use crate::observe::tcp::{Exchange, Tcp};
use crate::observe::terminal;
use crate::state::{self, StateError, rights};
use crate::{Host, Options, Reloader, Running, StartError};

/// Collects what the file at `path` configures, and returns the exit code. SIGTERM or SIGINT drains and stops; a second
/// one stops at once.
pub async fn run(path: &Path, arguments: &Run) -> u8 {
    let read = Document::read(path).and_then(|document| Ok((document.fill()?, document)));
    let (loaded, document) = match read {
        Ok(read) => read,
        Err(error) => return refused(exit::CONFIGURATION, &error),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let signals = Signals::new().and_then(|signals| Ok((signals, signal(SignalKind::hangup())?)));
    let (mut signals, hangup) = match signals {
        Ok(signals) => signals,
        Err(error) => return refused(exit::SOFTWARE, &error),
    };
    // Before the port: whoever has that may well be the host that has the folder.
    if let Err(error @ StateError::InUse { .. }) = state::is_free(&loaded.config.data_dir) {
        return refused(state_code(&error), &error);
    }
    // A container's superuser may have good reasons.
    if geteuid().is_root()
        && let Err(error) = rights::may_change(&loaded.config.data_dir)
    {
        tracing::warn!("{error}");
    }
    let mut served = match Served::begin(&loaded.config.api).await {
        Ok(served) => served,
        Err(error) => return refused(exit::CANNOT_CREATE, &format!("api: {error}")),
    };
    let drain = Duration::from_secs(arguments.graceful_shutdown_limit_secs);
    let options = Options { drain, ..Options::new(crate::COMPONENT).with_room_for(&loaded.config) };
    let started = async {
        let host = Host::load(options)?.with_components(&loaded.config).await;
        Ok((host.clone().collect(&loaded.config).await?, host))
    };
    let (running, host) = match started.await {
        Ok(started) => started,
        Err(error) => return refused(code(&error), &error),
    };
    let refused = running.control().misconfigured().len();
    tracing::info!(sources = loaded.config.sources.len(), streams = running.status().len(), refused, "tributary runs");
    served.open(&loaded.config.data_dir, &running);
    let control = running.control();
    let probe = {
        let control = control.clone();
        move || supervisor::works(control.clone())
    };
    let supervised = Supervised::ready(&format!("sources: {}", loaded.config.sources.len()), probe);
    let reload = Reload {
        path: path.to_owned(),
        document,
        files: loaded.files,
        reloader: Reloader::new(host, control.clone(), loaded.config).with_state(running.disk()),
        control: control.clone(),
        hangup,
        api: served.exchange.take(),
    };
    tokio::select! {
        biased;
        () = signals.next() => {}
        never = reload.run() => match never {},
        never = backlog::tell(control) => match never {},
    }
    tracing::info!("stopping: finishing what was pulled; a second signal stops at once");
    supervisor::stopping(drain);
    finish(running, signals).await;
    // What is asked while it stops is answered too. The socket goes before the store is let go.
    served.end().await;
    drop(supervised);
    exit::OK
}

/// Where it answers: over TCP from the beginning, so that probes see it start; on its socket when the state is held.
struct Served {
    front: Arc<Front>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    options: ApiOptions,
    /// Of the TCP address, until it is handed to who reads the configuration again.
    exchange: Option<Exchange>,
}

impl Served {
    /// Errors say why it does not listen where the operator wants it to.
    async fn begin(options: &ApiOptions) -> io::Result<Self> {
        let (stop, _) = watch::channel(false);
        let mut served =
            Self { front: Arc::default(), stop, tasks: Vec::new(), options: options.clone(), exchange: None };
        if let Some(tcp) = options.tcp.as_ref().filter(|_| options.enabled) {
            let (listener, access, exchange) = Tcp::bind(tcp, &options.hosts).await?;
            let tls = listener.tls().is_some();
            served.exchange = Some(exchange);
            tracing::info!(address = %listener.address()?, tls, "the API listens");
            served.answer(Listener::Tcp(listener), access);
        }
        Ok(served)
    }

    /// It runs: there is something to show.
    fn open(&mut self, data_dir: &Path, running: &Running) {
        self.front.open(running.api());
        if !self.options.enabled {
            return;
        }
        match Socket::bind(data_dir) {
            Ok(socket) => self.answer(Listener::Unix(socket), Access::local(&self.options.hosts)),
            Err(error) => {
                let path = socket::path(data_dir);
                tracing::warn!(path = %path.display(), "there is no local socket, so `tributary status` and other verbs cannot ask this host: {error}");
            }
        }
    }

    fn answer(&mut self, listener: Listener, access: Access) {
        let (front, stop) = (Arc::clone(&self.front), self.stop.subscribe());
        self.tasks.push(tokio::spawn(serve(listener, access, front, stop)));
    }

    /// What has begun may end, for a moment.
    async fn end(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            // It ends by itself.
            let _ = task.await;
        }
    }
}

async fn finish(running: Running, mut signals: Signals) {
    let sinks = running.control().sinks();
    let unheld: Vec<&str> = sinks.iter().filter(|sink| !sink.holds).map(|sink| &*sink.id).collect();
    let drained = tokio::select! {
        biased;
        () = signals.next() => {
            tracing::warn!("stopped at once; {}", what_comes(&unheld));
            return;
        }
        drained = running.stop() => drained,
    };
    match (drained, unheld.is_empty()) {
        (true, true) => tracing::info!("stopped; everything that was read is delivered and stored"),
        (true, false) => {
            tracing::info!(
                "stopped; everything that was read is stored, and delivered to all sinks that hold positions"
            )
        }
        (false, _) => tracing::warn!("stopped before sinks and state had finished; {}", what_comes(&unheld)),
    }
}

/// What becomes of the rest, if these sinks hold no position.
fn what_comes(unheld: &[&str]) -> String {
    let comes = "what was not acknowledged is read again at the next start";
    match unheld {
        [] => comes.to_owned(),
        unheld => format!("{comes}, but may be lost to {}, with acknowledgements = false", unheld.join(", ")),
    }
}

/// Says why the command ends, and gives the exit code back.
pub(super) fn refused(code: u8, error: &dyn std::fmt::Display) -> u8 {
    terminal::say(&format!("tributary: {error}"));
    code
}

pub(super) fn code(error: &StartError) -> u8 {
    match error {
        _ if error.is_configuration() => exit::CONFIGURATION,
        StartError::Sources(_) | StartError::Component(_) => exit::SOFTWARE,
        StartError::Sink { .. } => exit::CANNOT_CREATE,
        StartError::State(error) => state_code(error),
    }
}

pub(super) fn state_code(error: &StateError) -> u8 {
    match error {
        StateError::NotWritable { .. } => exit::CANNOT_CREATE,
        StateError::InUse { .. } => exit::TEMPORARY,
        StateError::Missing { .. } => exit::NO_INPUT,
        StateError::OtherUser { .. } => exit::NO_PERMISSION,
        StateError::Newer { .. } => exit::CONFIGURATION,
        StateError::Damaged { .. }
        | StateError::Full { .. }
        | StateError::DeadLettersFull { .. }
        | StateError::Io { .. } => exit::IO,
    }
}

/// What a supervisor or a terminal says.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
