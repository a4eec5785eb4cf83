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
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

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
pub struct Sessions {
    all: Mutex<HashMap<Key, Session>>,
    /// How often all were ended. Whoever watches hears of each end.
    ended: watch::Sender<u64>,
}

/// A moment, to know by what ended after it.
#[derive(Debug, Clone)]
pub struct Since {
    before: u64,
    ended: watch::Receiver<u64>,
}

struct Session {
    begun: Instant,
    used: Instant,
}

impl Session {
    fn end(&self) -> Instant {
        (self.used + IDLE).min(self.begun + LONGEST)
    }

    fn is_over(&self, now: Instant) -> bool {
        now >= self.end()
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
            self.ended.send_modify(|_| {});
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
        self.ended.send_modify(|_| {});
    }

    pub fn end_all(&self) {
        self.lock().clear();
        self.ended.send_modify(|times| *times += 1);
    }

    /// The moment before who asks is judged.
    pub fn since(&self) -> Since {
        let ended = self.ended.subscribe();
        let before = *ended.borrow();
        Since { before, ended }
    }

    /// Comes back once all were ended after `since`, or this one is over, if it is one: a token has none, and goes with all.
    pub async fn over(&self, session: Option<Key>, mut since: Since) {
        loop {
            if *since.ended.borrow_and_update() != since.before {
                return;
            }
            let end = match session {
                None => None,
                Some(key) => match self.lock().get(&key).map(Session::end) {
                    Some(end) if end > Instant::now() => Some(end),
                    _ => return,
                },
            };
            tokio::select! {
                // The sender is here.
                _ = since.ended.changed() => {}
                // It may have been used since.
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long it takes to look a digest up says nothing of what has it.
fn key(secret: &str) -> Key {
    Key(Sha256::digest(secret).into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::time::{advance, sleep, timeout};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

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
    async fn who_watches_hears_when_what_he_showed_is_over() {
        let sessions = Sessions::default();
        let (one, two) = (sessions.begin().unwrap(), sessions.begin().unwrap());
        let (one, key) = (sessions.find(&one).unwrap(), sessions.find(&two).unwrap());
        let since = sessions.since();
        let goes_on =
            async |session| timeout(Duration::from_secs(1), sessions.over(session, since.clone())).await.is_err();
        assert!(goes_on(None).await && goes_on(Some(one)).await && goes_on(Some(key)).await);
        // How long somebody goes on watching while `end` happens, after a minute.
        let watched = async |session, end: &dyn Fn()| {
            let (begun, watching) = (Instant::now(), sessions.over(session, since.clone()));
            let ending = async {
                sleep(MINUTE).await;
                end();
            };
            tokio::join!(watching, ending);
            begun.elapsed()
        };
        assert_eq!(watched(Some(one), &|| sessions.end(one)).await, MINUTE);
        assert!(goes_on(None).await && !goes_on(Some(one)).await && goes_on(Some(key)).await);
        // Used meanwhile, it lasts longer; and then its time is over.
        let watching = sessions.over(Some(key), since.clone());
        let begun = Instant::now();
        let using = async {
            sleep(IDLE / 2).await;
            assert!(sessions.find(&two).is_some());
        };
        tokio::join!(watching, using);
        assert!(begun.elapsed() >= IDLE + IDLE / 2);
        assert!(!goes_on(Some(key)).await && goes_on(None).await);
        // One too many ends the oldest.
        let three = sessions.find(&sessions.begin().unwrap()).unwrap();
        assert_eq!(watched(Some(three), &|| (0..MOST).for_each(|_| drop(sessions.begin()))).await, MINUTE);
        // Another token ends all, also what began just before it was known.
        let four = sessions.find(&sessions.begin().unwrap()).unwrap();
        assert_eq!(watched(None, &|| sessions.end_all()).await, MINUTE);
        assert!(!goes_on(None).await && !goes_on(Some(four)).await);
        let since = sessions.since();
        assert!(timeout(Duration::from_secs(1), sessions.over(None, since)).await.is_err());
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
