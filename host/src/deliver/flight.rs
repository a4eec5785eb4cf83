//! What is between pull and acknowledgement: bytes, which are bounded, and ids, which are known already.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::EventId;
use crate::fair::{Fair, Rule, Share};

/// What a chunk costs beside its bytes: so that empty ones, of which nothing else bounds the number, count too.
const CHUNK_OVERHEAD: usize = 1 << 10;

/// Bytes, counted for the stream and for the host, which gives them to tenants by turns.
#[derive(Clone)]
pub struct Memory {
    tenant: Arc<str>,
    stream: Arc<Semaphore>,
    host: Fair,
    /// What can be reserved at once.
    most: u32,
}

/// Room for one chunk.
#[derive(Debug)]
pub struct Room {
    stream: OwnedSemaphorePermit,
    host: Share,
}

/// What counts the bytes of the whole host: whoever has a backlog leaves as much as it takes.
pub fn host_memory(bytes: usize) -> Fair {
    Fair::new(bytes, Rule::Left)
}

impl Memory {
    pub fn new(tenant: &Arc<str>, stream_bytes: usize, host: Fair, host_bytes: usize) -> Self {
        let most = stream_bytes.min(host_bytes).min(u32::MAX as usize) as u32;
        let stream = Arc::new(Semaphore::new(stream_bytes.min(Semaphore::MAX_PERMITS)));
        Self { tenant: Arc::clone(tenant), stream, host, most }
    }

    /// Waits for room for a chunk of `bytes`; less, if there is never that much.
    pub async fn reserve(&self, bytes: u32) -> Option<Room> {
        let bytes = bytes.min(self.most);
        // The semaphore is never closed.
        let stream = Arc::clone(&self.stream).acquire_many_owned(bytes).await.ok()?;
        let host = self.host.take(&self.tenant, bytes as usize).await;
        Some(Room { stream, host })
    }
}

impl Room {
    /// Gives back what a chunk of `bytes` does not need. For what a chunk exceeds its budget by there is no room to wait, as it
    /// is here already: as much as is free is taken, so that others wait instead.
    pub fn fit(&mut self, bytes: usize) {
        let bytes = bytes + CHUNK_OVERHEAD;
        let excess = self.stream.num_permits().saturating_sub(bytes);
        drop(self.stream.split(excess));
        let all = Arc::clone(self.stream.semaphore());
        let missing = bytes.saturating_sub(self.stream.num_permits()).min(all.available_permits());
        if let Ok(more) = all.try_acquire_many_owned(u32::try_from(missing).unwrap_or(u32::MAX)) {
            self.stream.merge(more);
        }
        self.host.fit(bytes);
    }

    /// Takes room for so many bytes more, as far as there is any.
    pub fn grow(&mut self, bytes: usize) {
        self.fit(self.stream.num_permits().saturating_sub(CHUNK_OVERHEAD) + bytes);
    }
}

/// The ids of one stream's events that are on their way.
#[derive(Debug, Clone, Default)]
pub struct Ids(Arc<Mutex<HashSet<EventId>>>);

/// Ids that are on their way until this is dropped.
#[derive(Debug)]
pub struct Flight {
    ids: Vec<EventId>,
    set: Ids,
}

impl Ids {
    /// Whether `id` is on its way.
    pub fn contains(&self, id: EventId) -> bool {
        self.lock().contains(&id)
    }

    /// Notes `ids`, of which none is on its way yet.
    pub fn depart(&self, ids: Vec<EventId>) -> Flight {
        self.lock().extend(&ids);
        Flight { ids, set: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<EventId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut set = self.set.lock();
        for id in &self.ids {
            set.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_stream_waits_and_its_neighbour_does_not() {
        let host = host_memory(100 << 10);
        let memory = |tenant: &str, bytes| Memory::new(&tenant.into(), bytes, host.clone(), 100 << 10);
        let (full, other) = (memory("full", 8 << 10), memory("other", 8 << 10));
        let mut room = full.reserve(8 << 10).await.unwrap();
        let wait = |memory: &Memory| {
            let memory = memory.clone();
            async move { tokio::time::timeout(Duration::from_secs(1), memory.reserve(4 << 10)).await.is_ok() }
        };
        assert!(!wait(&full).await);
        assert!(wait(&other).await);
        room.fit(1 << 10);
        assert!(wait(&full).await);
        // What is never there is not waited for.
        drop(room);
        assert!(full.reserve(u32::MAX).await.is_some());
        assert_eq!(host.free(), 100 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_exceeds_its_room_takes_what_is_free() {
        let host = host_memory(100 << 10);
        let memory = Memory::new(&"acme".into(), 32 << 10, host.clone(), 100 << 10);
        let mut room = memory.reserve(4 << 10).await.unwrap();
        room.fit(60 << 10);
        assert_eq!((memory.stream.available_permits(), host.free()), (0, 39 << 10));
        room.fit(10 << 10);
        room.grow(5 << 10);
        assert_eq!(
            (memory.stream.available_permits(), host.free()),
            (16 << 10, 84 << 10),
            "of what it has, none is given back"
        );
        room.fit(200 << 10);
        assert_eq!(host.free(), 0);
        drop(room);
        assert_eq!((memory.stream.available_permits(), host.free()), (32 << 10, 100 << 10));
    }

    #[test]
    fn ids_are_on_their_way_until_the_flight_ends() {
        let ids = Ids::default();
        let flight = ids.depart(vec![1, 2]);
        assert!(ids.contains(1) && !ids.contains(3));
        drop(flight);
        assert!(!ids.contains(1));
    }
}
