//! What Mimecast no longer keeps, and what of it is told.

use super::*;
use crate::streams::progress::PUBLISHED_WITHIN;

#[test]
fn a_refused_token_starts_again_within_the_retention() {
    let position = run(&mut Fake::new(vendor)).position;
    for refusal in [
        status(400, ""),
        status(400, r#"{"fail":[{"errors":[{"code":"err_audit_siem_invalid_token","message":"no"}]}]}"#),
        ok(
            r#"{"meta":{"status":200},"data":[],"fail":[{"errors":[{"code":"err_audit_siem_invalid_token","message":"no"}]}]}"#,
        ),
    ] {
        let Reply::Status(code, _, body) = refusal else { unreachable!() };
        let script = |request: &Request| match token(request).as_deref() {
            Some("C") => Reply::Status(code, vec![("content-type", "application/json".into())], body.clone()),
            None => file(archive(&[("receipt_9.json", &json(20..22), JAVA)]), Some("D")),
            Some(_) => last(Some("D")),
        };
        let mut effects = Fake::new(script);
        let read = drain(&mut open(Start::After(position.clone())), &mut effects, SESSION_V1, Budget::default());
        assert_eq!((read.bodies, read.faults.len()), (marks(20..22), 0));

        let mut effects = Fake::new(script);
        effects.now += 8 * DAY;
        let mut reader = open(Start::After(position.clone()));
        let fault = reader.pull(&mut effects, SESSION_V1, &Budget::default()).unwrap_err();
        assert_eq!(fault.class, FaultClass::PositionLost);
        let read = drain(&mut open(Start::Oldest(Some(position.clone()))), &mut effects, SESSION_V1, Budget::default());
        assert_eq!((read.bodies, read.gaps.len()), (marks(20..22), 1));
    }
    // A quiet account: nothing newer for ten days, and the vendor said so an hour ago.
    let mut effects = Fake::new(vendor);
    effects.now += 10 * DAY;
    let quiet = drain(&mut open(Start::After(position)), &mut effects, SESSION_V1, Budget::default()).position;
    let mut effects = Fake::new(|request: &Request| match token(request).as_deref() {
        Some("C") => status(400, ""),
        None => file(archive(&[("receipt_9.json", &json(20..22), JAVA)]), Some("D")),
        Some(_) => last(Some("D")),
    });
    effects.now += 10 * DAY + HOUR;
    let read = drain(&mut open(Start::After(quiet)), &mut effects, SESSION_V1, Budget::default());
    assert_eq!((read.bodies, read.faults.len(), read.gaps.len()), (marks(20..22), 0, 0));
    // Without a token a 400 is a fault.
    let fault = open(Start::Configured)
        .pull(&mut Fake::new(|_: &Request| status(400, "")), SESSION_V1, &Budget::default())
        .unwrap_err();
    assert_eq!(fault.class, FaultClass::Protocol);
}

/// An old archive, and no token with it.
fn unfinished(_: &Request) -> Reply {
    let record = record(1).replace("2026-03-08T11:01", "2026-03-01T13:00");
    file(archive(&[("receipt_9.json", record.as_bytes(), JAVA)]), None)
}

/// What was not read before a stop lies in the gap, unless the vendor had said that there is nothing more.
#[test]
fn a_stop_is_a_gap_from_where_everything_was_read() {
    let begin = NOW - 7 * DAY;
    let later = |request: &Request| match token(request).as_deref() {
        Some("D") => last(Some("D")),
        _ => file(archive(&[("receipt_9.json", &json(30..32), JAVA)]), Some("D")),
    };
    for (script, stop, from) in [
        (vendor as fn(&Request) -> Reply, 3 * DAY, None),
        (vendor, 8 * DAY, Some(NOW - PUBLISHED_WITHIN)),
        // A first answer without a token: the oldest archive comes next time, whatever lay between.
        (unfinished, HOUR, None),
        (unfinished, 3 * DAY, Some(begin)),
        (unfinished, 8 * DAY, Some(begin)),
    ] {
        let position = run(&mut Fake::new(script)).position;
        let mut effects = Fake::new(later);
        effects.now += stop;
        let mut reader = open(Start::After(position));
        let chunk = reader.pull(&mut effects, SESSION_V1, &Budget::default()).unwrap();
        let gaps: Vec<_> = chunk.gaps.iter().map(|gap| (gap.begin, gap.end)).collect();
        assert_eq!(gaps, from.map(|from| (Some(from), Some(begin + stop))).into_iter().collect::<Vec<_>>(), "{stop}");
        effects.now += HOUR;
        let again = drain(&mut open(Start::After(chunk.position)), &mut effects, SESSION_V1, Budget::default());
        assert_eq!(again.gaps.len(), 0, "{stop}");
    }
}
