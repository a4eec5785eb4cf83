//! Bugs that are planted around the host, so that the simulation shows that it finds such.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tributary_host::collect::{Call, Reader, Source};
use tributary_host::deliver::{Batch, Storage};
use tributary_host::sandbox::{Budget, Chunk, Next, Session, Start};
use tributary_host::sinks::{DeliverFuture, Sink, SinkFuture};
use tributary_host::state::{Commit, DeadLetter, HealthRow, StateError, StreamKey, StreamState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A delivery is acknowledged before the far side has it, so the position moves first.
    PositionBeforeAcknowledgement,
    /// A delivery that broke off in the middle is acknowledged whole.
    AcknowledgedInPart,
    /// The events of the chunk with which a reader is caught up are dropped; its position stays.
    LostLastChunk,
    /// What was seen is forgotten at once.
    SeenDroppedTooEarly,
    /// A gap is passed, and nobody is told.
    GapNotReported,
    /// After a file is told as gone, the events of the stream are dropped.
    LostBesideGoneFile,
    /// After the rest of a damaged file was passed, the events of the stream are dropped.
    LostBesideDamagedFile,
    /// Another position is stored than the source gave.
    PositionOfNoPull,
}

impl Bug {
    pub const ALL: [Bug; 8] = [
        Bug::PositionBeforeAcknowledgement,
        Bug::AcknowledgedInPart,
        Bug::LostLastChunk,
        Bug::SeenDroppedTooEarly,
        Bug::GapNotReported,
        Bug::LostBesideGoneFile,
        Bug::LostBesideDamagedFile,
        Bug::PositionOfNoPull,
    ];

    pub fn around_sink(bug: Option<Bug>, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        match bug {
            Some(Bug::PositionBeforeAcknowledgement) => Box::new(Early { inner: sink, late: Mutex::default() }),
            Some(Bug::AcknowledgedInPart) => Box::new(Hopeful(sink)),
            _ => sink,
        }
    }

    /// Outside of everything that looks at what is pulled.
    pub fn around_source(bug: Option<Bug>, source: Arc<dyn Source>) -> Arc<dyn Source> {
        match bug {
            Some(bug @ (Bug::LostLastChunk | Bug::GapNotReported)) => Arc::new(Losing { inner: source, bug }),
            _ => source,
        }
    }

    /// As if the component had it: nothing but the oracle can see it.
    pub fn inside_source(bug: Option<Bug>, source: Arc<dyn Source>) -> Arc<dyn Source> {
        match bug {
            Some(bug @ (Bug::LostBesideGoneFile | Bug::LostBesideDamagedFile)) => {
                Arc::new(Losing { inner: source, bug })
            }
            _ => source,
        }
    }

    pub fn around_storage(bug: Option<Bug>, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        match bug {
            Some(bug @ (Bug::SeenDroppedTooEarly | Bug::PositionOfNoPull)) => {
                Arc::new(Forgetful { inner: storage, bug })
            }
            _ => storage,
        }
    }
}

/// Says yes at once, and delivers with the next delivery.
struct Early {
    inner: Box<dyn Sink>,
    late: Mutex<VecDeque<Vec<Arc<Batch>>>>,
}

impl Early {
    fn oldest(&self) -> Option<Vec<Arc<Batch>>> {
        self.late.lock().unwrap().pop_front()
    }
}

impl Sink for Early {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move {
            let waits = {
                let mut late = self.late.lock().unwrap();
                late.push_back(batches.to_vec());
                late.len()
            };
            if waits > 1
                && let Some(batches) = self.oldest()
            {
                while self.inner.deliver(&batches).await.is_err() {}
            }
            Ok(Vec::new())
        })
    }

    fn idle(&self) -> SinkFuture<'_> {
        Box::pin(async move {
            while let Some(batches) = self.oldest() {
                while self.inner.deliver(&batches).await.is_err() {}
            }
            Ok(())
        })
    }

    fn close(&self) -> SinkFuture<'_> {
        Box::pin(async move {
            self.idle().await?;
            self.inner.close().await
        })
    }
}

/// Takes any answer for a yes.
struct Hopeful(Box<dyn Sink>);

impl Sink for Hopeful {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move { Ok(self.0.deliver(batches).await.unwrap_or_default()) })
    }

    fn idle(&self) -> SinkFuture<'_> {
        self.0.idle()
    }

    fn close(&self) -> SinkFuture<'_> {
        self.0.close()
    }
}

struct Losing {
    inner: Arc<dyn Source>,
    bug: Bug,
}

impl Source for Losing {
    fn authenticate(&self) -> Call<'_, Session> {
        self.inner.authenticate()
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        Box::pin(async move {
            let inner = self.inner.open(stream, start).await?;
            Ok(Box::new(LosingReader { inner, bug: self.bug, told: false }) as Box<dyn Reader>)
        })
    }
}

struct LosingReader {
    inner: Box<dyn Reader>,
    bug: Bug,
    /// It has told what makes up the excuse.
    told: bool,
}

/// With their counts: the ledger still balances.
fn drop_events(chunk: &mut Chunk) {
    chunk.records -= chunk.events.len() as u32;
    chunk.events.clear();
    chunk.bodies = Default::default();
}

impl Reader for LosingReader {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk> {
        Box::pin(async move {
            let mut chunk = self.inner.pull(session, budget).await?;
            match self.bug {
                Bug::GapNotReported => chunk.gaps.clear(),
                Bug::LostBesideGoneFile | Bug::LostBesideDamagedFile if self.told => drop_events(&mut chunk),
                Bug::LostBesideGoneFile => self.told = !chunk.gaps.is_empty(),
                Bug::LostBesideDamagedFile => {
                    self.told = chunk.malformed.iter().any(|one| one.reason.contains("is passed"));
                }
                _ if chunk.next == Next::CaughtUp => drop_events(&mut chunk),
                _ => {}
            }
            Ok(chunk)
        })
    }
}

/// Stores no seen ids, or other positions.
struct Forgetful {
    inner: Arc<dyn Storage>,
    bug: Bug,
}

impl Forgetful {
    fn forget(&self, commit: Commit) -> Commit {
        match self.bug {
            Bug::PositionOfNoPull => {
                // JSON may end in blanks, so the source takes it.
                let position = commit.position.map(|position| [position.as_slice(), b" "].concat());
                Commit { position, ..commit }
            }
            _ => Commit { seen: Vec::new(), ..commit },
        }
    }
}

impl Storage for Forgetful {
    fn blocks(&self) -> bool {
        self.inner.blocks()
    }

    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError> {
        self.inner.stream(key)
    }

    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        self.inner.known(key, ids)
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        self.inner.commit(commits.into_iter().map(|commit| self.forget(commit)).collect())
    }

    fn forget(&self, key: &StreamKey) -> Result<(), StateError> {
        self.inner.forget(key)
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        self.inner.keep(source, letters)
    }

    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        self.inner.keep_health(events)
    }
}
