//! `tributary run`: collects until it is told to stop.

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit;
use crate::{Host, Options, Running, StartError, config};

/// Collects what the file at `path` configures. SIGTERM or SIGINT drains and stops; a second one stops at once.
pub async fn run(path: &Path) -> ExitCode {
    let loaded = match config::load(path) {
        Ok(loaded) => loaded,
        Err(error) => return exit::refused(exit::CONFIG, &error),
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return exit::refused(exit::SOFTWARE, &error),
    };
    let mut o = Options::new(crate::COMPONENT); o.quota_factor = std::env::var("QF").map_or(1, |v| v.parse().unwrap());
    let running = match Host::start(&loaded.config, o).await {
        Ok(running) => running,
        Err(error) => return exit::refused(code(&error), &error),
    };
    let status = running.status();
    tracing::info!(sources = loaded.config.sources.len(), streams = status.len(), "tributary runs");
    signals.next().await;
    tracing::info!("stopping: finishing what was pulled; a second signal stops at once");
    finish(running, signals).await
}

async fn finish(running: Running, mut signals: Signals) -> ExitCode {
    tokio::select! {
        biased;
        () = signals.next() => {
            tracing::warn!("stopped at once; what was not acknowledged is pulled again after the next start");
            ExitCode::SUCCESS
        }
        drained = running.stop() => {
            if drained {
                tracing::info!("stopped");
            } else {
                tracing::warn!(
                    "stopped, but a sink or the state did not finish in time; what was not acknowledged is pulled again \
                     after the next start"
                );
            }
            ExitCode::SUCCESS
        }
    }
}

fn code(error: &StartError) -> u8 {
    match error {
        _ if error.is_configuration() => exit::CONFIG,
        StartError::Sources(_) | StartError::Component(_) => exit::SOFTWARE,
        StartError::State(error) => exit::of_state(error),
        StartError::Sink { .. } => exit::CANT_CREATE,
    }
}

/// What a supervisor or a terminal says.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
