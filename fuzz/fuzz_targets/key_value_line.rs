//! A line `key=value|key=value` of a file of API 1.0. The first byte chooses the origin, the rest is the line, and then a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::normalize::Encoding;
use mimecast_source::streams::read::Cut;
use mimecast_source::streams::read::lines::{Ending, Lines};
use mimecast_source_fuzz::{forms, piece_sizes};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let [whole, others @ ..] = piece_sizes(text.len()).map(|piece| cut(text, piece));
    for other in others {
        assert_eq!(other, whole, "the lines depend on the pieces");
    }
    let blanks = |text: &[u8]| text.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
    assert_eq!(blanks(&whole.concat()), blanks(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)));
    for line in &whole {
        forms::check(line, &forms::origin(*choice, Encoding::KeyValue), choice & 128 != 0);
    }
});

fn cut(text: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut lines = Lines::new(Ending::Any);
    let mut seen = Vec::new();
    let mut take = |lines: &mut Lines| {
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
