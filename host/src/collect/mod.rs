//! One worker a (source, stream): when it reads, how much, and what it does about trouble.

mod account;
mod care;
mod check;
mod checks;
mod judge;
mod quota;
mod rate;
mod reach;
mod schedule;
mod session;
mod silence;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod worker;

pub use account::{Account, Policy, Replaceable};
pub use check::{Finding, Subject, Verdict, check};
pub use checks::{Checked, Checks};
pub use quota::{Grant, Quota, QuotaStatus};
pub use rate::Rate;
pub use reach::Reach;
pub use schedule::Schedule;
pub use session::{Issued, Sessions, Trouble};
pub use silence::Hours;
pub use source::{Call, ComponentSource, Reader, Source};
pub use status::{Board, Entry, OTHER_CODE, StreamState, StreamStatus};
pub use worker::{Ended, Gaps, Mark, Replay, Span, Surroundings, Worker};
