//! `GET /metrics` of a host that collects: Prometheus reads it, its numbers are those of the ledger, and the dashboard and
//! the alerts of `examples/monitoring` name nothing that is not there.
//!
//! `promtool` judges what it is given; where it is absent those tests say so and are skipped, except in CI.

mod host;
mod monitoring;
mod page;
mod promtool;
