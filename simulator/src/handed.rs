//! The secrets that went over the wire: what a test looks for where it must not be.

use std::collections::VecDeque;

use crate::simulator::Simulator;

/// So many of all tenants together are kept.
const LIMIT: usize = 20_000;

/// The last secrets, each with its tenant, oldest first.
#[derive(Default)]
pub(crate) struct Handed(VecDeque<(usize, String)>);

/// Counts only: a secret never appears in debug output.
impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handed").field(&self.0.len()).finish()
    }
}

impl Handed {
    pub fn note(&mut self, tenant: usize, secret: &str) {
        if self.0.len() >= LIMIT {
            self.0.pop_front();
        }
        self.0.push_back((tenant, secret.to_owned()));
    }
}

impl Simulator {
    /// The secrets that went over the wire for a tenant, oldest first: access tokens that were given out, whether they still
    /// count or not, the signatures of URLs that were listed, and those of requests that were accepted. Of all tenants
    /// together the last 20,000.
    pub fn handed(&self, tenant: &str) -> Vec<String> {
        let index = self.index(tenant);
        let own = self.handed.0.iter().filter(|(owner, _)| Some(*owner) == index);
        own.map(|(_, secret)| secret.clone()).collect()
    }
}
