//! The sessions of the page: what a browser shows after somebody has signed in with the token.
//!
//! A session is 256 random bits, which only its browser has: here is no more than a digest of them. All are forgotten when
//! the host ends.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// A session that is not used for so long is over, and so is one that began so long ago.
const IDLE: Duration = Duration::from_secs(12 * 3_600);
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// Sessions at once. One more ends the one that was used least of late.
const MOST: usize = 256;

/// Which session it is. It is no secret: no cookie can be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// See the module.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<Key, Session>>);

struct Session {
    begun: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) >= IDLE || now.duration_since(self.begun) >= LONGEST
    }
}

impl Sessions {
    /// Begins a session, and gives what its browser is to show. `None` if the system has no random bits.
    pub fn begin(&self) -> Option<String> {
        let mut bits = [0; 32];
        SystemRandom::new().fill(&mut bits).ok()?;
        let secret = bits.iter().fold(String::with_capacity(64), |mut text, byte| {
            // A string takes all that it is given.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let now = Instant::now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| !session.is_over(now));
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            oldest.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(key(&secret), Session { begun: now, used: now });
        Some(secret)
    }

    /// Which session a browser shows, if it is one. It is used now.
    pub fn find(&self, secret: &str) -> Option<Key> {
        let (key, now) = (key(secret), Instant::now());
        let mut sessions = self.lock();
        let session = sessions.get_mut(&key)?;
        if session.is_over(now) {
            sessions.remove(&key);
            return None;
        }
        session.used = now;
        Some(key)
    }

    pub fn end(&self, key: Key) {
        self.lock().remove(&key);
    }

    pub fn end_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long it takes to look a digest up says nothing of what has it.
fn key(secret: &str) -> Key {
    Key(Sha256::digest(secret).into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_lasts_while_it_is_used_and_not_for_ever() {
        let sessions = Sessions::default();
        let secret = sessions.begin().unwrap();
        assert_eq!(secret.len(), 64);
        assert!(sessions.find(&secret).is_some() && sessions.find("").is_none());
        assert!(sessions.find(&secret.to_uppercase()).is_none());
        for _ in 0..14 {
            advance(IDLE - Duration::from_secs(1)).await;
            assert!(sessions.find(&secret).is_some());
        }
        advance(Duration::from_secs(60)).await;
        assert!(sessions.find(&secret).is_none(), "it is older than a week");
        let secret = sessions.begin().unwrap();
        advance(IDLE).await;
        assert!(sessions.find(&secret).is_none() && sessions.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_signs_out_leaves_others_signed_in() {
        let sessions = Sessions::default();
        let (one, two) = (sessions.begin().unwrap(), sessions.begin().unwrap());
        sessions.end(sessions.find(&one).unwrap());
        assert!(sessions.find(&one).is_none() && sessions.find(&two).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_at_most_and_no_two_alike() {
        let sessions = Sessions::default();
        let first = sessions.begin().unwrap();
        advance(Duration::from_secs(1)).await;
        let more: HashSet<String> = (1..MOST).map(|_| sessions.begin().unwrap()).collect();
        assert_eq!(more.len(), MOST - 1);
        advance(Duration::from_secs(1)).await;
        assert!(sessions.find(&first).is_some());
        advance(Duration::from_secs(1)).await;
        sessions.begin().unwrap();
        // One of those that nobody used since went.
        assert!(sessions.find(&first).is_some() && sessions.lock().len() == MOST);
        assert_eq!(more.iter().filter(|secret| sessions.find(secret).is_none()).count(), 1);
    }
}
