use super::super::absent::{ASIDE_LIMIT, GONE_FOR, Missing, RELISTS, STRAYS_LIMIT};
use super::*;
use crate::config::SECOND;
use crate::streams::position::{FileMark, HASH_LIMIT};

/// The vendor, but the store answers this for some files.
fn without(files: &'static [usize], code: u16) -> impl FnMut(&Request) -> Reply {
    move |request: &Request| match number(request) {
        Some(number) if files.contains(&number) => status(code, "<Error><Code>AccessDenied</Code></Error>"),
        _ => vendor(request),
    }
}

fn position(read: &Read) -> Start {
    Start::After(read.position.clone())
}

#[test]
fn an_address_that_leads_nowhere_is_listed_again_and_holds_up_no_other_file() {
    for code in [403, 404] {
        let mut failures = 3;
        let mut effects = Fake::new(move |request: &Request| match number(request) {
            Some(1) if failures > 0 => {
                failures -= 1;
                status(code, "")
            }
            _ => vendor(request),
        });
        let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
        assert_eq!((read.bodies, read.faults.len()), ([marks(2), marks(1), marks(3)].concat(), 0));
        assert_eq!(effects.count("dateRangeStartsAt"), 1 + RELISTS as usize);

        let mut effects = Fake::new(without(&[1], code));
        let mut reader = open(Start::Configured);
        let (gone, read) = fault(&mut reader, &mut effects);
        assert_eq!(read.bodies, marks(2), "the other file of its page, and no other page");
        assert_eq!((gone.class, gone.code.as_str(), gone.status), (FaultClass::Unavailable, "file-gone", Some(code)));
        assert!(!gone.to_string().contains("signed") && gone.message.contains("/url/1.json.gz"));
        // From then on a try costs one listing, also with a new reader.
        for afresh in [false, true] {
            if afresh {
                reader = open(position(&read));
            }
            let listings = effects.count("dateRangeStartsAt");
            assert_eq!(reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err().code, "file-gone");
            assert_eq!(effects.count("dateRangeStartsAt"), listings + 1, "{afresh}");
        }
        // It is there again: nothing is lost, neither with this reader nor with a new one.
        for mut reader in [reader, open(position(&read))] {
            let read = drain(&mut reader, &mut Fake::new(vendor), SESSION, Budget::default());
            assert_eq!((read.bodies, read.gaps.len()), ([marks(1), marks(3)].concat(), 0));
        }
    }
}

#[test]
fn a_file_that_never_comes_is_a_gap_after_an_hour_if_another_one_can_be_read() {
    // File 2 is refused after file 1 was read: only a look at file 1 tells that the store answers.
    for (files, after, code) in [(&[1], 2, 404), (&[1], 2, 403), (&[2], 1, 404), (&[2], 1, 403)] {
        let mut effects = Fake::new(without(files, code));
        let (_, read) = fault(&mut open(Start::Configured), &mut effects);
        assert_eq!(read.bodies, marks(after));
        effects.now += GONE_FOR - SECOND;
        let mut reader = open(position(&read));
        assert_eq!(fault(&mut reader, &mut effects).0.code, "file-gone", "{code}");
        effects.now += SECOND;
        let rest = drain(&mut reader, &mut effects, SESSION, Budget::default());
        assert_eq!((rest.bodies, rest.faults.len(), rest.gaps.len()), (marks(3), 0, 1), "{code}");
        assert!(rest.gaps[0].contains(&format!("/url/{}.json.gz after 0 records", files[0])), "{:?}", rest.gaps);
        assert!(!rest.gaps[0].contains("signed"));
        // Told once: the page is not listed again, nor the file asked for.
        let again = drain(&mut open(position(&rest_of(rest.position))), &mut effects, SESSION, Budget::default());
        assert_eq!((again.records, again.gaps.len()), (0, 0));
    }
}

fn rest_of(position: Vec<u8>) -> Read {
    Read { position, ..Read::default() }
}

