//! What all streams of one source share, and what wakes them together.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::checks::Checks;
use super::quota::Quota;
use super::session::Sessions;
use super::source::{Call, Reader, Source};
use crate::config::OnPositionLost;
use crate::deliver::Alerts;
use crate::observe::Health;
use crate::outside::{Clock, Random};
use crate::sandbox::{GuestUsage, NetworkCounts, Session, Start};

/// What all streams of one source share.
pub struct Account {
    pub id: Arc<str>,
    pub tenant: Arc<str>,
    pub source: Arc<Replaceable>,
    pub sessions: Sessions,
    /// By name.
    pub quotas: BTreeMap<String, Arc<Quota>>,
    /// Which of its alerts were seen.
    pub alerts: Alerts,
    pub checks: Arc<Checks>,
    policy: RwLock<Policy>,
    /// How often the streams were told to begin anew.
    restarts: watch::Sender<u64>,
    /// Told when the vendor refuses the credentials: there may be newer ones.
    refused: Arc<Notify>,
}

/// What an operator wants done about trouble; it may change while the host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// For how long a passing fault is retried before the stream is in error.
    pub retry_for: Duration,
    pub on_position_lost: OnPositionLost,
}

impl Account {
    pub fn new(
        (id, tenant): (&str, &str),
        source: Arc<dyn Source>,
        quotas: BTreeMap<String, Arc<Quota>>,
        policy: Policy,
        refused: Arc<Notify>,
        (clock, random): (Clock, Random),
        (health, alerts): (&Health, Alerts),
    ) -> Self {
        let source = Arc::new(Replaceable::new(source));
        Self {
            id: id.into(),
            tenant: tenant.into(),
            sessions: Sessions::new(Arc::clone(&source) as _, clock, random).told_to(health.clone(), id.into()),
            source,
            quotas,
            alerts,
            checks: Arc::default(),
            policy: RwLock::new(policy),
            restarts: watch::Sender::new(0),
            refused,
        }
    }

    pub fn policy(&self) -> Policy {
        // A policy is written whole, so a panic elsewhere cannot have left half of one.
        *self.policy.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all streams, whatever they wait for: they forget their trouble and open anew, with a session of their own.
    pub fn restart(&self) {
        self.sessions.forget_all();
        self.restarts.send_modify(|restarts| *restarts += 1);
    }

    /// Goes on with another configuration of the same source, from where each stream is.
    pub fn reconfigure(&self, source: Option<Arc<dyn Source>>, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
        if let Some(source) = source {
            self.source.replace(source);
        }
        self.restart();
    }

    /// Tells of each restart from now on.
    pub(super) fn restarts(&self) -> watch::Receiver<u64> {
        self.restarts.subscribe()
    }

    /// Says that the vendor refuses the credentials.
    pub(super) fn credentials_refused(&self) {
        self.refused.notify_one();
    }
}

/// A source that can be exchanged for another configuration of itself. What is open reads on with the one it had.
pub struct Replaceable(RwLock<Arc<dyn Source>>);

impl Replaceable {
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self(RwLock::new(source))
    }

    fn replace(&self, source: Arc<dyn Source>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = source;
    }

    fn current(&self) -> Arc<dyn Source> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source for Replaceable {
    fn authenticate(&self) -> Call<'_, Session> {
        let source = self.current();
        Box::pin(async move { source.authenticate().await })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        let source = self.current();
        Box::pin(async move { source.open(stream, start).await })
    }

    fn kinds(&self) -> Arc<[String]> {
        self.current().kinds()
    }

    fn network(&self) -> Option<NetworkCounts> {
        self.current().network()
    }

    fn usage(&self) -> Option<GuestUsage> {
        self.current().usage()
    }

    fn transport_error(&self) -> Option<String> {
        self.current().transport_error()
    }
}
