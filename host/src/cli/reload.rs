//! What `tributary run` does about a changed secret, a changed file of a template's folder, and on SIGHUP.
//!
//! Secrets are read again when a file changes in which one lies, and when a vendor refuses the credentials: files are read
//! and programs asked; so are the files of customers. The configuration's own text is read again on SIGHUP alone, since nobody wants a file taken over
//! that is being edited.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::supervisor;
use crate::config::{ConfigError, Document, Files, Loaded};
use crate::observe::tcp::Exchange;
use crate::{Control, Reloaded, Reloader};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Files are read when nothing has been written for so long: a deployment writes many, and each in pieces.
const QUIET: Duration = Duration::from_secs(1);

/// One that is written all the time is read after so many of these.
const QUIET_AT_MOST: u32 = 10;

/// Many streams are refused at once: they are one reason to read.
const GATHER: Duration = Duration::from_millis(500);

/// Why it is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Hangup,
    Changed,
    Refused,
}

/// See the module.
pub struct Reload {
    pub path: PathBuf,
    /// The text that runs, or would, but for what was refused of it.
    pub document: Document,
    pub files: Files,
    pub reloader: Reloader,
    pub control: Control,
    pub hangup: Signal,
    /// Where it answers over TCP, if it does.
    pub api: Option<Exchange>,
}

impl Reload {
    /// Goes on for as long as the host runs.
    pub async fn run(mut self) -> Infallible {
        loop {
            let cause = self.next().await;
            if cause == Cause::Hangup {
                supervisor::reloading();
            }
            // A folder of secrets may be on another machine, which does not answer.
            let read = self.read(cause).await;
            let (well, status) = match read {
                Ok(Some(loaded)) => {
                    let sources = loaded.config.sources.len();
                    let (reloaded, api_is_well) = self.apply(cause, loaded).await;
                    let refused = match reloaded.refused() {
                        0 => String::new(),
                        refused => format!(", refused: {refused}, see the log"),
                    };
                    (!reloaded.is_wrong && api_is_well, format!("sources: {sources}{refused}"))
                }
                _ => (false, "the new configuration cannot be run, and the old one goes on: see the log".to_owned()),
            };
            self.reloader.note(well);
            if cause == Cause::Hangup {
                supervisor::reloaded(&status);
            }
        }
    }

    async fn next(&mut self) -> Cause {
        loop {
            tokio::select! {
                biased;
                _ = self.hangup.recv() => return Cause::Hangup,
                () = self.control.credentials_refused() => {
                    sleep(GATHER).await;
                    return Cause::Refused;
                }
                () = sleep(LOOK), if !self.files.is_empty() => {
                    let files = self.files.clone();
                    if spawn_blocking(move || files.have_changed()).await.unwrap_or(false) {
                        self.quiet().await;
                        return Cause::Changed;
                    }
                }
            }
        }
    }

    /// Waits until nobody writes.
    async fn quiet(&self) {
        let mut files = self.files.clone();
        for _ in 0..QUIET_AT_MOST {
            let mut looked = files.clone();
            let Ok(changed) = spawn_blocking(move || {
                let changed = looked.have_changed();
                looked.look_again();
                changed.then_some(looked)
            })
            .await
            else {
                return;
            };
            match changed {
                Some(looked) => files = looked,
                None => return,
            }
            sleep(QUIET).await;
        }
    }

    /// The new configuration; none, if it cannot be run, which has been said.
    async fn read(&mut self, cause: Cause) -> Result<Option<Loaded>, tokio::task::JoinError> {
        let path = self.path.clone();
        let fresh = match cause {
            Cause::Hangup => Some(spawn_blocking(move || Document::read(&path)).await?),
            Cause::Changed | Cause::Refused => None,
        };
        let fresh = match fresh.transpose() {
            Ok(fresh) => fresh,
            Err(error) => return Ok(refused(&error)),
        };
        let document = fresh.unwrap_or_else(|| self.document.clone());
        let (mut files, text) = (self.files.clone(), document.clone());
        let (files, loaded) = spawn_blocking(move || {
            // Before it is read: what is written after that is a change.
            files.look_again();
            (files, text.fill())
        })
        .await?;
        self.files = files;
        match loaded {
            Ok(loaded) => {
                self.document = document;
                self.files = loaded.files.clone();
                Ok(Some(loaded))
            }
            Err(error) => Ok(refused(&error)),
        }
    }

    /// What became of it, and whether the API could take over what is its own.
    async fn apply(&mut self, cause: Cause, loaded: Loaded) -> (Reloaded, bool) {
        if cause == Cause::Hangup {
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
        }
        let reloaded = self.reloader.apply(&loaded.config).await;
        said(&reloaded.added, "is new, and is collected");
        said(
            &reloaded.removed,
            "is no longer configured: what was read of it is delivered, and its state is kept for 30 days",
        );
        said(&reloaded.changed, "goes on with its new configuration");
        for what in &reloaded.restart_news {
            tracing::warn!("restart tributary for this change to take effect: {what}");
        }
        let applied = match (&mut self.api, &loaded.config.api.tcp) {
            (Some(api), Some(options)) => api.apply(options),
            _ => Ok(()),
        };
        if let Err(error) = &applied {
            tracing::error!("the API goes on with the certificate that it had: {error}");
        }
        if cause == Cause::Hangup {
            let again = self.reloader.retry();
            tracing::info!(tried_again = again.len(), "SIGHUP: the configuration is read: {reloaded}");
        }
        (reloaded, applied.is_ok())
    }
}

/// Says what happens to sources: of each, unless there are very many.
fn said(sources: &[String], what: &str) {
    const LINES: usize = 20;
    if sources.len() > LINES {
        tracing::info!(sources = sources.len(), first = sources[0], "of each of these sources: it {what}");
        return;
    }
    for source in sources {
        tracing::info!(%source, "{what}");
    }
}

fn refused(error: &ConfigError) -> Option<Loaded> {
    tracing::error!("the new configuration cannot be run, and the old one goes on: {error}");
    None
}
