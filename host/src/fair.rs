//! Shares of something scarce, handed out by turns: one to each tenant that waits, then the next to each.
//!
//! Whoever comes first and wants much does not keep the others waiting: a tenant holds no more than its rule allows, and of
//! what comes free each tenant that waits is given one share before any is given two.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How much one tenant may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// At most so much. A tenant that is [slow](Share::slow) holds one share at a time, and all of these together no
    /// more than half: who waits for a vendor that hangs leaves the other half to those whose vendor answers.
    Each(usize),
    /// No more than is left for the others when it is given: one tenant alone gets a half, two get a third each, and
    /// something is always left for the next.
    Left,
}

/// See the module. Its clones hand out the same.
#[derive(Clone)]
pub struct Fair(Arc<Mutex<State>>);

struct State {
    rule: Rule,
    whole: usize,
    free: usize,
    /// Held by tenants that were slow when they were given it.
    slow: usize,
    /// Looked up, never walked through: its order differs from run to run.
    tenants: HashMap<Arc<str>, Tenant>,
    /// Tenants that wait, each once.
    turns: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Tenant {
    held: usize,
    slow: bool,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    amount: usize,
    give: oneshot::Sender<Share>,
}

/// What one tenant holds. Dropped, it is given to the next.
pub struct Share {
    fair: Fair,
    tenant: Arc<str>,
    amount: usize,
    slow: bool,
}

impl Fair {
    pub fn new(whole: usize, rule: Rule) -> Self {
        let (tenants, turns) = (HashMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(State { rule, whole, free: whole, slow: 0, tenants, turns })))
    }

    /// Waits until it is the turn of `tenant`. More than there is at all is never given: ask for less.
    pub async fn take(&self, tenant: &Arc<str>, amount: usize) -> Share {
        let (give, given) = oneshot::channel();
        self.act(|state| {
            let waiting = &mut state.tenants.entry(Arc::clone(tenant)).or_default().waiting;
            waiting.push_back(Waiter { amount, give });
            if waiting.len() == 1 {
                state.turns.push_back(Arc::clone(tenant));
            }
        });
        match given.await {
            Ok(share) => share,
            // The state holds the sender until it gives, and this handle holds the state.
            Err(_) => std::future::pending().await,
        }
    }

    /// What nobody holds.
    pub fn free(&self) -> usize {
        self.lock().free
    }

