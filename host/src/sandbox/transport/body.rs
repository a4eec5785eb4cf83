//! The body of an answer, which must go on arriving.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use wasmtime_wasi_http::Error as WasiError;

/// A body that must go on arriving.
pub(super) struct TimedBody {
    inner: Incoming,
    limit: Duration,
    timer: Pin<Box<tokio::time::Sleep>>,
    waiting: bool,
}

impl TimedBody {
    pub(super) fn new(inner: Incoming, limit: Duration) -> Self {
        Self { inner, limit, timer: Box::pin(tokio::time::sleep(limit)), waiting: false }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let this = self.get_mut();
        // The time runs only while somebody waits: a guest that pauses between two reads is not the server's fault.
        if !this.waiting {
            this.waiting = true;
            this.timer.as_mut().reset(tokio::time::Instant::now() + this.limit);
        }
        let frame = match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => match this.timer.as_mut().poll(context) {
                Poll::Ready(()) => return Poll::Ready(Some(Err(WasiError::ConnectionReadTimeout))),
                Poll::Pending => return Poll::Pending,
            },
        };
        this.waiting = false;
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                tracing::debug!("the body of an answer broke off: {error}");
                WasiError::HttpResponseIncomplete
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
