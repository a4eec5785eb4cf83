//! What the end-to-end tests share. Each test is a crate of its own and uses a part of it.
#![allow(dead_code)]

pub mod guest;
pub mod memory;
