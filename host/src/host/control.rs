//! What may be asked and told while the host runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::SourceError;
use super::fleet::Fleet;
use super::retire::Wanted;
use crate::collect::{self, Board, Checked, Source as _, StreamState, StreamStatus};
use crate::config::{Config, RefusedFile};
use crate::deliver::{Selection, SinkBoard, SinkStatus, Tap, Taps};
use crate::observe::metrics::Vitals;
use crate::observe::view::Facts;
use crate::observe::{Cause, Happening, Health, HostCode, Listener, Place, Told};
use crate::outside::Clock;
use crate::replay::{ReplayError, Replaying, Replays, Request};

/// What may be asked and told while the host runs, from any task. It holds nothing that the end of the host waits for.
#[derive(Clone)]
pub struct Control {
    pub(crate) fleet: Fleet,
    pub(super) board: Board,
    pub(super) sinks: SinkBoard,
    pub(super) replays: Replays,
    pub(super) refused: Arc<Notify>,
    pub(crate) health: Health,
    pub(super) misconfigured: Misconfigured,
    pub(super) taps: Taps,
    pub(super) clock: Clock,
    /// Turns true when the host stops.
    pub(super) stop: watch::Receiver<bool>,
    /// Whose state is kept.
    pub(crate) wanted: Wanted,
    pub(crate) vitals: Arc<Vitals>,
}

/// What is wrong with the configuration of sources, by id. Their files are to be mended; the others run.
pub(super) type Misconfigured = Arc<Mutex<BTreeMap<String, String>>>;

impl Control {
    /// Every stream, by source and name.
    pub fn status(&self) -> Vec<StreamStatus> {
        self.board.all()
    }

    /// The streams that lag behind the present by more than `least` nanoseconds, and are being read.
    pub(crate) fn behind(&self, least: u64) -> Vec<StreamStatus> {
        let (now, mut behind) = (self.clock.nanos(), Vec::new());
        self.board.each(|status| {
            if status.state == StreamState::Collecting && status.lag(now).is_some_and(|lag| lag > least) {
                behind.push(status.clone());
            }
        });
        behind
    }

    /// The streams of one source, by name.
    pub fn status_of(&self, source: &str) -> Vec<StreamStatus> {
        self.board.of(source)
    }

    /// Shows each stream to `look`, by source and name. No stream can change meanwhile: be quick.
    pub fn each_stream(&self, look: impl FnMut(&StreamStatus)) {
        self.board.each(look);
    }

    /// Whether the operator has named this stream, so that no right to it is trouble.
    pub fn is_named(&self, source: &str, stream: &str) -> bool {
        self.health.is_named(source, stream)
    }

    /// Whether it collects: a worker has begun with every stream, and no stop is under way.
    pub fn is_ready(&self) -> bool {
        !*self.stop.borrow() && self.board.all_started()
    }