#[test]
fn a_proxy_that_refuses_everything_loses_no_backlog() {
    let mut effects = Fake::new(without(&[1, 2, 3], 403));
    let mut read = fault(&mut open(Start::Configured), &mut effects).1;
    for _ in 0..6 {
        effects.now += 20 * GONE_FOR;
        let (gone, more) = fault(&mut open(position(&read)), &mut effects);
        assert_eq!((gone.code.as_str(), more.gaps.len()), ("file-gone", 0));
        if !more.position.is_empty() {
            read = more;
        }
    }
    let mut again = Fake::new(vendor);
    again.now = effects.now;
    let all = drain(&mut open(position(&read)), &mut again, SESSION, Budget::default());
    let mut bodies = all.bodies;
    bodies.sort_unstable();
    assert_eq!((bodies, all.gaps.len()), (expected(), 0), "each file, when the proxy lets them pass");
    // What it refuses for longer than anything is kept is gone, whoever did it.
    effects.now += 9 * DAY;
    let read = drain(&mut open(position(&read)), &mut effects, SESSION, Budget::default());
    assert!(read.gaps.len() > 1, "{:?}", read.gaps);
}

#[test]
fn a_file_that_was_half_read_goes_on_where_it_was_after_a_refusal() {
    let budget = Budget { events: 4, ..Budget::default() };
    let chunk = open(Start::Configured).pull(&mut Fake::new(vendor), SESSION, &budget).unwrap();
    let mut effects = Fake::new(without(&[1], 404));
    let (_, read) = fault(&mut open(Start::After(chunk.position)), &mut effects);
    assert_eq!(read.bodies, marks(2));
    let rest = drain(&mut open(position(&read)), &mut Fake::new(vendor), SESSION, Budget::default());
    assert_eq!(rest.bodies, [&marks(1)[4..], &marks(3)[..]].concat());
    // It stays away: the gap says how much of it was read.
    effects.now += GONE_FOR;
    let rest = drain(&mut open(position(&read)), &mut effects, SESSION, Budget::default());
    assert!(rest.gaps[0].contains("/url/1.json.gz after 4 records"), "{:?}", rest.gaps);
}

/// Lists these files on the first page, whatever was listed before.
fn listing_only(files: &'static [usize]) -> impl FnMut(&Request) -> Reply {
    move |request: &Request| match (number(request), parameter(request, "nextPage")) {
        (None, None) => ok(listing(files, Some("A=="), false)),
        _ => vendor(request),
    }
}

#[test]
fn files_that_are_no_longer_listed_are_waited_for_and_then_told() {
    // The page is empty, but for its token; or it lacks a file that was not begun.
    for (files, what) in [(&[][..], "2 files, the rest of one after 4 records: "), (&[1], "a file: ")] {
        let budget = Budget { events: 4, ..Budget::default() };
        let chunk = open(Start::Configured).pull(&mut Fake::new(vendor), SESSION, &budget).unwrap();
        let mut effects = Fake::new(listing_only(files));
        let (fault_now, read) = fault(&mut open(Start::After(chunk.position)), &mut effects);
        assert_eq!((fault_now.class, fault_now.code.as_str()), (FaultClass::Unavailable, "file-not-listed"));
        assert_eq!(effects.count("dateRangeStartsAt"), 1 + RELISTS as usize);
        // It was a slip: all of it comes.
        let back = drain(&mut open(position(&read)), &mut Fake::new(vendor), SESSION, Budget::default());
        let mut bodies = [&read.bodies[..], &back.bodies].concat();
        bodies.sort_unstable();
        assert_eq!((bodies, back.gaps.len()), (expected()[4..].to_vec(), 0));
        // It was none: an hour of listings later it is told, and the stream goes on.
        effects.now += GONE_FOR - SECOND;
        let mut reader = open(position(&read));
        assert_eq!(fault(&mut reader, &mut effects).0.code, "file-not-listed");
        effects.now += SECOND;
        let rest = drain(&mut reader, &mut effects, SESSION, Budget::default());
        // File 2 stands on the last page, too, and is read there.
        assert_eq!((rest.bodies, rest.gaps.len(), rest.faults.len()), ([marks(3), marks(2)].concat(), 1, 0));
        assert!(rest.gaps[0].contains(what), "{:?}", rest.gaps);
    }
}

