use super::*;

#[test]
fn sessions_and_faults_reach_the_host_and_the_reader_stays_usable() {
    let mut effects = Fake::new(|request: &Request| match parameter(request, "nextPage") {
        Some(_) if request.headers.contains(&("authorization", "Bearer made-up-token".into())) => {
            status(401, r#"{"fail":[{"code":"token_expired","message":"Token expired"}]}"#)
        }
        _ => vendor(request),
    });
    let mut reader = open(Start::Configured);
    let chunk = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    assert_eq!((chunk.events.len(), chunk.next), (20, Next::More));
    let fault = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap_err();
    assert_eq!(fault.class, FaultClass::SessionExpired);
    let read = drain(&mut reader, &mut effects, br#"{"token":"fresh"}"#, Budget::default());
    assert_eq!(read.bodies, marks(3));
    assert!(read.faults.is_empty());

    // A session that was renewed before the fault was told makes the fault pointless.
    let mut reader = open(Start::Configured);
    reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    let read = drain(&mut reader, &mut effects, br#"{"token":"fresh"}"#, Budget::default());
    assert_eq!((read.bodies, read.faults.len()), (marks(3), 0));
    let fault = reader.pull(&mut effects, b"nonsense", &Budget::default()).unwrap_err();
    assert_eq!(fault.class, FaultClass::SessionExpired);
}

#[test]
fn the_quota_is_respected() {
    let mut effects = Fake::new(|request: &Request| match vendor(request) {
        Reply::Status(status, _, body) if number(request).is_none() => Reply::Status(
            status,
            vec![("x-ratelimit-remaining", "0".into()), ("x-ratelimit-reset", "4000.0".into())],
            body,
        ),
        reply => reply,
    });
    let mut reader = open(Start::Configured);
    let chunk = reader.pull(&mut effects, SESSION, &Budget::default()).unwrap();
    assert_eq!((chunk.events.len(), chunk.next, chunk.quota_left), (20, Next::Pause(4_000), Some(0)));
    assert_eq!(reader.pull(&mut effects, SESSION, &Budget::default()).unwrap().next, Next::Pause(4_000));
    effects.monotonic += 4_000;
    let read = drain(&mut reader, &mut effects, SESSION, Budget::default());
    assert_eq!((read.bodies, read.pauses > 0), (marks(3), true));
}
