//! A file of a page of API 2.0: gzip, gzip of gzip, or plain. The first byte chooses the size of pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::effects::Request;
use mimecast_source::streams::read::{ReadError, inflate};
use mimecast_source_fuzz::drain::{Manner, drain};
use mimecast_source_fuzz::outside::{Outside, Reply, SESSION, V2};
use mimecast_source_fuzz::{Sliced, peak, piece_sizes};

/// More than this of a file's content is not looked at.
const CONTENT: usize = 2 << 20;

/// Room that the reader may take beside the file: pieces of both layers, and their windows.
const ROOM: usize = 1 << 20;

/// The same for a stream: a chunk's bodies, and a record of 1 MiB in every buffer that it passes.
const STREAM_ROOM: usize = 48 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((choice, file)) = data.split_first() else { return };
    let sizes = piece_sizes(file.len());
    let [whole, others @ ..] = sizes.map(|piece| {
        let (seen, bytes) = peak(|| content(file, piece));
        assert!(bytes <= ROOM + 16 * file.len(), "{bytes} bytes for a file of {}", file.len());
        seen
    });
    if whole.0 > CONTENT {
        return;
    }
    // How much comes of data before it shows that they are damaged depends on the pieces.
    let damaged = matches!(whole.2, Some(ReadError::Corrupt(_)));
    for other in others {
        assert!(
            other == whole || damaged && other.2 == whole.2,
            "the content depends on the pieces: {other:?} {whole:?}"
        );
    }
    let config = format!("{{{V2},\"start_at\":\"7d\"}}");
    let script = |request: &Request| match request.url.contains("/siem/v1/") {
        true => {
            Reply::new(r#"{"value":[{"url":"https://files.example.com/a?signed"}],"@nextPage":"t","isCaughtUp":true}"#)
        }
        false => Reply::new(file),
    };
    let read = |piece: usize, manner: Manner| {
        let mut outside = Outside::new(piece, &script);
        let (read, bytes) = peak(|| drain(&config, "siem/receipt", SESSION, &mut outside, manner));
        let kept = read.events.len() * (16 << 10) + read.malformed.iter().map(|piece| piece.head.len()).sum::<usize>();
        assert!(bytes <= STREAM_ROOM + kept, "{bytes} bytes for a file of {}", file.len());
        read
    };
    let once = read(sizes[0], Manner::at_once());
    let again = read(sizes[usize::from(choice & 3)], Manner::at_once());
    if damaged {
        return;
    }
    assert_eq!(again, once);
    if once.records() <= 20 && file.len() < 4_000 {
        let afresh = read(sizes[0], Manner::afresh(400));
        assert_eq!(
            (afresh.events, afresh.malformed.len(), afresh.gaps),
            (once.events, once.malformed.len(), once.gaps),
            "a reader that is opened anew reads something else"
        );
    }
});

/// Length and hash of the content, and how it ends.
fn content(file: &[u8], piece: usize) -> (usize, u64, Option<ReadError>) {
    let mut pieces = inflate::decode(Sliced::new(file, piece));
    let (mut length, mut hash) = (0, 0_u64);
    let mut content = Vec::new();
    loop {
        content.clear();
        let more = pieces.fill(&mut content);
        length += content.len();
        hash = content.iter().fold(hash, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        match more {
            _ if length > CONTENT => return (length, 0, None),
            Ok(true) => assert!(!content.is_empty(), "a piece of nothing"),
            Ok(false) => return (length, hash, None),
            Err(error) => return (length, hash, Some(error)),
        }
    }
}
