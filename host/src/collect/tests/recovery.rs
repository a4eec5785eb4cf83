//! How a stream goes on after trouble: by itself, when it is told to, or with another configuration.

use super::*;
use crate::collect::Policy;
use crate::sandbox::GuestError;

/// How often the streams were read, and the last start.
fn opened(case: &Case) -> (usize, Option<Start>) {
    case.vendor.with(|state| (state.opened.len(), state.opened.last().map(|(_, start)| start.clone())))
}

#[tokio::test(start_paused = true)]
async fn a_fresh_session_that_is_refused_counts_as_wrong_credentials() {
    let case = Case::new(10);
    case.vendor.with(|state| state.expired = u64::MAX);
    let running = case.start();
    sleep(Duration::from_secs(30)).await;
    let status = only(&running);
    // Twice in quick succession may be chance, so it is tried once more before the hour.
    assert_eq!((status.state, status.faults), (StreamState::Authenticated, 1));
    sleep(59 * MINUTE).await;
    let status = only(&running);
    assert_eq!((status.state, status.faults), (StreamState::Error, 2));
    assert_eq!(case.vendor.with(|state| state.sessions), 4);
    case.vendor.with(|state| state.expired = 0);
    sleep(2 * MINUTE).await;
    assert_eq!(only(&running).state, StreamState::Collecting);
}

