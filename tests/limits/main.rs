//! A component that misbehaves in every way that we could think of, in the real sandbox and in the real host: each is
//! contained, and what is just lawful passes. Also what its neighbours notice of it.

mod breaches;
mod hostile;
mod limits;
mod neighbours;
mod requests;
