//! A line of a file of API 2.0, and a row of a list: one JSON object, of any kind. The first byte chooses the origin, the rest is the
//! record, and then a file of lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::normalize::Encoding;
use mimecast_source::streams::read::Cut;
use mimecast_source::streams::read::ndjson::NdJson;
use mimecast_source_fuzz::{forms, piece_sizes};

fuzz_target!(|data: &[u8]| {
    let Some((choice, record)) = data.split_first() else { return };
    forms::check(record, &forms::origin(*choice, Encoding::Json), choice & 128 != 0);
    let [whole, others @ ..] = piece_sizes(record.len()).map(|piece| cut(record, piece));
    for other in others {
        assert_eq!(other, whole, "the lines depend on the pieces");
    }
    // What separates records is all that may be missing.
    assert_eq!(letters(&whole.concat()), letters(record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record)));
});

fn cut(text: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut lines = NdJson::default();
    let mut seen = Vec::new();
    let mut take = |lines: &mut NdJson| {
        while let Some(cut) = lines.cut() {
            match cut {
                Cut::Record(bytes) => seen.push(bytes.to_vec()),
                Cut::TooLong { .. } => panic!("a line of {} bytes is too long", text.len()),
            }
        }
    };
    for piece in text.chunks(piece) {
        lines.room().extend_from_slice(piece);
        take(&mut lines);
    }
    lines.finish();
    take(&mut lines);
    seen
}

/// How often each byte occurs, but for blanks and for what may stand between glued objects.
fn letters(text: &[u8]) -> [u32; 256] {
    let mut counts = [0; 256];
    for byte in text.iter().filter(|byte| !matches!(byte, b',' | b'[' | b']') && !byte.is_ascii_whitespace()) {
        counts[usize::from(*byte)] += 1;
    }
    counts
}
