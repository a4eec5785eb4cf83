//! Bugs that are planted around the host, so that the simulation shows that it finds such.

use std::collections::VecDeque;
use std::sync::Arc;

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
}

impl Bug {
    pub const ALL: [Bug; 5] = [
        Bug::PositionBeforeAcknowledgement,
        Bug::AcknowledgedInPart,
        Bug::LostLastChunk,
        Bug::SeenDroppedTooEarly,
        Bug::GapNotReported,
    ];

    pub fn around_sink(bug: Option<Bug>, sink: Box<dyn Sink>) -> Box<dyn Sink> {
        match bug {
            Some(Bug::PositionBeforeAcknowledgement) => Box::new(Early { inner: sink, late: VecDeque::new() }),
            Some(Bug::AcknowledgedInPart) => Box::new(Hopeful(sink)),
            _ => sink,
        }
    }

    pub fn around_source(bug: Option<Bug>, source: Arc<dyn Source>) -> Arc<dyn Source> {
        match bug {
            Some(bug @ (Bug::LostLastChunk | Bug::GapNotReported)) => Arc::new(Losing { inner: source, bug }),
            _ => source,
        }
    }

    pub fn around_storage(bug: Option<Bug>, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        match bug {
            Some(Bug::SeenDroppedTooEarly) => Arc::new(Forgetful(storage)),
            _ => storage,
        }
    }
}

/// Says yes at once, and delivers with the next delivery.
struct Early {
    inner: Box<dyn Sink>,
    late: VecDeque<Vec<Arc<Batch>>>,
}

impl Sink for Early {
    fn deliver<'a>(&'a mut self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move {
            self.late.push_back(batches.to_vec());
            if self.late.len() > 1
                && let Some(batches) = self.late.pop_front()
            {
                while self.inner.deliver(&batches).await.is_err() {}
            }
            Ok(Vec::new())
        })
    }

    fn idle(&mut self) -> SinkFuture<'_> {
        Box::pin(async move {
            while let Some(batches) = self.late.pop_front() {
                while self.inner.deliver(&batches).await.is_err() {}
            }
            Ok(())
        })
    }

    fn close(&mut self) -> SinkFuture<'_> {
        Box::pin(async move {
            self.idle().await?;
            self.inner.close().await
        })
    }
}

/// Takes any answer for a yes.
struct Hopeful(Box<dyn Sink>);

impl Sink for Hopeful {
    fn deliver<'a>(&'a mut self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move { Ok(self.0.deliver(batches).await.unwrap_or_default()) })
    }

    fn idle(&mut self) -> SinkFuture<'_> {
        self.0.idle()
    }

    fn close(&mut self) -> SinkFuture<'_> {
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
            Ok(Box::new(LosingReader { inner, bug: self.bug }) as Box<dyn Reader>)
        })
    }
}

struct LosingReader {
    inner: Box<dyn Reader>,
    bug: Bug,
}

impl Reader for LosingReader {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk> {
        Box::pin(async move {
            let mut chunk = self.inner.pull(session, budget).await?;
            match self.bug {
                Bug::GapNotReported => chunk.gaps.clear(),
                // With its counts: the ledger still balances.
                _ if chunk.next == Next::CaughtUp => {
                    chunk.records -= chunk.events.len() as u32;
                    chunk.events.clear();
                    chunk.bodies = Default::default();
                }
                _ => {}
            }
            Ok(chunk)
        })
    }
}

/// Stores no seen ids.
struct Forgetful(Arc<dyn Storage>);

impl Storage for Forgetful {
    fn blocks(&self) -> bool {
        self.0.blocks()
    }

    fn stream(&self, key: &StreamKey) -> Result<StreamState, StateError> {
        self.0.stream(key)
    }

    fn known(&self, key: &StreamKey, ids: &[u128]) -> Result<Vec<bool>, StateError> {
        self.0.known(key, ids)
    }

    fn commit(&self, commits: Vec<Commit>) -> Result<(), StateError> {
        self.0.commit(commits.into_iter().map(|commit| Commit { seen: Vec::new(), ..commit }).collect())
    }

    fn forget(&self, key: &StreamKey) -> Result<(), StateError> {
        self.0.forget(key)
    }

    fn keep(&self, source: &str, letters: &[DeadLetter]) -> Result<(), StateError> {
        self.0.keep(source, letters)
    }

    fn keep_health(&self, events: &[HealthRow]) -> Result<(), StateError> {
        self.0.keep_health(events)
    }
}
