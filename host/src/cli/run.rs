//! `tributary run`: collects until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reload;
use super::supervisor::{self, Supervised};
use super::{Run, exit};
use crate::config::Document;
use crate::observe::server::serve;
use crate::observe::socket::{self, Socket};
use crate::state::StateError;
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
    let served = Served::start(&loaded.config.data_dir, &running);
    let control = running.control();
    let supervised = Supervised::ready(&format!("{} sources", loaded.config.sources.len()));
    let reload = Reload {
        path: path.to_owned(),
        document,
        files: loaded.files,
        reloader: Reloader::new(host, control.clone(), loaded.config).with_state(running.disk()),
        control,
        hangup,
        told: Vec::new(),
    };
    tokio::select! {
        biased;
        () = signals.next() => {}
        never = reload.run() => match never {},
    }
    tracing::info!("stopping: finishing what was pulled; a second signal stops at once");
    supervisor::stopping(drain);
    finish(running, signals).await;
    // What is asked while it stops is answered too. The socket goes before the store is let go.
    served.end().await;
    drop(supervised);
    exit::OK
}

/// The local socket, if there is one.
struct Served(Option<tokio::task::JoinHandle<()>>);

impl Served {
    fn start(data_dir: &Path, running: &Running) -> Self {
        match Socket::bind(data_dir) {
            Ok(socket) => Self(Some(tokio::spawn(serve(socket, Arc::new(running.api()))))),
            Err(error) => {
                let path = socket::path(data_dir);
                tracing::warn!(path = %path.display(), "there is no local socket, so `tributary status` and other verbs cannot ask this host: {error}");
                Self(None)
            }
        }
    }

    async fn end(self) {
        if let Some(task) = self.0 {
            task.abort();
            // It was aborted: there is nothing to learn of it.
            let _ = task.await;
        }
    }
}

async fn finish(running: Running, mut signals: Signals) {
    let drained = tokio::select! {
        biased;
        () = signals.next() => {
            tracing::warn!("stopped at once; what was not acknowledged is read again at the next start");
            return;
        }
        drained = running.stop() => drained,
    };
    if drained {
        tracing::info!("stopped; everything that was read is delivered and stored");
    } else {
        tracing::warn!(
            "stopped before sinks and state had finished; what was not acknowledged is read again at the next start"
        );
    }
}

/// Says why the command ends, and gives the exit code back.
pub(super) fn refused(code: u8, error: &dyn std::fmt::Display) -> u8 {
    eprintln!("tributary: {error}");
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