    /// Changes the state, and serves who waits.
    fn act(&self, change: impl FnOnce(&mut State)) {
        let given = {
            let mut state = self.lock();
            change(&mut state);
            state.serve(self)
        };
        // Without the lock: what nobody takes any more is dropped, and so comes back here.
        for (give, share) in given {
            drop(give.send(share));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn serve(&mut self, fair: &Fair) -> Vec<(oneshot::Sender<Share>, Share)> {
        let (mut given, mut passed) = (Vec::new(), 0);
        while self.free > 0
            && passed < self.turns.len()
            && let Some(name) = self.turns.pop_front()
        {
            let Some(tenant) = self.tenants.get_mut(&name) else { continue };
            while tenant.waiting.pop_front_if(|waiter| waiter.give.is_closed()).is_some() {}
            let Some(amount) = tenant.waiting.front().map(|waiter| waiter.amount) else {
                self.tidy(&name);
                continue;
            };
            if amount > self.free {
                // Or the small ones would always come before the large.
                self.turns.push_front(name);
                break;
            }
            let slow = tenant.slow;
            let fits = match self.rule {
                Rule::Each(_) if slow => tenant.held == 0 && self.slow < (self.whole / 2).max(1),
                Rule::Each(most) => tenant.held + amount <= most,
                Rule::Left => tenant.held == 0 || tenant.held + amount <= self.free - amount,
            };
            if !fits {
                self.turns.push_back(name);
                passed += 1;
                continue;
            }
            let Some(waiter) = tenant.waiting.pop_front() else { continue };
            tenant.held += amount;
            self.free -= amount;
            self.slow += if slow { amount } else { 0 };
            passed = 0;
            given.push((waiter.give, Share { fair: fair.clone(), tenant: Arc::clone(&name), amount, slow }));
            if !tenant.waiting.is_empty() {
                self.turns.push_back(name);
            }
        }
        given
    }

    /// Forgets a tenant of which there is nothing to know.
    fn tidy(&mut self, name: &Arc<str>) {
        if self.tenants.get(name).is_some_and(|known| known.held == 0 && known.waiting.is_empty() && !known.slow) {
            self.tenants.remove(name);
        }
    }
}

impl Share {
    /// Whether somebody waits for it: another stream of the tenant, which may hold no more, or another tenant.
    pub fn is_wanted(&self) -> bool {
        let state = self.fair.lock();
        let own = state.tenants.get(&self.tenant).is_some_and(|tenant| !tenant.waiting.is_empty());
        own || (state.free == 0 && !state.turns.is_empty())
    }

    /// Says whether its tenant keeps it for long without using it.
    pub fn slow(&self, slow: bool) {
        // Nobody is served sooner by it until something comes back.
        if let Some(tenant) = self.fair.lock().tenants.get_mut(&self.tenant) {
            tenant.slow = slow;
        }
    }

    pub fn amount(&self) -> usize {
        self.amount
    }

    /// Gives back all but `amount`, or takes of what it lacks as much as is free, without waiting: whatever it stands for is
    /// there already.
    pub fn fit(&mut self, amount: usize) {
        let back = self.amount.saturating_sub(amount);
        if back > 0 {
            self.amount -= back;
            self.give_back(back);
        } else if amount > self.amount {
            let mut state = self.fair.lock();
            let more = (amount - self.amount).min(state.free);
            state.free -= more;
            state.slow += if self.slow { more } else { 0 };
            if let Some(tenant) = state.tenants.get_mut(&self.tenant) {
                tenant.held += more;
            }
            self.amount += more;
        }
    }

    fn give_back(&self, amount: usize) {
        self.fair.act(|state| {
            state.free += amount;
            state.slow -= if self.slow { amount } else { 0 };
            if let Some(tenant) = state.tenants.get_mut(&self.tenant) {
                tenant.held -= amount;
            }
            state.tidy(&self.tenant);
        });
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.amount);
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share").field("tenant", &self.tenant).field("amount", &self.amount).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn given(fair: &Fair, tenant: &str, amount: usize) -> Option<Share> {
        timeout(Duration::from_secs(1), fair.take(&tenant.into(), amount)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_free_goes_round_and_not_to_who_asked_first() {
        let fair = Fair::new(2, Rule::Each(2));
        let held = [given(&fair, "hog", 1).await.unwrap(), given(&fair, "hog", 1).await.unwrap()];
        assert!(!held[0].is_wanted());
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        for tenant in ["hog", "hog", "hog", "one", "two", "one"] {
            let (fair, sender) = (fair.clone(), sender.clone());
            tokio::spawn(async move {
                let share = fair.take(&tenant.into(), 1).await;
                sender.send(tenant).unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(share);
            });
            tokio::task::yield_now().await;
        }
        assert!(held[0].is_wanted());
        drop((held, sender));
        let mut came = Vec::new();
        while let Some(tenant) = order.recv().await {
            came.push(tenant);
        }
        assert_eq!(came, ["hog", "one", "two", "hog", "one", "hog"]);
        assert_eq!((fair.free(), fair.lock().tenants.len()), (2, 0), "nothing is left over");
    }

    #[tokio::test(start_paused = true)]
    async fn one_tenant_holds_no_more_than_its_own() {
        let fair = Fair::new(10, Rule::Each(3));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(given(&fair, "hog", 1).await.unwrap());
        }
        assert!(given(&fair, "hog", 1).await.is_none());
        assert!(given(&fair, "other", 1).await.is_some());
        held.pop();
        assert!(given(&fair, "hog", 1).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_vendor_that_hangs_leaves_half_to_others() {
        let fair = Fair::new(8, Rule::Each(4));
        let names: Vec<String> = (0..6).map(|number| format!("hangs-{number}")).collect();
        for name in &names {
            given(&fair, name, 1).await.unwrap().slow(true);
        }
        let mut held = Vec::new();
        for name in &names {
            held.extend(given(&fair, name, 1).await);
        }
        assert_eq!(held.len(), 4, "half of all");
        assert!(given(&fair, &names[0], 1).await.is_none(), "and one each");
        for _ in 0..4 {
            held.push(given(&fair, "healthy", 1).await.unwrap());
        }
        held[0].slow(false);
        held.pop();
        assert!(given(&fair, &names[0], 1).await.is_some(), "who is fast again has the rights of the others");
    }

    #[tokio::test(start_paused = true)]
    async fn something_is_left_for_the_next() {
        let fair = Fair::new(1_000, Rule::Left);
        let mut held = Vec::new();
        for (tenant, most) in [("a", 50), ("b", 25), ("c", 12)] {
            let mut count = 0;
            while let Some(share) = given(&fair, tenant, 10).await {
                held.push(share);
                count += 1;
            }
            assert!(count <= most && count * 10 + 10 > most * 10 / 2, "{tenant}: {count}");
        }
        assert!(fair.free() >= 120, "{}", fair.free());
        // Whoever has nothing may have it all, if it is there.
        let all = Fair::new(1_000, Rule::Left);
        let mut share = given(&all, "a", 1_000).await.unwrap();
        assert!(given(&all, "b", 1).await.is_none());
        share.fit(400);
        assert_eq!((share.amount(), all.free()), (400, 600));
        assert!(given(&all, "b", 1).await.is_some());
        drop(share);
        assert_eq!(all.free(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_holds_nobody_up() {
        let fair = Fair::new(1, Rule::Each(1));
        let held = given(&fair, "a", 1).await.unwrap();
        assert!(given(&fair, "b", 1).await.is_none() && given(&fair, "c", 1).await.is_none());
        drop(held);
        assert!(given(&fair, "d", 1).await.is_some());
        assert_eq!(fair.free(), 1);
    }
}
