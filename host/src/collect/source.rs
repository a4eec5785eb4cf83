//! What a worker needs of a source: as few calls as possible, so that a test brings its own.

use std::future::Future;
use std::pin::Pin;

use crate::config::Settings;
use crate::sandbox::{Budget, Chunk, Component, Context, Guest, GuestError, Session, Start};

/// A call into a source.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, GuestError>> + Send + 'a>>;

/// A configured source.
pub trait Source: Send + Sync {
    /// Proves the credentials to the vendor.
    fn authenticate(&self) -> Call<'_, Session>;

    /// Opens a stream, in an instance of its own that is gone when the reader is dropped.
    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>>;
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
        Box::pin(async { self.component.instantiate(&self.context).await?.authenticate(self.settings.as_json()).await })
    }

    fn open<'a>(&'a self, stream: &'a str, start: Start) -> Call<'a, Box<dyn Reader>> {
        Box::pin(async move {
            let mut guest = self.component.instantiate(&self.context).await?;
            guest.open(self.settings.as_json(), stream, start).await?;
            Ok(Box::new(guest) as Box<dyn Reader>)
        })
    }
}

impl Reader for Guest {
    fn pull<'a>(&'a mut self, session: &'a Session, budget: Budget) -> Call<'a, Chunk> {
        Box::pin(Guest::pull(self, &session.secret, budget))
    }
}
