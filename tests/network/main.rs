//! What the host's transport does with a network that is slow, broken, or lies; and the egress policy on real sockets, with names
//! under the test's control.

mod egress;
mod far;
mod host;
mod pools;
mod proxy;
mod times;
mod tls;