    /// Every sink.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        self.sinks.all()
    }

    /// What a source has beside its streams, if it is run.
    pub fn facts(&self, source: &str) -> Option<Facts> {
        let account = self.fleet.account(source)?;
        let last_check = account.checks.last().map(|checked| (*checked).clone());
        Some(Facts { network: account.source.network(), last_check })
    }

    /// Whether a scrape of the metrics tells tenants apart; as `metrics.tenant_labels` says, unless this is called.
    pub fn tell_tenants_apart(&self, apart: bool) {
        self.vitals.tell_tenants_apart(apart);
    }

    /// Wakes all streams of `source`, whatever they wait for: they forget session, backoff and trouble, and open anew
    /// behind the last chunk pulled, so a healthy stream loses nothing. A pull that is under way ends first. False if there
    /// is no such source, or no sink takes it.
    pub fn restart(&self, source: &str) -> bool {
        let account = self.fleet.account(source);
        if let Some(account) = &account {
            tracing::info!(%source, "its streams begin anew");
            account.restart();
        }
        account.is_some()
    }

    /// Tries the credentials of `source`, and one call for each of its streams, within its quotas; nothing is stored. Who
    /// asks while a check is under way gets that one's result. Streams that were given up, and that it finds good, are
    /// tried again at once. `None` if there is no such source, no sink takes it, or the host stops.
    pub async fn check(&self, source: &str) -> Option<Arc<Checked>> {
        let (account, subject) = self.fleet.subject(source)?;
        let (checks, control) = (Arc::clone(&account.checks), self.clone());
        let begin = || async move {
            let mut stop = control.stop.clone();
            let findings = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return None,
                findings = collect::check(subject) => findings,
            };
            let mut checked = Checked::new(control.clock.millis(), findings);
            let given_up = |status: &StreamStatus| {
                let state = status.state;
                status.fault.is_some()
                    || matches!(state, StreamState::Error | StreamState::NotLicensed | StreamState::Stopped)
            };
            let streams = control.board.of(&account.id);
            if streams.iter().any(|status| given_up(status) && checked.is_good(&status.stream)) {
                // A reload may have put another account in its place meanwhile.
                if let Some(account) = control.fleet.account(&account.id) {
                    tracing::info!(source = %account.id, "a check found it well: what was given up is tried again");
                    account.restart();
                    checked.resumed = true;
                }
            }
            Some(checked)
        };
        checks.once(begin).await
    }

    /// Hears health events from now on; see [`Health::listen`].
    pub fn listen(&self, source: Option<&str>, recent: usize) -> (Listener, Vec<Arc<Told>>) {
        self.health.listen(source, recent)
    }

    /// Looks at events as they pass. It slows nothing: what is not taken in time is skipped, and counted.
    pub fn tap(&self, selection: Selection) -> Tap {
        self.taps.open(selection)
    }

    /// Begins to read a span of a stream again, beside the stream's own position.
    ///
    /// # Errors
    /// Why it does not begin, with what to do.
    pub async fn replay(&self, request: &Request) -> Result<Replaying, ReplayError> {
        self.replays.start(request).await
    }

    /// Waits until a vendor refuses the credentials of any source: it is time to look for newer ones.
    pub async fn credentials_refused(&self) {
        self.refused.notified().await;
    }

    /// What is wrong with the configuration of sources, by id. One that is named here and runs does so with the
    /// configuration that it had before.
    pub fn misconfigured(&self) -> BTreeMap<String, String> {
        self.wrong().clone()
    }

    /// Notes all that is wrong with sources now, tells health what is news, and gives those that are news.
    pub(crate) fn note_misconfigured(&self, all: Vec<Wrong>) -> Vec<Wrong> {
        let mut known = self.wrong();
        let now: BTreeMap<String, String> = all.iter().map(|wrong| (wrong.id.clone(), wrong.why.clone())).collect();
        for id in known.keys().filter(|id| !now.contains_key(*id)) {
            self.health.clear(id, &Place::Configuration);
            if self.fleet.account(id).is_none() {
                self.health.unwatch(id);
            }
        }
        let news: Vec<Wrong> = all.into_iter().filter(|wrong| known.get(&wrong.id) != Some(&wrong.why)).collect();
        for Wrong { id, why, .. } in &news {
            let (so, hint) = match self.fleet.account(id) {
                Some(_) => ("it goes on with the configuration that it had", "Mend it; it is taken over then"),
                None => ("it is not collected", "Mend it; it is collected then"),
            };
            self.health.watch_unknown(id);
            let mut cause = Cause::host(HostCode::Configuration, format!("{so}: {why}"), hint);
            cause.happening = Happening::ThirdPartyConfigError;
            self.health.trouble(id, &Place::Configuration, &cause, None);
        }
        *known = now;
        news
    }

    fn wrong(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.misconfigured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A source whose configuration is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub id: String,
    pub why: String,
    /// The same without the name of its file: what it may share with others.
    cause: String,
}

impl Wrong {
    pub fn file(file: &RefusedFile) -> Self {
        let why: Vec<String> = file.problems.iter().map(ToString::to_string).collect();
        Self::new(&file.id, why, Some(&file.file))
    }

    /// Its component refuses it.
    pub fn source(error: &SourceError, config: &Config) -> Self {
        let problems = error.problems().into_iter().map(|problem| config.placed(&error.id, problem).to_string());
        Self::new(&error.id, problems.collect(), config.files.get(&error.id))
    }

    fn new(id: &str, why: Vec<String>, file: Option<&PathBuf>) -> Self {
        let why = why.join("; ");
        let cause = match file {
            Some(file) => why.replace(&file.display().to_string(), "its file"),
            None => why.clone(),
        };
        Self { id: id.to_owned(), why, cause }
    }

    /// Says so in the log, of more than three with the same cause together: a mistake of a template is one of each of its
    /// sources. `runs` says whether a source goes on with the configuration that it had.
    pub fn log(all: &[Self], runs: impl Fn(&str) -> bool) {
        let mut causes: BTreeMap<(&str, bool), Vec<&Self>> = BTreeMap::new();
        for wrong in all {
            causes.entry((&wrong.cause, runs(&wrong.id))).or_default().push(wrong);
        }
        for ((cause, runs), wrong) in causes {
            let so = if runs { "it goes on with the one that it had" } else { "it is not collected" };
            match wrong.as_slice() {
                [first, second, third, _, ..] => {
                    let (sources, first) = (wrong.len(), format!("{}, {}, {}", first.id, second.id, third.id));
                    tracing::error!(sources, %first, "of each of these sources: its configuration is refused, and {so}: {cause}");
                }
                few => {
                    for Self { id: source, why, .. } in few {
                        tracing::error!(%source, "its configuration is refused, and {so}: {why}");
                    }
                }
            }
        }
    }
}
