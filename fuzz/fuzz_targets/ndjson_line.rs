//! A line of a file of API 2.0, and a row of a list: one JSON object, of any kind. The first byte chooses the origin, the rest is the
//! record, and then a file of lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::normalize::Encoding;
use mimecast_source::streams::read::ndjson::NdJson;
use mimecast_source_fuzz::{cut, forms, piece_sizes};

fuzz_target!(|data: &[u8]| {
    let Some((choice, record)) = data.split_first() else { return };
    forms::check(record, &forms::origin(*choice, Encoding::Json), choice & 128 != 0);
    let [whole, others @ ..] = piece_sizes(record.len()).map(|piece| cut(NdJson::default(), record, piece));
    for other in others {
        assert_eq!(other, whole, "the lines depend on the pieces");
    }
    // What separates records is all that may be missing.
    assert_eq!(letters(&whole.concat()), letters(record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record)));
});

/// Each byte in its order, but for blanks and for what may stand between glued objects.
fn letters(text: &[u8]) -> Vec<u8> {
    let separates = |byte: &u8| matches!(byte, b',' | b'[' | b']') || byte.is_ascii_whitespace();
    text.iter().copied().filter(|byte| !separates(byte)).collect()
}
