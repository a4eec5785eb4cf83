//! Places for connections. Whoever has proved nothing has one only as long as nobody else needs it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// So many connections at once. A newcomer to a full house takes the place of the one that has proved nothing for longest:
/// connections that lie idle, or speak slowly, keep nobody out. Whoever opens new ones faster than others can say who they
/// are still does: each of his makes one of theirs go. Only what stands in front of the host can hold him off.
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
    /// It stays, whatever it was told.
    known: AtomicBool,
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
                self.strangers.send_away();
                // The semaphore is never closed.
                Arc::clone(&self.free).acquire_owned().await.ok()
            }
        };
        let (strangers, out) = (Arc::clone(&self.strangers), Arc::<Notify>::default());
        strangers.lock().push_back(Arc::clone(&out));
        Place { _permit: permit, strangers, out, known: AtomicBool::new(false) }
    }
}

impl Place {
    /// Comes back when another needs the place.
    pub async fn is_needed(&self) {
        self.out.notified().await;
        if self.known.load(Ordering::SeqCst) {
            // Another has gone instead.
            std::future::pending::<()>().await;
        }
    }

    /// Its connection has proved who is there: it keeps the place. If it was to go at this very moment, the next one is.
    pub fn keep(&self) {
        if !self.known.swap(true, Ordering::SeqCst) && !self.strangers.forget(&self.out) {
            self.strangers.send_away();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.strangers.forget(&self.out);
    }
}

impl Strangers {
    /// Tells the one that came first to go, if there is one.
    fn send_away(&self) {
        let oldest = self.lock().pop_front();
        if let Some(oldest) = oldest {
            oldest.notify_one();
        }
    }

    /// False, if it was told to go, or is none of them any more.
    fn forget(&self, stranger: &Arc<Notify>) -> bool {
        let mut strangers = self.lock();
        let before = strangers.len();
        strangers.retain(|other| !Arc::ptr_eq(other, stranger));
        strangers.len() < before
    }

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

    #[tokio::test(start_paused = true)]
    async fn who_proves_himself_while_he_is_to_go_stays_and_the_next_one_goes() {
        let places = Arc::new(Places::new(3));
        let (first, second, third) = (places.take().await, places.take().await, places.take().await);
        let newcomer = {
            let places = Arc::clone(&places);
            tokio::spawn(async move { places.take().await })
        };
        tokio::task::yield_now().await;
        // It has been told to go, and has not heard it yet.
        first.keep();
        first.keep();
        assert!(timeout(MOMENT, first.is_needed()).await.is_err());
        timeout(MOMENT, second.is_needed()).await.expect("it is the next one");
        assert!(timeout(MOMENT, third.is_needed()).await.is_err(), "one place is wanted, not more");
        assert!(!newcomer.is_finished());
        drop(second);
        let newcomer = newcomer.await.unwrap();
        assert!(timeout(MOMENT, newcomer.is_needed()).await.is_err());
        // Who has gone as he was told sends nobody else away.
        assert!(timeout(MOMENT, places.take()).await.is_err());
        drop(third);
        assert!(timeout(MOMENT, newcomer.is_needed()).await.is_err());
    }
}
