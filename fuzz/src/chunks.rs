//! The contract of a chunk, as far as it can be seen from outside.

use mimecast_source::chunk::{Chunk, Malformed};
use mimecast_source::kind::Kind;

use crate::json::Json;

/// A position is never larger.
pub const POSITION_LIMIT: usize = 64 << 10;

/// Judges a chunk, and hands out its bodies.
///
/// # Panics
/// If the chunk breaks the contract.
pub fn bodies(chunk: &Chunk) -> Vec<Json> {
    let counted = chunk.events.len() + chunk.malformed.len() + chunk.merged as usize;
    assert_eq!(chunk.records as usize, counted, "a record is neither an event nor malformed");
    let pieces = chunk.pieces;
    assert!(pieces.gone == 0 || !chunk.gaps.is_empty(), "gone, and no gap says so: {pieces:?}");
    for malformed in &chunk.malformed {
        assert!(malformed.head.len() <= Malformed::HEAD_LIMIT, "{} bytes of a malformed record", malformed.head.len());
        assert!(malformed.size.is_none_or(|size| size >= malformed.head.len() as u64), "{malformed:?}");
        assert!(!malformed.reason.is_empty());
    }
    let mut begin = 0;
    let mut found = Vec::with_capacity(chunk.events.len());
    for event in &chunk.events {
        let end = event.end as usize;
        assert!(end > begin && end <= chunk.bodies.len(), "{begin} {end} of {}", chunk.bodies.len());
        let (last, line) = chunk.bodies[begin..end].split_last().expect("not empty");
        assert_eq!(*last, b'\n', "a body without its line feed");
        let shown = || String::from_utf8_lossy(line);
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "a body of two lines: {}", shown());
        let body = Json::of_body(line).unwrap_or_else(|| panic!("a body that is no JSON: {}", shown()));
        assert!(matches!(body, Json::Object(_)), "a body that is no object: {}", shown());
        assert!((event.kind as usize) < Kind::ALL.len() && event.severity <= 6, "{event:?}");
        found.push(body);
        begin = end;
    }
    assert_eq!(begin, chunk.bodies.len(), "bytes behind the last body");
    found
}
