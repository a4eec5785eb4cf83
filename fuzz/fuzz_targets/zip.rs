//! A ZIP archive, by itself and as an answer of the archive chain of API 1.0. The first byte chooses the size of pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::effects::Request;
use mimecast_source::streams::read::ReadError;
use mimecast_source::streams::read::zip::{Entry, Zip};
use mimecast_source_fuzz::drain::{Manner, Read, drain};
use mimecast_source_fuzz::outside::{Outside, Reply, SESSION_V1, V1};
use mimecast_source_fuzz::{Sliced, peak, piece_sizes};

/// More than this of an archive's content is not looked at.
const CONTENT: usize = 2 << 20;

/// Room that the reader may take beside the archive: a piece of each, the window of deflate, a header.
const ROOM: usize = 1 << 20;

/// The same for a stream: a chunk's bodies, and a record of 1 MiB in every buffer that it passes.
const STREAM_ROOM: usize = 48 << 20;

#[derive(Debug, PartialEq)]
enum Seen {
    Entry(Entry),
    Content(usize, u64),
    Error(ReadError),
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, archive)) = data.split_first() else { return };
    let sizes = piece_sizes(archive.len());
    let [whole, others @ ..] = sizes.map(|piece| {
        let (seen, bytes) = peak(|| entries(archive, piece));
        assert!(bytes <= ROOM + 64 * archive.len(), "{bytes} bytes for an archive of {}", archive.len());
        seen
    });
    // Behind damage the next member is looked for as far back as the pieces in hand go.
    let is_good =
        |seen: &Seen| !matches!(seen, Seen::Error(ReadError::Corrupt(_)) | Seen::Entry(Entry::Unreadable(..)));
    let good = whole.iter().all(is_good);
    for other in others.iter().filter(|other| good || other.iter().all(is_good)) {
        assert_eq!(*other, whole, "the members depend on the pieces");
    }
    let config = format!("{{{V1},\"start_at\":\"7d\"}}");
    let script = |request: &Request| {
        if request.body.windows(8).any(|part| part == b"\"token\":") {
            return Reply::new(r#"{"meta":{"isLastToken":true,"status":200},"data":[],"fail":[]}"#);
        }
        Reply::new(archive).header("mc-siem-token", "made-up").header("content-type", "application/octet-stream")
    };
    let read = |piece: usize, manner: Manner| {
        let mut outside = Outside::new(piece, &script);
        let (read, bytes) = peak(|| drain(&config, "siem", SESSION_V1, &mut outside, manner));
        let kept = read.events.len() * (16 << 10) + read.malformed.iter().map(|piece| piece.head.len()).sum::<usize>();
        assert!(bytes <= STREAM_ROOM + kept, "{bytes} bytes for an archive of {}", archive.len());
        read
    };
    let once = read(sizes[0], Manner::at_once());
    let again = read(sizes[usize::from(choice & 3)], Manner::at_once());
    if !good {
        return;
    }
    assert_eq!(again, once);
    // Only of small archives: every record fetches its archive anew.
    if once.records() <= 20 && archive.len() < 4_000 {
        let afresh = read(sizes[0], Manner::afresh(400));
        assert_eq!(sorted(&afresh), sorted(&once), "a reader that is opened anew reads something else");
    }
});

fn sorted(read: &Read) -> (Vec<String>, usize) {
    (read.events.iter().map(|(id, ..)| id.to_string()).collect(), read.malformed.len())
}

fn entries(archive: &[u8], piece: usize) -> Vec<Seen> {
    let mut zip = Zip::new(Sliced::new(archive, piece));
    let (mut seen, mut read) = (Vec::new(), 0);
    let mut content = Vec::new();
    loop {
        match zip.next_entry() {
            Ok(None) => return seen,
            Ok(Some(entry)) => {
                let is_member = matches!(entry, Entry::Member(_));
                seen.push(Seen::Entry(entry));
                if !is_member {
                    continue;
                }
            }
            Err(error) => {
                seen.push(Seen::Error(error));
                return seen;
            }
        }
        // A hash of the content, however it comes.
        let (mut length, mut hash) = (0, 0_u64);
        loop {
            content.clear();
            let more = zip.fill(&mut content);
            length += content.len();
            hash = content.iter().fold(hash, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            read += content.len();
            match more {
                _ if read > CONTENT => return Vec::new(),
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let ends = !matches!(error, ReadError::Corrupt(_));
                    seen.push(Seen::Error(error));
                    if ends {
                        seen.push(Seen::Content(length, hash));
                        return seen;
                    }
                    break;
                }
            }
        }
        seen.push(Seen::Content(length, hash));
        assert!(seen.len() <= 3 * archive.len() + 10, "more members than bytes");
    }
}
