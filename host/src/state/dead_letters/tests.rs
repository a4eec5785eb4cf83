use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;

fn letter(head: &[u8], size: Option<u64>) -> DeadLetter {
    DeadLetter::malformed(1_795_000_000_123, "acme", "siem/receipt", "not JSON", head.to_vec(), size)
}

fn found(letters: &DeadLetters) -> Vec<Found> {
    let mut all = Vec::new();
    letters
        .read(None, |found| {
            all.push(found);
            Ok(())
        })
        .unwrap();
    all
}

fn heads(letters: &DeadLetters) -> Vec<String> {
    let head = |found| match found {
        Found::Letter(letter) => String::from_utf8_lossy(&letter.head).into_owned(),
        Found::Damaged { .. } => "damaged".into(),
    };
    found(letters).into_iter().map(head).collect()
}

#[test]
fn one_line_each() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    letters.append("acme", &[]).unwrap();
    assert!(found(&letters).is_empty() && !letters.path("acme").exists());
    letters.append("acme", &[letter(b"{\"a\":\n\"\xc3\xa9", Some(9)), letter(b"\xff\xfe", Some(500))]).unwrap();
    letters.append("acme", &[letter(b"x", None)]).unwrap();
    let text = fs::read_to_string(letters.path("acme")).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = lines[0].as_object_mut().unwrap();
    let (id, check) = (first.remove("id").unwrap(), first.remove("check").unwrap());
    assert!(id.as_str().unwrap().len() == 16 && check.as_str().unwrap().len() == 8);
    assert_eq!(
        lines[0],
        json!({
            "time": "2026-11-18T11:06:40.123Z", "source": "acme", "stream": "siem/receipt", "reason": "not JSON",
            "size": 9, "encoding": "utf-8", "head": "{\"a\":\n\"é", "truncated": false
        })
    );
    assert_eq!((&lines[1]["encoding"], &lines[1]["head"]), (&json!("base64"), &json!("//4=")));
    assert_eq!(lines[1]["truncated"], json!(true));
    assert_eq!((&lines[2]["size"], lines.len()), (&Value::Null, 3));
    assert_eq!(fs::metadata(letters.path("acme")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn equal_letters_have_ids_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    letters.append("acme", &[letter(b"x", None), letter(b"x", None)]).unwrap();
    let ids: Vec<String> = found(&letters)
        .into_iter()
        .map(|found| match found {
            Found::Letter(letter) => letter.id,
            Found::Damaged { .. } => panic!("damaged"),
        })
        .collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(letters.take(Some("acme"), |letter| letter.id == ids[0]).unwrap().letters, 1);
    assert_eq!(found(&letters).len(), 1);
}

#[test]
fn a_long_event_leaves_its_head_size_and_hash() {
    let refused = || super::super::Refused {
        sink: "lake".into(),
        tenant: "acme".into(),
        event: 1,
        time: 2,
        kind: 3,
        class: 4,
        severity: 5,
        alert_key: None,
    };
    let letter = |length: usize| DeadLetter::refused(1, "acme", "audit", "too long", refused(), &vec![b'x'; length]);
    let whole = letter(super::super::WHOLE);
    assert!(!whole.is_cut() && whole.sha256.is_none() && whole.head.len() == super::super::WHOLE);
    let cut = letter(super::super::WHOLE + 1);
    assert_eq!((cut.head.len(), cut.size, cut.is_cut()), (super::super::HEAD, Some((1 << 20) + 1), true));
    // printf 'x%.0s' {1..1048577} | sha256sum
    assert_eq!(cut.sha256.unwrap(), X_1048577);
}

const X_1048577: &str = "154b8ed3c2383ce429058768595935faf7851b5c38db2b1732594be1d88bc05a";

#[test]
fn a_file_that_was_taken_away_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    letters.append("acme", &[letter(b"first", None)]).unwrap();
    fs::rename(letters.path("acme"), folder.path().join("elsewhere")).unwrap();
    letters.append("acme", &[letter(b"second", None)]).unwrap();
    letters.append("acme", &[letter(b"third", None)]).unwrap();
    assert_eq!(heads(&letters), ["second", "third"]);
}

#[test]
fn a_torn_line_is_told_and_then_cut() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    letters.append("acme", &[letter(b"first", None), letter(&[b'x'; 200_000], None)]).unwrap();
    let whole = fs::read(letters.path("acme")).unwrap();
    fs::write(letters.path("acme"), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(heads(&letters), ["first", "damaged"]);
    letters.append("acme", &[letter(b"third", None)]).unwrap();
    assert_eq!(heads(&letters), ["first", "third"]);
}

#[test]
fn a_damaged_letter_is_told_stays_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    let all = ["first", "second", "third"];
    letters.append("acme", &all.map(|head| letter(head.as_bytes(), None))).unwrap();
    let mut bytes = fs::read(letters.path("acme")).unwrap();
    let at = bytes.windows(6).position(|bytes| bytes == b"second").unwrap();
    bytes[at] = b'S';
    fs::write(letters.path("acme"), &bytes).unwrap();
    assert_eq!(heads(&letters), ["first", "damaged", "third"]);
    let Found::Damaged { offset, bytes: length, .. } = found(&letters)[1].clone() else { panic!() };
    assert_eq!(bytes[offset as usize], b'{');
    assert_eq!(bytes[(offset + length) as usize - 1], b'\n');
    assert_eq!(letters.take(None, |_| true).unwrap().letters, 2);
    assert_eq!(heads(&letters), ["damaged"]);
}

#[test]
fn the_cap_holds_until_room_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 10_000);
    // The first is taken whatever its size: otherwise it would wait for ever.
    letters.append("acme", &[letter(&[b'x'; 12_000], None)]).unwrap();
    let error = letters.append("other", &[letter(b"y", None)]).unwrap_err();
    assert!(matches!(error, StateError::DeadLettersFull { limit: 10_000, .. }), "{error}");
    assert!(error.to_string().contains("tributary dead-letters drop"), "{error}");
    assert!(!letters.path("other").exists());
    let taken = letters.take(Some("acme"), |_| true).unwrap();
    assert!(taken.letters == 1 && taken.bytes > 12_000, "{taken:?}");
    letters.append("other", &[letter(b"y", None)]).unwrap();
    assert_eq!(heads(&letters), ["y"]);
}

#[test]
fn a_full_disk_leaves_no_piece() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    letters.append("acme", &[letter(b"first", None)]).unwrap();
    letters.room.store(30, Ordering::SeqCst);
    let error = letters.append("acme", &[letter(b"second", None)]).unwrap_err();
    assert!(matches!(error, StateError::Full { .. }), "{error}");
    assert_eq!(heads(&letters), ["first"]);
    letters.room.store(u64::MAX, Ordering::SeqCst);
    letters.append("acme", &[letter(b"second", None)]).unwrap();
    assert_eq!(heads(&letters), ["first", "second"]);
}

#[test]
fn a_source_is_renamed_with_its_letters() {
    let folder = tempfile::tempdir().unwrap();
    let letters = DeadLetters::new(folder.path(), 1 << 20);
    letters.append("acme", &[letter(b"first", None)]).unwrap();
    letters.rename("acme", "new").unwrap();
    letters.rename("nobody", "else").unwrap();
    let Found::Letter(letter) = found(&letters).remove(0) else { panic!() };
    assert_eq!((letter.source.as_str(), letters.path("acme").exists()), ("new", false));
}
