//! Places for connections. Whoever has proved nothing has one only as long as nobody else needs it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// So many connections at once. A newcomer to a full house takes the place of the one that has proved nothing for longest:
/// a stranger cannot keep others out, however many connections he opens and however slowly he speaks.
pub struct Places {
    free: Arc<Semaphore>,
    strangers: Arc<Strangers>,
}

/// Who has proved nothing yet, in the order of their coming.
#[derive(Default)]
struct Strangers(Mutex<VecDeque<Arc<Notify>>>);

/// The place of one connection. It is free again when this is dropped.
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    strangers: Arc<Strangers>,
    /// Told when the connection is to go.
    out: Arc<Notify>,
}

impl Places {
    pub fn new(places: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(places)), strangers: Arc::default() }
    }

    /// A place for a stranger. Where all are taken by those who have proved who they are, it waits.
    pub async fn take(&self) -> Place {
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => {
                if let Some(oldest) = self.strangers.lock().pop_front() {
                    oldest.notify_one();
                }
                // The semaphore is never closed.
                Arc::clone(&self.free).acquire_owned().await.ok()
            }
        };
        let (strangers, out) = (Arc::clone(&self.strangers), Arc::<Notify>::default());
        strangers.lock().push_back(Arc::clone(&out));
        Place { _permit: permit, strangers, out }
    }
}

impl Place {
    /// Comes back when another needs the place.
    pub async fn is_needed(&self) {
        self.out.notified().await;
    }

    /// Its connection has proved who is there: it keeps the place.
    pub fn keep(&self) {
        self.strangers.lock().retain(|other| !Arc::ptr_eq(other, &self.out));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep();
    }
}

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn the_oldest_stranger_makes_room_and_nobody_else() {
        let places = Arc::new(Places::new(3));
        let (known, first, second) = (places.take().await, places.take().await, places.take().await);
        known.keep();
        let newcomer = {
            let places = Arc::clone(&places);
            tokio::spawn(async move { places.take().await })
        };
        timeout(MOMENT, first.is_needed()).await.expect("it came first");
        assert!(timeout(MOMENT, known.is_needed()).await.is_err());
        assert!(timeout(MOMENT, second.is_needed()).await.is_err());
        assert!(!newcomer.is_finished(), "there are no more places than that");
        drop(first);
        let third = newcomer.await.unwrap();
        // Nobody is sent away while there is room.
        drop(third);
        let third = places.take().await;
        assert!(timeout(MOMENT, second.is_needed()).await.is_err());
        // Where all are known, the next one waits.
        second.keep();
        third.keep();
        assert!(timeout(MOMENT, places.take()).await.is_err());
        for place in [&known, &second, &third] {
            assert!(timeout(MOMENT, place.is_needed()).await.is_err());
        }
        drop(known);
        assert!(timeout(MOMENT, places.take()).await.is_ok());
    }
}
