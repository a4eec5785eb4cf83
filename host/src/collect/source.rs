//! What a worker needs of a source: as few calls as possible, so that a test brings its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::config::Settings;
use crate::sandbox::{
    Budget, Chunk, Component, Context, FaultClass, Guest, GuestError, GuestUsage, NetworkCounts, Session, Start,
    TransportError,
};

/// A call into a source.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, GuestError>> + Send + 'a>>;

/// A configured source.
pub trait Source: Send + Sync {
    /// Proves the credentials to the vendor.
    fn authenticate(&self) -> Call<'_, Session>;

    /// Opens a stream, in an instance of its own that is gone when the reader is dropped.
    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>>;

    /// The names of its kinds of events, in the order of their indices.
    fn kinds(&self) -> Arc<[String]> {
        Arc::default()
    }

    /// What it did on the network, where that is counted.
    fn network(&self) -> Option<NetworkCounts> {
        None
    }

    /// What its instances used, where that is counted.
    fn usage(&self) -> Option<GuestUsage> {
        None
    }

    /// Why the network last failed it, where that is noted.
    fn transport_error(&self) -> Option<String> {
        None
    }
}

/// One stream, being read.
pub trait Reader: Send {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk>;
}

/// A component, with one source's configuration and its way to the network.
pub struct ComponentSource {
    pub component: Component,
    pub context: Context,
    pub settings: Settings,
}

impl Source for ComponentSource {
    fn authenticate(&self) -> Call<'_, Session> {
        Box::pin(async {
            let mut guest = self.component.instantiate(&self.context).await?;
            let session = guest.authenticate(self.settings.as_json()).await;
            session.map_err(|error| explained(error, guest.transport_error()))
        })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        Box::pin(async move {
            let mut guest = self.component.instantiate(&self.context).await?;
            guest.open(self.settings.as_json(), stream, start).await?;
            Ok(Box::new(guest) as Box<dyn Reader>)
        })
    }

    fn kinds(&self) -> Arc<[String]> {
        Arc::clone(self.component.kinds())
    }

    fn network(&self) -> Option<NetworkCounts> {
        Some(self.context.notes.counts())
    }

    fn usage(&self) -> Option<GuestUsage> {
        Some(self.context.notes.usage())
    }

    fn transport_error(&self) -> Option<String> {
        self.context.notes.transport_error()
    }
}

impl Reader for Guest {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk> {
        Box::pin(async move {
            let chunk = Guest::pull(self, &session.secret, budget).await;
            chunk.map_err(|error| explained(error, self.transport_error()))
        })
    }
}

/// A guest knows no more of the network than that a request failed; the host knows why, and which setting would help.
fn explained(error: GuestError, transport: Option<TransportError>) -> GuestError {
    let (GuestError::Fault(mut fault), Some(transport)) = (error.clone(), transport) else { return error };
    // An HTTP status is the vendor's own word, and so are the classes left out here.
    let of_network = matches!(fault.class, FaultClass::Configuration | FaultClass::Unavailable);
    if fault.status.is_some() || !of_network {
        return error;
    }
    fault.message = format!("{}: {transport}", fault.message.trim_end_matches('.'));
    fault.hint = transport.hint().or(fault.hint);
    GuestError::Fault(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Fault;

    #[test]
    fn the_network_explains_what_is_its_own_doing() {
        let fault = |class, status| {
            GuestError::from(Fault { class, code: "c".into(), message: "It failed".into(), hint: None, status })
        };
        let certificate =
            || Some(TransportError::Certificate { reason: "unknown issuer".into(), hint: "See tls.ca_file" });
        let GuestError::Fault(told) = explained(fault(FaultClass::Unavailable, None), certificate()) else { panic!() };
        assert!(told.message.contains("unknown issuer"), "{}", told.message);
        assert_eq!(told.hint.as_deref(), Some("See tls.ca_file"));
        for (class, status) in
            [(FaultClass::Unavailable, Some(503)), (FaultClass::Credentials, None), (FaultClass::Protocol, None)]
        {
            assert_eq!(explained(fault(class, status), certificate()), fault(class, status));
        }
        assert_eq!(explained(fault(FaultClass::Unavailable, None), None), fault(FaultClass::Unavailable, None));
    }
}
