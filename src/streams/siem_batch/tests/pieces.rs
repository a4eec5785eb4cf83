//! What was listed, fetched and gone, summed over readers that are opened anew at the last chunk's position.

use super::super::absent::GONE_FOR;
use super::*;
use crate::chunk::Pieces;

/// Reads until the reader is caught up, or fails; with a new reader for each chunk. Adds to `sum`, and gives the fault.
fn read(start: &mut Start, effects: &mut Fake<'_>, events: u32, sum: &mut Pieces) -> Option<&'static str> {
    for _ in 0..1_000 {
        let mut reader = open(start.clone());
        loop {
            match reader.pull(effects, SESSION, &Budget { events, ..Budget::default() }) {
                Ok(chunk) => {
                    sum.add(chunk.pieces);
                    assert!(chunk.pieces.gone == 0 || !chunk.gaps.is_empty());
                    *start = Start::After(chunk.position);
                    match chunk.next {
                        Next::CaughtUp => return None,
                        Next::More if chunk.events.is_empty() => {}
                        _ => break,
                    }
                }
                Err(fault) => return Some(if fault.code.starts_with("file-") { "file" } else { "other" }),
            }
        }
    }
    panic!("it never catches up");
}

/// Page 1 names files 1 and 2, and the store answers 404 for those of `gone`.
fn refusing(gone: &'static [usize]) -> impl FnMut(&Request) -> Reply {
    move |request: &Request| match number(request) {
        Some(number) if gone.contains(&number) => status(404, ""),
        _ => vendor(request),
    }
}

#[test]
fn a_file_that_never_comes_is_listed_once_and_gone_once() {
    for events in [1, 4, 5_000] {
        let (mut start, mut sum) = (Start::Configured, Pieces::default());
        let mut effects = Fake::new(refusing(&[1]));
        for _ in 0..3 {
            assert_eq!(read(&mut start, &mut effects, events, &mut sum), Some("file"));
        }
        assert_eq!(sum, pieces(2, 1, 0), "{events}: open while it is waited for");
        effects.now += GONE_FOR;
        assert_eq!(read(&mut start, &mut effects, events, &mut sum), None);
        assert_eq!(sum, pieces(3, 2, 1), "{events}");
        // A listing that costs nothing new.
        assert_eq!(read(&mut start, &mut effects, events, &mut sum), None);
        assert_eq!(sum, pieces(3, 2, 1), "{events}");
    }
}

#[test]
fn files_that_the_page_names_no_longer_are_gone_each() {
    for events in [4, 5_000] {
        let (mut start, mut sum) = (Start::Configured, Pieces::default());
        let mut effects = Fake::new(refusing(&[1, 2]));
        assert_eq!(read(&mut start, &mut effects, events, &mut sum), Some("file"));
        let mut effects = Fake::new(|request: &Request| match (number(request), parameter(request, "nextPage")) {
            (None, None) => ok(listing(&[], Some("A=="), false)),
            _ => vendor(request),
        });
        assert_eq!(read(&mut start, &mut effects, events, &mut sum), Some("file"));
        assert_eq!(sum, pieces(2, 0, 0));
        effects.now += GONE_FOR;
        assert_eq!(read(&mut start, &mut effects, events, &mut sum), None);
        // The last page names file 2 again, which had been given up: it counts anew.
        assert_eq!(sum, pieces(4, 2, 2));
    }
}

#[test]
fn a_refused_token_lists_open_files_again_without_counting_them() {
    for (again, expected) in [(&[3_usize, 4, 5][..], pieces(4, 4, 0)), (&[4], pieces(4, 3, 1))] {
        let mut effects = Fake::new(|request: &Request| match (number(request), parameter(request, "nextPage")) {
            (Some(number), _) => ok(file(number)),
            (None, None) => ok(listing(&[1], Some("A=="), false)),
            (None, Some(_)) => ok(listing(&[3, 4, 5], Some("B=="), false)),
        });
        let mut sum = Pieces::default();
        let budget = Budget { events: 24, ..Budget::default() };
        let chunk = open(Start::Configured).pull(&mut effects, SESSION, &budget).unwrap();
        sum.add(chunk.pieces);
        assert_eq!(sum, pieces(4, 2, 0));
        let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage").as_deref() {
            Some("A==") => status(400, ""),
            Some(_) => ok(listing(again, Some("D=="), true)),
            None if number(request).is_none() => ok(listing(&[1], Some("C=="), false)),
            None => ok(file(number(request).unwrap())),
        });
        assert_eq!(read(&mut Start::After(chunk.position), &mut effects, 4, &mut sum), None);
        assert_eq!(sum, expected);
    }
}

#[test]
fn a_lost_position_gives_up_what_was_open() {
    let mut effects = Fake::new(refusing(&[1]));
    let (mut start, mut sum) = (Start::Configured, Pieces::default());
    read(&mut start, &mut effects, 5_000, &mut sum);
    let Start::After(position) = start else { panic!() };
    assert_eq!(sum, pieces(2, 1, 0));
    // At the present, or at the oldest when that is newer than what was read: the gap covers it.
    for (begin, later) in [(Start::Now(Some(position.clone())), DAY), (Start::Oldest(Some(position.clone())), 9 * DAY)]
    {
        let mut effects = Fake::new(|_: &Request| ok(listing(&[], None, true)));
        effects.now += later;
        let mut sum = sum;
        assert_eq!(read(&mut begin.clone(), &mut effects, 5_000, &mut sum), None);
        assert_eq!(sum, pieces(2, 1, 1), "{begin:?}");
    }
    // Otherwise it is listed again, and is the same file.
    let (mut sum, mut begin) = (sum, Start::Oldest(Some(position)));
    assert_eq!(read(&mut begin, &mut Fake::new(vendor), 5_000, &mut sum), None);
    assert_eq!(sum, pieces(4, 4, 0), "file 2 is read again, and counts again");
}

#[test]
fn what_was_counted_before_a_fault_is_not_lost_with_it() {
    let mut down = true;
    let mut effects = Fake::new(move |request: &Request| match number(request) {
        Some(_) if std::mem::take(&mut down) => status(503, ""),
        _ => vendor(request),
    });
    let mut reader = open(Start::Configured);
    assert!(reader.pull(&mut effects, SESSION, &Budget::default()).is_err());
    let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!(read.pieces, pieces(3, 3, 0));
}
