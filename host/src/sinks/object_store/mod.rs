//! Events as objects of NDJSON, compressed, in S3, Google Cloud Storage, Azure Blob Storage or a local folder.
//!
//! An object's key ends in a hash of the sink's id and those of the events inside, and it is created only if there is none of
//! that key. So if there is one, the same events are in it, as the same sink has made them: that delivery was stored before,
//! though its answer was lost. A store must refuse to replace (`If-None-Match: *`); one that ignores that replaces an object by one with the same events.
//! After a crash the same events may come in other company, and are then in two objects.

mod client;
mod key;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use self::client::Noted;
use super::http::Payload;
use super::{Answer, Concurrency, DeliverFuture, Sink, SinkError, SinkFuture, Terms, encode};
use crate::config::{Compression, ObjectStoreOptions};
use crate::deliver::{Batch, Head, Origin};
use crate::outside::Outside;
use crate::template::alike;

/// Objects of different streams go up beside each other.
const AT_ONCE: usize = 8;

/// See the module.
pub struct Objects {
    /// The sink's.
    id: Box<str>,
    store: Arc<dyn ObjectStore>,
    options: ObjectStoreOptions,
}

/// The events of one object, with where each stands in the delivery.
#[derive(Default)]
struct Group {
    batches: Vec<Arc<Batch>>,
    places: Vec<(usize, usize)>,
}

impl Objects {
    /// `id` is the sink's.
    ///
    /// # Errors
    /// When the store cannot be used as the options say.
    pub fn new(id: &str, options: &ObjectStoreOptions, outside: &Outside) -> Result<Self, SinkError> {
        Ok(Self { id: id.into(), store: store::open(id, options, outside)?, options: options.clone() })
    }

    fn prefix(&self, origin: &Origin, event: &Head) -> String {
        key::prefix(&self.options.key_prefix, origin, event)
    }

    /// The events by the prefixes of their keys. Health events come for several at once.
    fn groups(&self, batches: &[Arc<Batch>]) -> BTreeMap<String, Group> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (number, batch) in batches.iter().enumerate() {
            let mut of_batch: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            let mut index = 0;
            for run in batch.events.chunk_by(alike) {
                let prefix = self.prefix(&batch.origin, &run[0]);
                of_batch.entry(prefix).or_default().extend(index..index + run.len());
                index += run.len();
            }
            for (prefix, indices) in of_batch {
                let group = groups.entry(prefix).or_default();
                group.batches.push(match indices.len() == batch.events.len() {
                    true => Arc::clone(batch),
                    false => Arc::new(batch.with(indices.iter().map(|index| batch.events[*index].clone()).collect())),
                });
                group.places.extend(indices.into_iter().map(|index| (number, index)));
            }
        }
        groups
    }

    /// Whether the events were there before.
    async fn put(&self, prefix: &str, batches: Vec<Arc<Batch>>) -> Result<bool, SinkError> {
        let compression = self.options.compression;
        let key = format!(
            "{}{prefix}{}.ndjson{}",
            self.options.folder,
            key::hash(&self.id, batches.iter().flat_map(|batch| batch.events.iter().map(|event| event.id))),
            encode::extension(compression)
        );
        let path = Path::parse(&key).map_err(|error| {
            SinkError::new(format!("`{}` is no key: {error}", key.escape_debug()))
                .hint("Change the sink's `key_prefix`")
        })?;
        let payload: PutPayload = match compression {
            Compression::None => Payload::lines(&batches).into_pieces().collect(),
            _ => match tokio::task::spawn_blocking(move || encode::encode(compression, &batches)).await {
                Ok(Ok(pieces)) => pieces.into_iter().collect(),
                Ok(Err(error)) => return Err(SinkError::new(format!("the events could not be compressed: {error}"))),
                Err(error) => return Err(SinkError::new(format!("the sink broke off: {error}"))),
            },
        };
        let noted = Noted::default();
        let put = self.store.put_opts(&path, payload, PutMode::Create.into());
        match noted.scope(put).await {
            Ok(_) => Ok(false),
            Err(object_store::Error::AlreadyExists { .. }) if noted.exists() => Ok(true),
            Err(error) => Err(store::fault(&self.options.store, &error, &noted)),
        }
    }
}

impl Sink for Objects {
    fn terms(&self) -> Terms {
        let batch = self.options.batch;
        Terms {
            max_bytes: batch.max_bytes,
            max_events: batch.max_events,
            overhead: 0,
            max_age: batch.max_age,
            concurrency: Concurrency::Fixed(AT_ONCE),
            groups: true,
        }
    }

    fn group(&self, origin: &Origin, event: &Head) -> Option<Box<str>> {
        Some(self.prefix(origin, event).into())
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(async move {
            let groups = self.groups(batches);
            let alone = groups.len() == 1;
            let mut answers = Vec::new();
            for (prefix, Group { batches, places }) in groups {
                match self.put(&prefix, batches).await {
                    Ok(false) => {}
                    Ok(true) => answers.extend(places.into_iter().map(|(batch, event)| Answer::known(batch, event))),
                    Err(error) if alone => return Err(error),
                    Err(error) => {
                        let again = |(batch, event)| Answer::again(batch, event, error.clone());
                        answers.extend(places.into_iter().map(again));
                    }
                }
            }
            Ok(answers)
        })
    }

    /// Asks for the first page of its keys.
    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            let noted = Noted::default();
            // One that was never stored. A bucket that is not there, or credentials that are wrong, are another answer.
            let key = format!("{}.tributary-check", self.options.folder);
            let path = Path::parse(&key).map_err(|error| SinkError::new(error.to_string()))?;
            let asked = noted.scope(async { self.store.get(&path).await });
            match tokio::time::timeout(Duration::from_secs(60), asked).await {
                Err(_) => Err(SinkError::new("the store does not answer")),
                Ok(Ok(_)) => Ok(()),
                Ok(Err(object_store::Error::NotFound { .. })) if !noted.names_no_bucket() => Ok(()),
                Ok(Err(error)) => Err(store::fault(&self.options.store, &error, &noted)),
            }
        })
    }

    fn idles(&self) -> bool {
        false
    }
}
