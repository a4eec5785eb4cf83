//! What a test does to a simulation from outside of the API.

use crate::fault::{Fault, When};
use crate::kind::Kind;
use crate::simulator::Simulator;
use crate::time::Millis;

/// A tenant, or a stream, of a name that the simulation does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(pub String);

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the simulation has no {}", self.0)
    }
}

impl std::error::Error for Unknown {}

impl Simulator {
    /// Makes a tenant's endpoints misbehave.
    pub fn inject(&mut self, tenant: &str, fault: Fault, when: When) -> Result<(), Unknown> {
        let index = self.known(tenant)?;
        self.tenants[index].faults.inject(fault, when);
        Ok(())
    }

    /// Ends all faults of a tenant. What they planted into files, or took away, stays.
    pub fn clear_faults(&mut self, tenant: &str) -> Result<(), Unknown> {
        let index = self.known(tenant)?;
        self.tenants[index].faults.clear();
        Ok(())
    }

    /// The faults of a tenant, each with how often it showed.
    pub fn fired(&self, tenant: &str) -> Vec<(Fault, u64)> {
        let faults = self.index(tenant).map(|index| &self.tenants[index].faults);
        faults.into_iter().flat_map(|faults| faults.fired()).map(|(fault, count)| (fault.clone(), count)).collect()
    }

    /// Gives a tenant so many more records of a kind that happened at `time_ms`. A client sees them from `visible_from_ms`
    /// on, records of files with the next publication at or after it. Gives back from when on exactly. Held messages that
    /// are put in so stay in the queue for ever.
    ///
    /// For rows that come late, for a burst, for a tenant that is otherwise silent.
    pub fn insert_rows(
        &mut self,
        tenant: &str,
        kind: Kind,
        count: usize,
        time_ms: Millis,
        visible_from_ms: Millis,
        now_ms: Millis,
    ) -> Result<Millis, Unknown> {
        let index = self.known(tenant)?;
        let state = &mut self.tenants[index];
        Ok(match kind {
            Kind::Audit => {
                let visible = visible_from_ms.max(now_ms);
                state.audit.insert(count, time_ms, visible);
                visible
            }
            kind if Kind::LISTS.contains(&kind) => {
                let visible = visible_from_ms.max(now_ms);
                state.rows.insert(kind, count, time_ms, visible);
                visible
            }
            kind => state.publication.insert(kind, count, time_ms, visible_from_ms, now_ms),
        })
    }

    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.tenants.iter().position(|state| state.tenant.name == name)
    }

    fn known(&self, tenant: &str) -> Result<usize, Unknown> {
        self.index(tenant).ok_or_else(|| Unknown(format!("tenant {tenant:?}")))
    }
}