#[test]
fn a_file_that_is_listed_no_longer_does_not_hold_up_the_others_of_its_page() {
    let chunk = open(Start::Configured)
        .pull(&mut Fake::new(vendor), SESSION, &Budget { events: 4, ..Budget::default() })
        .unwrap();
    let mut effects = Fake::new(listing_only(&[2, 7]));
    let (_, read) = fault(&mut open(Start::After(chunk.position)), &mut effects);
    assert_eq!(read.bodies, [marks(2), marks(7)].concat());
    effects.now += GONE_FOR;
    // More of them are missing now than an hour ago: for these the hour begins.
    let mut fewer = Fake::new(listing_only(&[7]));
    fewer.now = effects.now;
    let rest = drain(&mut open(position(&read)), &mut fewer, SESSION, Budget::default());
    assert_eq!(rest.gaps.len(), 1, "file 2 was read, so it is not missed");
    assert!(rest.gaps[0].contains("a file, the rest of one after 4 records"), "{:?}", rest.gaps);
}

#[test]
fn a_file_that_was_refused_and_then_not_listed_is_told() {
    let mut listed = 0;
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(1) => status(404, ""),
        Some(_) => ok(file(2)),
        None => {
            listed += 1;
            ok(listing(if listed == 1 { &[1, 2] } else { &[2] }, Some("C=="), true))
        }
    });
    let (missing, read) = fault(&mut open(Start::Configured), &mut effects);
    assert_eq!((missing.code.as_str(), read.bodies), ("file-not-listed", marks(2)));
    effects.now += GONE_FOR;
    let rest = drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
    assert_eq!((rest.records, rest.gaps.len(), rest.faults.len()), (0, 1, 0));
}

#[test]
fn a_position_without_a_list_of_open_files_is_understood() {
    // Four records of a file that is listed no longer.
    let old = format!(
        r#"{{"v":1,"stream":"{STREAM}","from":"2026-03-01","file":{{"hash":"bc03aac2e33a8ab9","index":4}},"polled":{NOW}}}"#
    );
    let mut effects = Fake::new(listing_only(&[1]));
    let (missing, read) = fault(&mut open(Start::After(old.into_bytes())), &mut effects);
    assert_eq!((missing.code.as_str(), read.bodies), ("file-not-listed", marks(1)));
    effects.now += GONE_FOR;
    let rest = drain(&mut open(Start::After(read.position)), &mut effects, SESSION, Budget::default());
    assert!(rest.gaps.len() == 1 && rest.gaps[0].contains("after 4 records"), "{:?}", rest.gaps);
}

#[test]
fn a_growing_number_of_missing_files_begins_the_hour_anew() {
    let all = |request: &Request| match (number(request), parameter(request, "nextPage")) {
        (None, None) => ok(listing(&[4, 5, 6], Some("A=="), false)),
        _ => vendor(request),
    };
    let chunk = open(Start::Configured).pull(&mut Fake::new(all), SESSION, &one()).unwrap();
    // File 5 is missing, and the store refuses the others, so that they stay open.
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(_) => status(403, ""),
        None => listing_only(&[4, 6])(request),
    });
    let (_, read) = fault(&mut open(Start::After(chunk.position)), &mut effects);
    let mut effects = Fake::new(listing_only(&[]));
    effects.now += GONE_FOR;
    let (missing, read) = fault(&mut open(position(&read)), &mut effects);
    assert_eq!((missing.code.as_str(), read.gaps.len()), ("file-not-listed", 0), "files 4 and 6 have just gone");
    effects.now += GONE_FOR;
    let read = drain(&mut open(position(&read)), &mut effects, SESSION, Budget::default());
    assert!(read.gaps.len() == 1 && read.gaps[0].contains("3 files"), "{:?}", read.gaps);
}

