//! Mimecast's logs as a WebAssembly component.
//!
//! A pure core in a thin shell: everything but `http` and the exports is values in, values out, and runs natively in
//! tests and benchmarks. The functions that this crate exports natively mirror the contract's.
#![deny(unsafe_code)]
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod advice;
pub mod api;
pub mod auth;
pub mod catalog;
pub mod chunk;
pub mod code;
pub mod config;
pub mod describe;
pub mod effects;
#[cfg(target_family = "wasm")]
mod http;
pub mod kind;
pub mod normalize;
pub mod record;
pub mod streams;

pub use auth::authenticate;
pub use describe::{describe, plan_for};
pub use streams::Reader;

/// The exports: the only place that knows the contract's bindings. It converts values and does nothing else.
#[cfg(target_family = "wasm")]
mod exports {
    use std::cell::RefCell;
    use std::sync::Once;

    /// Generated, and so the one module with unsafe code.
    #[allow(unsafe_code)]
    mod bindings {
        wit_bindgen::generate!({ path: "wit", world: "log-source" });
        use super::Component;
        export!(Component);
    }

    use bindings::exports::tributary::source::source as contract;
    use bindings::tributary::source::types as wit;

    use crate::chunk::{Budget, Chunk, Digest, Fault, FaultClass, Next, Start};
    use crate::describe::LogStream;
    use crate::http::{Wasi, log};

    struct Component;

    struct Reader(RefCell<crate::Reader>);

    /// A panic's message would go nowhere in this target: it becomes a line in the host's log before the trap.
    fn hook() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| std::panic::set_hook(Box::new(|info| log(&format!("panic: {info}")))));
    }

    impl contract::Guest for Component {
        type Reader = Reader;

        fn describe() -> wit::Descriptor {
            hook();
            let descriptor = crate::describe();
            wit::Descriptor {
                name: descriptor.name.to_owned(),
                version: descriptor.version.to_owned(),
                config_schema: descriptor.config_schema,
                streams: descriptor.streams.into_iter().map(stream).collect(),
                kinds: descriptor
                    .kinds
                    .into_iter()
                    .map(|kind| wit::Kind {
                        name: kind.name.to_owned(),
                        labels: kind
                            .labels
                            .into_iter()
                            .map(|(product, label)| (product.to_owned(), label.to_owned()))
                            .collect(),
                    })
                    .collect(),
                quotas: descriptor
                    .quotas
                    .into_iter()
                    .map(|quota| wit::Quota {
                        name: quota.name.to_owned(),
                        requests: quota.requests,
                        window_ms: quota.window_ms,
                    })
                    .collect(),
            }
        }

        fn plan_for(config: String) -> Result<wit::Plan, wit::Fault> {
            hook();
            let plan = crate::plan_for(&config).map_err(fault)?;
            Ok(wit::Plan { streams: plan.streams.into_iter().map(stream).collect(), hosts: plan.hosts })
        }

        fn authenticate(config: String) -> Result<wit::Session, wit::Fault> {
            hook();
            let session = crate::authenticate(&config, &mut Wasi).map_err(fault)?;
            Ok(wit::Session { secret: session.secret, expires_at: session.expires_at })
        }
    }

    impl contract::GuestReader for Reader {
        fn open(config: String, log_stream: String, begin: wit::Start) -> Result<contract::Reader, wit::Fault> {
            hook();
            let reader = crate::Reader::open(&config, &log_stream, start(begin)).map_err(fault)?;
            Ok(contract::Reader::new(Reader(RefCell::new(reader))))
        }

        fn pull(&self, secret: Vec<u8>, budget: wit::Budget) -> Result<wit::Chunk, wit::Fault> {
            hook();
            let budget = Budget {
                events: budget.events,
                bytes: budget.bytes,
                time_ms: budget.time_ms,
                requests: budget.requests,
                verbatim: budget.verbatim,
            };
            self.0.borrow_mut().pull(&mut Wasi, &secret, &budget).map(chunk).map_err(fault)
        }
    }

    fn stream(stream: LogStream) -> wit::LogStream {
        wit::LogStream {
            name: stream.name,
            description: stream.description,
            interval_ms: stream.interval_ms,
            retention_ms: stream.retention_ms,
            repeats_within_ms: stream.repeats_within_ms,
            quota: stream.quota.map(str::to_owned),
        }
    }

    fn start(start: wit::Start) -> Start {
        match start {
            wit::Start::Configured => Start::Configured,
            wit::Start::After(position) => Start::After(position),
            wit::Start::Oldest(lost) => Start::Oldest(lost),
            wit::Start::Now(lost) => Start::Now(lost),
            wit::Start::Span((begin, end)) => Start::Span(begin, end),
        }
    }

    fn digest(digest: Digest) -> wit::Digest {
        (digest.0, digest.1)
    }

    fn chunk(chunk: Chunk) -> wit::Chunk {
        wit::Chunk {
            events: chunk
                .events
                .into_iter()
                .map(|event| wit::Event {
                    id: digest(event.id),
                    time: event.time,
                    kind: event.kind,
                    class: event.class,
                    severity: event.severity,
                    alert_key: event.alert_key.map(digest),
                    end: event.end,
                })
                .collect(),
            bodies: chunk.bodies,
            malformed: chunk
                .malformed
                .into_iter()
                .map(|piece| wit::Malformed { reason: piece.reason, head: piece.head, size: piece.size })
                .collect(),
            gaps: chunk
                .gaps
                .into_iter()
                .map(|gap| wit::Gap { what: gap.what, begin: gap.begin, end: gap.end, reason: gap.reason })
                .collect(),
            pieces: wit::Pieces { listed: chunk.pieces.listed, fetched: chunk.pieces.fetched, gone: chunk.pieces.gone },
            records: chunk.records,
            merged: chunk.merged,
            requests: chunk.requests,
            quota_left: chunk.quota_left,
            position: chunk.position,
            next: match chunk.next {
                Next::More => wit::Next::More,
                Next::CaughtUp => wit::Next::CaughtUp,
                Next::Pause(ms) => wit::Next::Pause(ms),
            },
        }
    }

    fn fault(fault: Fault) -> wit::Fault {
        let detail = wit::Detail { code: fault.code, message: fault.message, hint: fault.hint, status: fault.status };
        match fault.class {
            FaultClass::Configuration => wit::Fault::Configuration(detail),
            FaultClass::Credentials => wit::Fault::Credentials(detail),
            FaultClass::NotEntitled => wit::Fault::NotEntitled(detail),
            FaultClass::SessionExpired => wit::Fault::SessionExpired(detail),
            FaultClass::Throttled(ms) => wit::Fault::Throttled((ms, detail)),
            FaultClass::Unavailable => wit::Fault::Unavailable(detail),
            FaultClass::PositionLost => wit::Fault::PositionLost(detail),
            FaultClass::Protocol => wit::Fault::Protocol(detail),
        }
    }
}
