//! Events as NDJSON on standard output. Nothing tells whether a reader took them: what is in the pipe counts as stored.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::{DeliverFuture, Sink, SinkError, blocking};
use crate::deliver::Batch;

/// Writes whole batches, flushed each time.
pub struct Stdout<W = io::Stdout> {
    writer: Arc<Mutex<W>>,
}

impl Default for Stdout {
    fn default() -> Self {
        Stdout::to(io::stdout())
    }
}

impl<W: Write + Send + 'static> Stdout<W> {
    /// To `writer` instead: another pipe, for one.
    pub fn to(writer: W) -> Self {
        Stdout { writer: Arc::new(Mutex::new(writer)) }
    }
}

impl<W: Write + Send + 'static> Sink for Stdout<W> {
    fn deliver<'a>(&'a self, batches: &'a [Arc<Batch>]) -> DeliverFuture<'a> {
        let batches = batches.to_vec();
        let writer = self.writer.clone();
        let written = blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            write(&mut *writer, &batches).map_err(|error| fault(&error))
        });
        // It refuses nothing.
        Box::pin(async { written.await.map(|()| Vec::new()) })
    }

    fn idles(&self) -> bool {
        false
    }
}

fn write(writer: &mut impl Write, batches: &[Arc<Batch>]) -> io::Result<()> {
    for batch in batches {
        for slice in batch.slices() {
            writer.write_all(slice)?;
        }
        writer.flush()?;
    }
    Ok(())
}

fn fault(error: &io::Error) -> SinkError {
    let fault = SinkError::new(format!("cannot write to standard output: {error}"));
    match error.kind() {
        io::ErrorKind::BrokenPipe => {
            fault.hint("The program that read it has ended; start both again, it goes on here")
        }
        io::ErrorKind::StorageFull => fault.hint("Make room where standard output goes to"),
        _ => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::batch;
    use super::*;

    /// A pipe whose reader leaves after so many bytes.
    struct Pipe(usize, Arc<Mutex<Vec<u8>>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            if taken == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0 -= taken;
            self.1.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn writes_what_is_to_be_delivered_and_says_when_nobody_reads() {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let sink = Stdout::to(Pipe(12, taken.clone()));
        sink.deliver(&[batch("t", "s", &["{1}", "{2}"]), batch("t", "s", &["{3}"])]).await.unwrap();
        sink.idle().await.unwrap();
        assert_eq!(*taken.lock().unwrap(), b"{1}\n{2}\n{3}\n");
        let error = sink.deliver(&[batch("t", "s", &["{4}"])]).await.unwrap_err().to_string();
        assert!(error.contains("The program that read it has ended"), "{error}");
        sink.close().await.unwrap();
    }
}
