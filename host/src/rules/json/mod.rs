//! One line of JSON, read without building anything of it: where its values stand, and under which path.

mod scan;
mod text;

pub use scan::{Frame, NotJson, Place, Scan, ValueKind};
pub use text::Text;
