//! What an operator reads when something is wrong: every code of the component, every kind of trouble of the host, every mistake
//! in a configuration and every refusal of a verb is provoked, and each says what happened, where, and what to do next.
//!
//! `cargo test --test errors -- --nocapture` prints the tables; `BLESS=1` writes `docs/troubleshooting.md` from them.

mod component;
mod configuration;
mod host;
mod page;
mod reading;
mod rights;
mod row;
mod scripted;
mod sinks;
mod vendor;
mod verbs;
