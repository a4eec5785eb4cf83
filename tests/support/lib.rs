//! What the end-to-end tests share.

pub mod certificates;
pub mod component;
pub mod delivered;
pub mod guest;
pub mod memory;
pub mod process;
pub mod world;