#[tokio::test(start_paused = true)]
async fn two_revocations_in_quick_succession_are_over_in_a_minute() {
    let case = Case::new(10);
    case.vendor.with(|state| state.expired = 2);
    let running = case.start();
    sleep(MINUTE + Duration::from_secs(1)).await;
    assert_eq!(only(&running).state, StreamState::Collecting);
    assert_eq!(case.vendor.with(|state| state.sessions), 3);
    assert!(running.stop().await);
    case.assert_whole(0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_position_follows_the_policy() {
    for (policy, again) in [(OnPositionLost::Oldest, true), (OnPositionLost::Now, true), (OnPositionLost::Stop, false)]
    {
        let case = Case { policy, ..Case::new(100) };
        let running = case.start();
        running.caught_up().await;
        case.vendor.fails(FaultClass::PositionLost);
        sleep(12 * MINUTE).await;
        let position = 100u64.to_be_bytes().to_vec();
        let starts = case.vendor.with(|state| state.opened.iter().map(|(_, start)| start.clone()).collect::<Vec<_>>());
        let expected = match policy {
            OnPositionLost::Oldest => Some(Start::Oldest(Some(position))),
            OnPositionLost::Now => Some(Start::Now(Some(position))),
            OnPositionLost::Stop => None,
        };
        assert_eq!(starts.get(2).cloned(), expected, "{policy:?}");
        assert_eq!(only(&running).state == StreamState::Stopped, !again);
        assert_eq!(starts.len() > 3, again, "it goes on from there: {starts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn configuration_stops_and_a_missing_right_is_tried_hourly() {
    let case = Case::new(10);
    case.vendor.fails(FaultClass::NotEntitled);
    let running = case.start();
    running.caught_up().await;
    assert_eq!(only(&running).state, StreamState::NotLicensed);
    sleep(61 * MINUTE).await;
    assert_eq!(only(&running).state, StreamState::Collecting);
    case.vendor.fails(FaultClass::Configuration);
    sleep(6 * MINUTE).await;
    let pulls = case.vendor.with(|state| state.pulls);
    assert_eq!(only(&running).state, StreamState::Stopped);
    sleep(600 * MINUTE).await;
    assert_eq!(case.vendor.with(|state| state.pulls), pulls);
    assert!(running.stop().await);
}

#[tokio::test(start_paused = true)]
async fn a_restart_wakes_what_stands_still_and_what_waits() {
    for class in [
        FaultClass::Configuration,
        FaultClass::Credentials,
        FaultClass::NotEntitled,
        FaultClass::Throttled(600_000),
        FaultClass::Unavailable,
    ] {
        let case = Case::new(10);
        // So often that the wait of a passing fault is long.
        case.vendor.with(|state| state.script.extend((0..20).map(|_| fault(class))));
        let running = case.start();
        sleep(2 * MINUTE).await;
        case.vendor.with(|state| state.script.clear());
        let before = only(&running);
        assert!(before.fault.is_some() && before.read.records == 0, "{class:?}: {before:?}");
        assert!(!running.restart("other"));
        assert!(running.restart("acme"));
        sleep(Duration::from_secs(1)).await;
        let after = only(&running);
        assert_eq!((after.state, after.fault), (StreamState::Collecting, None), "{class:?}");
        assert_eq!(case.vendor.with(|state| state.sessions), 2, "{class:?}: with a session of its own");
        assert!(running.stop().await);
        case.assert_whole(0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_a_healthy_stream_reads_on_behind_the_last_chunk() {
    let case = Case::new(200_000);
    let running = case.start();
    for _ in 0..4 {
        sleep(Duration::from_millis(35)).await;
        let read = only(&running).read.records;
        assert!(read > 0 && !only(&running).caught_up, "in the middle");
        assert!(running.restart("acme"));
        sleep(Duration::from_millis(15)).await;
        let Some(Start::After(position)) = opened(&case).1 else { panic!("it opened at {:?}", opened(&case)) };
        assert!(number(&position) >= read && number(&position) <= only(&running).read.records);
    }
    assert_eq!(opened(&case).0, 5);
    running.caught_up().await;
    assert!(running.stop().await);
    case.assert_whole(0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_its_position_stands_still_until_the_policy_says_more() {
    let case = Case { policy: OnPositionLost::Stop, ..Case::new(100) };
    let running = case.start();
    running.caught_up().await;
    let lost = |case: &Case| case.vendor.with(|state| state.script.extend([fault(FaultClass::PositionLost)]));
    lost(&case);
    sleep(6 * MINUTE).await;
    let status = only(&running);
    assert_eq!(status.state, StreamState::Stopped);
    let (said, cause) = (status.fault.unwrap(), status.cause.unwrap());
    assert!(cause.code == "code" && cause.hint.is_some_and(|hint| hint.contains("SIGHUP")), "{said}");
    for word in ["on_position_lost", "\"oldest\"", "\"now\"", "SIGHUP", "tributary state reset acme --stream log"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    // The same again: it stops again, and nobody is asked meanwhile.
    lost(&case);
    running.restart("acme");
    sleep(6 * MINUTE).await;
    let pulls = case.vendor.with(|state| state.pulls);
    sleep(600 * MINUTE).await;
    assert_eq!(only(&running).state, StreamState::Stopped);
    assert_eq!(case.vendor.with(|state| state.pulls), pulls);
    lost(&case);
    let policy = Policy { retry_for: 90 * MINUTE, on_position_lost: OnPositionLost::Oldest };
    running.control().fleet.account("acme").unwrap().reconfigure(None, policy);
    sleep(MINUTE).await;
    let status = only(&running);
    assert_eq!((status.state, status.fault, status.cause), (StreamState::Collecting, None, None));
    let position = 100u64.to_be_bytes().to_vec();
    let starts = case.vendor.with(|state| state.opened.iter().map(|(_, start)| start.clone()).collect::<Vec<_>>());
    assert!(starts.contains(&Start::Oldest(Some(position))), "{starts:?}");
}

#[tokio::test(start_paused = true)]
async fn long_trouble_is_retried_at_the_interval() {
    let case = Case::new(10);
    let trouble = |hours: u64| (0..hours * 100).map(|_| fault(FaultClass::Unavailable));
    case.vendor.with(|state| state.script.extend(trouble(20)));
    let running = case.start();
    sleep(89 * MINUTE).await;
    assert_ne!(only(&running).state, StreamState::Error);
    sleep(10 * MINUTE).await;
    assert_eq!(only(&running).state, StreamState::Error);
    let pulls = case.vendor.with(|state| state.pulls);
    sleep(500 * MINUTE).await;
    let more = case.vendor.with(|state| state.pulls) - pulls;
    assert!((99..=101).contains(&more), "every five minutes: {more}");
    case.vendor.with(|state| state.script.clear());
    sleep(5 * MINUTE).await;
    assert_eq!(only(&running).state, StreamState::Collecting);
    assert!(running.stop().await);
    case.assert_whole(0);
}

#[tokio::test(start_paused = true)]
async fn logins_are_tried_again_as_their_trouble_wants() {
    let mut expired = fault(FaultClass::Credentials);
    if let GuestError::Fault(fault) = &mut expired {
        fault.code = "keys-expired".into();
    }
    let cases = [
        // What, its state, logins in ten hours from the second on.
        (fault(FaultClass::Credentials), StreamState::Error, 9..=10),
        (fault(FaultClass::NotEntitled), StreamState::NotLicensed, 9..=10),
        (fault(FaultClass::Configuration), StreamState::Stopped, 0..=0),
        (expired, StreamState::Stopped, 0..=0),
        // Forty or so in the first ninety minutes, then one in five minutes.
        (fault(FaultClass::Unavailable), StreamState::Error, 110..=160),
    ];
    for (error, state, logins) in cases {
        let case = Case::new(10);
        case.vendor.with(|vendor| vendor.refuses = Some(error.clone()));
        let running = case.start();
        sleep(600 * MINUTE).await;
        let tried = case.vendor.with(|vendor| vendor.logins.clone());
        assert_eq!(only(&running).state, state, "{error}");
        assert!(logins.contains(&(tried.len() - 1)), "{error}: {tried:?}");
        if matches!(&error, GuestError::Fault(fault) if fault.class == FaultClass::Unavailable) {
            let late: Vec<_> = tried.windows(2).filter(|pair| pair[0] > 100 * MINUTE).collect();
            assert!(late.iter().all(|pair| pair[1] - pair[0] >= 5 * MINUTE), "at the interval: {tried:?}");
        }
        case.vendor.with(|vendor| vendor.refuses = None);
        assert!(running.restart("acme"));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(only(&running).state, StreamState::Collecting, "{error}");
        assert!(running.stop().await);
        case.assert_whole(0);
    }
}

/// What is logged in this thread from now on, until the second is dropped.
fn logged() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
    let writer = Arc::clone(&bytes);
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || Shared(Arc::clone(&writer))).finish();
    (bytes, tracing::subscriber::set_default(subscriber))
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_in_error_for_want_of_a_session_are_one_error_line() {
    // What passes by itself is an error when it has lasted; what does not is said as one at once.
    for (class, lines) in [(FaultClass::Unavailable, 1), (FaultClass::Credentials, 3)] {
        let case = Case::new(10);
        case.vendor.with(|vendor| vendor.refuses = Some(fault(class)));
        let (bytes, guard) = logged();
        let mut ready = case.ready();
        let first = ready.streams[0].clone();
        ready.streams.extend(["second", "third"].map(|name| LogStream { name: name.into(), ..first.clone() }));
        let sink = Arc::<sinks::Steered>::default().attached("lake", true);
        let running = Running::new(vec![ready], vec![sink], Arc::clone(&case.world) as _, 256 << 20, outside(), MINUTE);
        sleep(80 * MINUTE).await;
        let errors = || {
            let text = String::from_utf8(bytes.lock().unwrap().clone()).unwrap();
            text.lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect::<Vec<_>>()
        };
        let early = errors().len();
        assert_eq!(early, if class == FaultClass::Unavailable { 0 } else { 2 }, "{:#?}", errors());
        sleep(60 * MINUTE).await;
        assert!(running.status().iter().all(|status| status.state == StreamState::Error));
        let errors = errors();
        assert_eq!(errors.len(), lines, "{errors:#?}");
        assert!(errors.iter().all(|line| line.contains("there is no session") && line.contains("acme")), "{errors:#?}");
        assert!(running.stop().await);
        drop(guard);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_dead_for_long_is_an_error_of_its_streams() {
    // Room for all of it, and for less than one poll.
    for backlog in [10, 100_000] {
        let case = Case { in_flight: 1 << 20, ..Case::new(backlog) };
        *case.world.sink_fails.lock().unwrap() = u32::MAX;
        let running = case.start();
        sleep(85 * MINUTE).await;
        assert_ne!(only(&running).state, StreamState::Error);
        sleep(15 * MINUTE).await;
        let status = only(&running);
        assert_eq!(status.state, StreamState::Error);
        assert!(status.fault.as_ref().is_some_and(|fault| fault.contains("Nothing is lost")), "{status:?}");
        *case.world.sink_fails.lock().unwrap() = 0;
        sleep(15 * MINUTE).await;
        let status = only(&running);
        assert_eq!((status.state, status.fault), (StreamState::Collecting, None));
        running.caught_up().await;
        assert!(running.stop().await);
        case.assert_whole(0);
    }
}
