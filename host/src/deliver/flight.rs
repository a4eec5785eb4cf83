//! What is between pull and acknowledgement: bytes, which are bounded, and ids, which are known already.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::EventId;

/// What a chunk costs beside its bytes: so that empty ones, of which nothing else bounds the number, count too.
const CHUNK_OVERHEAD: usize = 1 << 10;

/// Bytes, counted by two semaphores: the stream's and the host's.
#[derive(Clone)]
pub struct Memory {
    stream: Arc<Semaphore>,
    host: Arc<Semaphore>,
    /// What can be reserved at once.
    most: u32,
}

/// Room for one chunk.
#[derive(Debug)]
pub struct Room {
    stream: OwnedSemaphorePermit,
    host: OwnedSemaphorePermit,
}

/// A semaphore that counts the bytes of the whole host.
pub fn host_memory(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)))
}

impl Memory {
    pub fn new(stream_bytes: usize, host: Arc<Semaphore>, host_bytes: usize) -> Self {
        let most = stream_bytes.min(host_bytes).min(u32::MAX as usize) as u32;
        Self { stream: host_memory(stream_bytes), host, most }
    }

    /// Waits for room for a chunk of `bytes`; less, if there is never that much.
    pub async fn reserve(&self, bytes: u32) -> Option<Room> {
        let bytes = bytes.min(self.most);
        // The semaphores are never closed.
        let stream = Arc::clone(&self.stream).acquire_many_owned(bytes).await.ok()?;
        let host = Arc::clone(&self.host).acquire_many_owned(bytes).await.ok()?;
        Some(Room { stream, host })
    }
}

impl Room {
    /// Gives back what a chunk of `bytes` does not need. For what a chunk exceeds its budget by there is no room to wait, as it
    /// is here already: as much as is free is taken, so that others wait instead.
    pub fn fit(&mut self, bytes: usize) {
        let bytes = bytes + CHUNK_OVERHEAD;
        for permit in [&mut self.stream, &mut self.host] {
            let excess = permit.num_permits().saturating_sub(bytes);
            drop(permit.split(excess));
            let all = Arc::clone(permit.semaphore());
            let missing = bytes.saturating_sub(permit.num_permits()).min(all.available_permits());
            if let Ok(more) = all.try_acquire_many_owned(u32::try_from(missing).unwrap_or(u32::MAX)) {
                permit.merge(more);
            }
        }
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
        let memory = |bytes| Memory::new(bytes, Arc::clone(&host), 100 << 10);
        let (full, other) = (memory(8 << 10), memory(8 << 10));
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
        assert_eq!(host.available_permits(), 100 << 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_exceeds_its_room_takes_what_is_free() {
        let host = host_memory(100 << 10);
        let memory = Memory::new(32 << 10, Arc::clone(&host), 100 << 10);
        let mut room = memory.reserve(4 << 10).await.unwrap();
        room.fit(60 << 10);
        assert_eq!((memory.stream.available_permits(), host.available_permits()), (0, 39 << 10));
        room.fit(200 << 10);
        assert_eq!(host.available_permits(), 0);
        drop(room);
        assert_eq!((memory.stream.available_permits(), host.available_permits()), (32 << 10, 100 << 10));
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
