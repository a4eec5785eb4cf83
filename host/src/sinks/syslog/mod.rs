//! Events as RFC 5424 messages over TCP or TLS.
//!
//! The protocol has no answer: what the system took for sending counts as stored. If the receiver goes away meanwhile, what
//! it had not read yet is lost, and nothing tells; if a write fails, all of the delivery comes again, and what the receiver
//! had read of it is there twice. Who cannot live with either takes another sink.

mod connection;
mod message;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Mutex;

use self::connection::{Connection, Connector};
use self::message::Writer;
use super::{Answer, Concurrency, DeliverFuture, Sink, SinkError, SinkFuture, Terms, copied};
use crate::config::SyslogOptions;
use crate::deliver::Batch;

/// Little, since all of it comes again when a write fails.
const MAX_BYTES: usize = 1 << 20;

/// Of a message without its text.
const OVERHEAD: usize = 256;

/// See the module.
pub struct Syslog {
    connector: Connector,
    writer: Writer,
    connection: Mutex<Option<Connection>>,
}

impl Syslog {
    /// # Errors
    /// When its TLS settings do not fit together.
    pub fn new(options: SyslogOptions) -> Result<Self, SinkError> {
        Ok(Self { connector: Connector::new(&options)?, writer: Writer::new(options), connection: Mutex::new(None) })
    }

    /// The connection, if it still stands, or another.
    async fn connection(&self, held: &mut Option<Connection>) -> Result<Connection, SinkError> {
        if let Some(mut connection) = held.take() {
            match connection.is_open().await {
                Ok(()) => return Ok(connection),
                Err(reason) => tracing::debug!("the syslog receiver has closed the connection: {reason}"),
            }
        }
        self.connector.connect().await
    }

    async fn send(&self, batches: &[Arc<Batch>]) -> Result<Vec<Answer>, SinkError> {
        let mut bytes =
            Vec::with_capacity(batches.iter().map(|batch| batch.len() + batch.events.len() * OVERHEAD).sum());
        let mut refused = Vec::new();
        for (number, batch) in batches.iter().enumerate() {
            for (index, event) in batch.events.iter().enumerate() {
                if let Err(reason) = self.writer.write(&batch.origin, event, batch.body(event), &mut bytes) {
                    refused.push(Answer::refused(number, index, reason));
                }
            }
        }
        if bytes.is_empty() {
            return Ok(refused);
        }
        copied::count(bytes.len());
        let mut held = self.connection.lock().await;
        let mut connection = self.connection(&mut held).await?;
        // Dropped in the middle of a message, it is of no use any more, and not put back.
        self.connector.send(&mut connection, &bytes).await?;
        *held = Some(connection);
        Ok(refused)
    }
}

impl Sink for Syslog {
    fn terms(&self) -> Terms {
        Terms { max_bytes: MAX_BYTES, overhead: OVERHEAD, concurrency: Concurrency::Fixed(1), ..Terms::default() }
    }

    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        Box::pin(self.send(batches))
    }

    fn check(&self) -> SinkFuture<'_> {
        Box::pin(async {
            let mut held = self.connection.lock().await;
            *held = Some(self.connection(&mut held).await?);
            Ok(())
        })
    }

    fn idles(&self) -> bool {
        false
    }

    fn close(&self) -> SinkFuture<'_> {
        Box::pin(async {
            if let Some(connection) = self.connection.lock().await.take() {
                self.connector.close(connection).await;
            }
            Ok(())
        })
    }
}
