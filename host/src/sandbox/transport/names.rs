//! From a host's name to the addresses to connect to. A name is resolved once for a connection, and the connection goes to
//! an address that was judged: a second answer, which could be another one, is never asked for.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::lookup::look_up;
use crate::sandbox::egress::address::Host;
use crate::sandbox::{Egress, EgressMode, Notes, Refusal};

/// Where names are resolved: the system's resolver, except in tests.
pub trait Names: Send + Sync {
    fn resolve(&self, name: &str) -> Resolving;
}

/// The addresses of a name, to come.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The system's resolver.
pub(super) struct System;

impl Names for System {
    fn resolve(&self, name: &str) -> Resolving {
        let name = name.to_owned();
        Box::pin(async move {
            let found = look_up(&name).await?;
            Ok(found.into_iter().map(|address| address.ip()).collect())
        })
    }
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResolveError {
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    Refused(Refusal),
}

/// Resolves, and drops the addresses that may not be reached.
#[derive(Clone)]
pub(super) struct Resolver {
    pub names: Arc<dyn Names>,
    /// `None` for the way to a proxy, which the operator has named.
    pub judge: Option<Judge>,
}

/// Who says which addresses may be reached.
#[derive(Clone)]
pub(super) struct Judge {
    pub source: Arc<str>,
    pub egress: Arc<Egress>,
    pub notes: Arc<Notes>,
}

impl Judge {
    /// The addresses that may be reached.
    fn permitted(&self, name: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, ResolveError> {
        let mut refused = None;
        let mut permitted = Vec::new();
        for address in found {
            match self.egress.judge_address(name, address) {
                Ok(()) => permitted.push(address),
                Err(refusal) => {
                    if self.egress.mode() == EgressMode::Report {
                        permitted.push(address);
                    }
                    refused.get_or_insert(refusal);
                }
            }
        }
        let Some(refusal) = refused else { return Ok(permitted) };
        if permitted.is_empty() || self.egress.mode() == EgressMode::Report {
            self.notes.refused(&self.source, &refusal, self.egress.mode());
        } else {
            tracing::debug!(source = %self.source, "another of its addresses is used: {refusal}");
        }
        if permitted.is_empty() { Err(ResolveError::Refused(refusal)) } else { Ok(permitted) }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { names, judge } = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let found = match Host::parse(name) {
                // Spelled so that the connector took it for a name.
                Some(Host::Address(address)) => vec![address],
                _ => names.resolve(name).await.map_err(|error| ResolveError::NotFound(format!("{name}: {error}")))?,
            };
            if found.is_empty() {
                return Err(ResolveError::NotFound(format!("{name} has no address")));
            }
            let permitted = match judge {
                Some(judge) => judge.permitted(name, found)?,
                None => found,
            };
            // The connector adds the port.
            let addresses: Vec<_> = permitted.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(addresses.into_iter())
        })
    }
}
