//! The sinks that speak HTTP, as subjects of the suite.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tributary_host::config::{self, Format};
use tributary_host::outside::{Outside, Random};
use tributary_host::sandbox::{Names, Resolving, Sockets};
use tributary_host::sinks::{self, Sink};

use crate::dialects::Dialect;
use crate::far::{Act, Far, NAME};
use crate::feed::{EVENTS, id};
use crate::subject::{REFUSED, Situation, Subject, TAKEN};

/// What one type of sink has of its own.
#[derive(Clone)]
pub struct Kind {
    pub name: &'static str,
    /// The keys of its configuration, where `{url}` is its far side.
    pub keys: &'static str,
    /// What its errors put before the names of keys.
    pub before_keys: &'static str,
    /// The key that names that, and the one that says who we are.
    pub address_key: &'static str,
    pub credentials_key: &'static str,
    pub dialect: Arc<dyn Dialect>,
    pub refuses_known: bool,
    /// Unless the host has started again in between.
    pub doubles_after_restart: bool,
    /// Whether good events are stored when others of their delivery are refused, without a word about which.
    pub doubles_beside_refused: bool,
    /// Whether they are stored, and kept as dead letters too: it is told how many were refused, and not to send them again.
    pub keeps_beside_refused: bool,
    /// What its protocol knows nothing like.
    pub lacks: &'static [Situation],
    /// Whether several deliveries are under way from the beginning.
    pub side_by_side: bool,
    /// Deliveries after which it is held at the latest, if all events are refused.
    pub held_after: usize,
}

pub struct Remote {
    kind: Kind,
    far: Far,
    tls: bool,
    names: Arc<FewNames>,
    outside: Outside,
    mended: AtomicBool,
    situation: Situation,
    folder: TempDir,
}

impl Remote {
    pub async fn new(kind: Kind, situation: Situation) -> Self {
        let tls = situation == Situation::Untrusted;
        let names = Arc::new(FewNames { known: AtomicBool::new(situation != Situation::Nameless), asked: 0.into() });
        let network = Arc::new(Sockets::resolving(Arc::clone(&names) as Arc<dyn Names>));
        Self {
            far: Far::start(Arc::clone(&kind.dialect), tls).await,
            kind,
            tls,
            names,
            outside: Outside { network, random: Random::seeded(7), ..Outside::system() },
            mended: AtomicBool::new(false),
            situation,
            folder: tempfile::tempdir().unwrap(),
        }
    }
}

impl Subject for Remote {
    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn refuses_known(&self, situation: Situation) -> bool {
        self.kind.refuses_known && !(situation == Situation::Restart && self.kind.doubles_after_restart)
    }

    fn may_double(&self, situation: Situation) -> bool {
        let beside = situation == Situation::Refusing && self.kind.doubles_beside_refused;
        beside || matches!(situation, Situation::CutAfter | Situation::Partial | Situation::Restart)
    }

    fn keeps_beside_refused(&self) -> bool {
        self.kind.keeps_beside_refused
    }

    fn begin(&self, situation: Situation) -> bool {
        if self.kind.lacks.contains(&situation) {
            return false;
        }
        let mut state = self.far.state();
        let acts = match situation {
            Situation::Busy => vec![Act::Status(429, None)],
            Situation::BusyFor => vec![Act::Status(429, Some("1"))],
            Situation::Failing => vec![Act::Status(500, None), Act::Status(502, None), Act::Status(503, Some("0"))],
            Situation::Slow => vec![Act::Slow(Duration::from_millis(200)), Act::Slow(Duration::from_secs(3))],
            Situation::CutBefore => vec![Act::CutBefore; 2],
            Situation::CutAfter => vec![Act::CutAfter; 2],
            Situation::Partial => vec![Act::Partial; 2],
            _ => Vec::new(),
        };
        state.script = acts.into();
        match situation {
            Situation::TooLong => state.too_long = Some(TAKEN),
            Situation::Refusing => state.refuses = REFUSED.into_iter().map(id).collect(),
            Situation::Mistaken => state.refuses = (0..EVENTS).map(id).collect(),
            Situation::Expired => state.locked = true,
            Situation::Restart => state.slow = Duration::from_millis(50),
            _ => {}
        }
        true
    }

    fn outside(&self) -> Outside {
        self.outside.clone()
    }

    fn sink(&self) -> Box<dyn Sink> {
        let url = format!("{}://{NAME}:{}", if self.tls { "https" } else { "http" }, self.far.port);
        let mut text = format!(
            "[sources.acme]\ntype = \"mimecast\"\n[sinks.far]\ninputs = [\"*\"]\nbatch.max_events = {}\nbatch.timeout_secs = 0\ntimeouts.first_byte_secs = 1\n{}\n",
            if self.kind.side_by_side { 10 } else { 50 },
            self.kind.keys.replace("{url}", &url)
        );
        if let Some(authority) = self.far.authority.as_ref().filter(|_| self.mended.load(Ordering::Relaxed)) {
            let file = self.folder.path().join("ca.pem");
            std::fs::write(&file, authority).unwrap();
            text += &format!("tls.ca_file = \"{}\"\n", file.display());
        }
        let loaded = config::parse(&text, Format::Toml, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
        sinks::build(&loaded.config.sinks["far"], &self.outside).unwrap_or_else(|error| panic!("{error}"))
    }

    fn happened(&self) -> bool {
        let state = self.far.state();
        match self.situation {
            Situation::Expired => state.turned_away >= 3,
            // Known by then, it is spoken with by HTTP/2.
            Situation::Untrusted => {
                state.turned_away >= 3 && (state.deliveries.is_empty() || state.http2 == state.deliveries.len() as u64)
            }
            Situation::Nameless => self.names.asked.load(Ordering::Relaxed) >= 3,
            Situation::Restart => state.stored.len() >= 60,
            Situation::Mistaken => state.deliveries.len() > self.kind.held_after,
            Situation::TooLong => state.deliveries.len() > 10,
            Situation::BusyFor => {
                let again = if self.kind.side_by_side { state.deliveries.last() } else { state.deliveries.get(1) };
                state
                    .deliveries
                    .first()
                    .zip(again)
                    .is_some_and(|(first, second)| *second - *first >= Duration::from_secs(1))
            }
            // What came twice was refused, where that can be.
            Situation::CutAfter => state.script.is_empty() && (state.known > 0) == self.kind.refuses_known,
            _ => state.script.is_empty(),
        }
    }

    fn mend(&self) {
        self.far.state().locked = false;
        self.far.state().refuses.clear();
        self.names.known.store(true, Ordering::Relaxed);
        self.mended.store(true, Ordering::Relaxed);
    }

    fn hint(&self, situation: Situation) -> Option<String> {
        Some(match situation {
            Situation::Expired => format!("`{}{}`", self.kind.before_keys, self.kind.credentials_key),
            Situation::Untrusted => "`tls.ca_file`".into(),
            _ => format!("`{}{}`", self.kind.before_keys, self.kind.address_key),
        })
    }

    fn stored(&self) -> BTreeMap<u128, u64> {
        self.far.state().stored.clone()
    }

    fn violations(&self) -> Vec<String> {
        self.far.state().violations.clone()
    }
}

/// The far side's name, which leads here once it is known.
struct FewNames {
    known: AtomicBool,
    asked: AtomicU64,
}

impl Names for FewNames {
    fn resolve(&self, name: &str) -> Resolving {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = name == NAME && self.known.load(Ordering::Relaxed);
        Box::pin(async move {
            match found {
                true => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
                false => Err(io::Error::other("no such name")),
            }
        })
    }
}
