//! A line `key=value|key=value` of a file of API 1.0. The first byte chooses the origin, the rest is the line, and then a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::normalize::Encoding;
use mimecast_source::streams::read::lines::{Ending, Lines};
use mimecast_source_fuzz::{cut, forms, piece_sizes};

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let [whole, others @ ..] = piece_sizes(text.len()).map(|piece| cut(Lines::new(Ending::Any), text, piece));
    for other in others {
        assert_eq!(other, whole, "the lines depend on the pieces");
    }
    // Ends of lines are all that may be missing.
    let letters = |text: &[u8]| text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>();
    assert_eq!(letters(&whole.concat()), letters(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)));
    for line in &whole {
        forms::check(line, &forms::origin(*choice, Encoding::KeyValue), choice & 128 != 0);
    }
});