#[test]
fn files_that_were_open_when_the_token_was_refused_are_told_unless_they_are_listed_again() {
    for (again, gaps) in [(&[3_usize, 4, 5][..], 0), (&[4], 1)] {
        let mut effects = Fake::new(|request: &Request| match (number(request), parameter(request, "nextPage")) {
            (Some(number), _) => ok(file(number)),
            (None, None) => ok(listing(&[1], Some("A=="), false)),
            (None, Some(_)) => ok(listing(&[3, 4, 5], Some("B=="), false)),
        });
        let budget = Budget { events: 24, ..Budget::default() };
        let chunk = open(Start::Configured).pull(&mut effects, SESSION, &budget).unwrap();
        assert!(String::from_utf8_lossy(&chunk.position).contains("A=="));
        let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage").as_deref() {
            Some("A==") => status(400, ""),
            Some(_) => ok(listing(again, Some("D=="), true)),
            None if number(request).is_none() => ok(listing(&[1], Some("C=="), false)),
            None => ok(file(number(request).unwrap())),
        });
        let read = drain(&mut open(Start::After(chunk.position)), &mut effects, SESSION, Budget::default());
        assert_eq!((read.faults.len(), read.gaps.len()), (0, gaps), "{:?}", read.gaps);
        assert!(gaps == 0 || read.gaps[0].contains("a file: "), "file 5; file 4 was half read: {:?}", read.gaps);
    }
}

#[test]
fn the_number_of_a_repeated_line_survives_a_file_that_breaks_off() {
    let whole = drain(&mut open(Start::Configured), &mut Fake::new(vendor), SESSION, Budget::default());
    let text = format!("{}\n", lines(1).join("\n"));
    // Behind the first of two equal lines.
    let begin = text.find('\n').unwrap() + 1;
    let mut tries = 0;
    let mut effects = Fake::new(|request: &Request| match number(request) {
        Some(1) => {
            tries += 1;
            if tries == 1 { Reply::Broken(text.as_bytes()[..begin].to_vec()) } else { ok(text.clone()) }
        }
        _ => vendor(request),
    });
    let read = drain(&mut open(Start::Configured), &mut effects, SESSION, Budget::default());
    assert_eq!((read.ids, read.pauses), (whole.ids, 1));
}

#[test]
fn a_position_stays_small_whatever_is_open_and_absent() {
    let hashes = |begin: u64| (begin..begin + 2_000).map(|n| Hash(u64::MAX - n)).collect::<Vec<_>>();
    let mark = |n: u64| FileMark {
        last: Some(Id(crate::chunk::Digest(u64::MAX, u64::MAX))),
        count: 1_000_000,
        index: 10_000_000,
        tries: 50,
        broken: 10_000_000,
        broken_since: Some(NOW),
        refused: Some(NOW),
        alone: true,
        ..FileMark::new(u64::MAX - n)
    };
    for (open_files, done) in [(2_000, 0), (500, 500), (2_000, 2_000), (0, 2_000)] {
        let state = State {
            token: Some("t".repeat(8_000)),
            open: hashes(0)[..open_files].to_vec(),
            done: hashes(10_000)[..done].to_vec(),
            before: hashes(20_000),
            strays: hashes(30_000),
            aside: (0..2 * ASIDE_LIMIT as u64).map(mark).collect(),
            missing: serde_json::from_str::<Missing>(&format!(r#"{{"since":{NOW},"files":1000}}"#)).ok(),
            file: Some(mark(5)),
            progress: Progress::full(NOW),
            ..State::default()
        };
        let kept = open_files.min(HASH_LIMIT);
        let stream = Stream::SiemBatch(Kind::UrlProtect);
        let reader = SiemBatch { state, ..SiemBatch::open(stream, Kind::UrlProtect, Start::Configured).unwrap() };
        let position = reader.position();
        assert!(position.len() <= 64 << 10, "{open_files} {done}: {}", position.len());
        let back: State = position::read(stream.name(), &position).unwrap();
        assert_eq!((back.open.len(), back.aside.len(), back.strays.len()), (kept, ASIDE_LIMIT, STRAYS_LIMIT));
    }
}
