//! Events that the far side refuses for good.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_few_refusals_become_letters_and_many_are_held() {
    let mut case = Case::new(
        Terms::default(),
        vec![says([7], refused()), says(200..211, refused()), says(200..211, refused()), says([], refused())],
    );
    case.send(0..200).await;
    let counts = case.settled(200).await;
    assert_eq!((counts.delivered, counts.dead_lettered), (199, 1));
    case.send(200..400).await;
    let counts = case.settled(400).await;
    assert_eq!(
        (counts.delivered, counts.dead_lettered),
        (399, 1),
        "eleven of two hundred were held until they were taken"
    );
    assert_eq!(case.given()[2..], [(200..211).collect::<Vec<_>>(), (200..211).collect()]);
    assert_eq!(case.stored(), (0..400).filter(|number| *number != 7).collect::<Vec<_>>(), "each once");
    assert!(case.kept.letters.lock().unwrap().iter().all(|letter| !letter.unsure));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_in_a_part_is_judged_by_all_of_the_delivery() {
    for concurrency in [Concurrency::Fixed(1), Concurrency::Adaptive(8)] {
        for first in [0, 1_000, 2_563] {
            let mut case = Case::new(Terms { concurrency, ..Terms::default() }, Vec::new());
            let bad: BTreeSet<u64> = (first..first + 7).collect();
            case.far.bad.lock().unwrap().clone_from(&bad);
            let begun = Instant::now();
            case.send(0..2_570).await;
            let counts = case.settled(2_570).await;
            assert_eq!((counts.delivered, counts.dead_lettered), (2_563, 7));
            assert!(case.stored().into_iter().eq((0..2_570).filter(|number| !bad.contains(number))), "each once");
            let tries = case.given().len() as u32;
            assert!(begun.elapsed() <= Duration::from_millis(11) * tries, "it was never held");
            assert_eq!(case.board.all()[0].queued_events, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_mistake_is_held_though_it_is_told_of_no_single_event() {
    for concurrency in [Concurrency::Fixed(1), Concurrency::Adaptive(8)] {
        let mut case = Case::new(Terms { concurrency, ..Terms::default() }, Vec::new());
        case.far.bad.lock().unwrap().extend(0..2_570);
        case.send(0..2_570).await;
        sleep(Duration::from_secs(60)).await;
        let trouble = case.board.all()[0].trouble.clone();
        assert!(trouble.as_ref().is_some_and(|why| why.contains("refuses 129 of 2570 events")), "{trouble:?}");
        // Now and then another part is tried.
        let tries = case.given().len();
        sleep(Duration::from_secs(36_000)).await;
        let more = case.given().len() - tries;
        assert!((50..1_000).contains(&more), "{more}");
        assert!(case.kept.letters.lock().unwrap().is_empty() && case.stored().is_empty());
        // A few are bad indeed.
        case.far.bad.lock().unwrap().retain(|number| number % 100 == 0);
        let counts = case.settled(2_570).await;
        assert_eq!((counts.delivered, counts.dead_lettered), (2_544, 26));
        assert!(case.stored().into_iter().eq((0..2_570).filter(|number| number % 100 != 0)), "each once");
        assert!(case.board.all()[0].trouble.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_refused_is_kept_and_not_given_again() {
    let mut case = Case::new(Terms { max_events: 100, ..Terms::default() }, vec![says(0..100, unsure(1))]);
    case.send(0..300).await;
    let counts = case.settled(300).await;
    assert_eq!((counts.delivered, counts.dead_lettered, case.given().len()), (200, 100, 3));
    let (letters, status) = (case.kept.letters.lock().unwrap(), case.board.all().remove(0));
    assert!(letters.len() == 100 && letters.iter().all(|letter| letter.unsure && letter.reason == "one of these"));
    assert_eq!((status.trouble, status.events, status.queued_events), (None, 200, 0), "it holds nothing");
}

#[tokio::test(start_paused = true)]
async fn while_too_many_are_refused_and_nobody_says_which_the_others_wait() {
    for (refused, waits) in [(5, false), (6, true)] {
        let script = vec![says(0..100, unsure(refused)), says(100..200, unsure(refused))];
        let mut case = Case::new(Terms { max_events: 100, ..Terms::default() }, script);
        case.send(0..300).await;
        sleep(Duration::from_millis(35)).await;
        let trouble = case.board.all()[0].trouble.clone();
        let says =
            |why: &str| why.contains("too many events for good: one of these") && why.contains("dead-letters replay");
        assert_eq!(trouble.is_some_and(|why| says(&why)), waits);
        assert_eq!(case.given().len(), if waits { 1 } else { 3 });
        let counts = case.settled(300).await;
        assert_eq!((counts.delivered, counts.dead_lettered), (100, 200));
        assert_eq!(case.given().concat(), (0..300).collect::<Vec<_>>(), "nothing is given again");
        let status = case.board.all().remove(0);
        assert_eq!((status.trouble, status.queued_events), (None, 0), "one that is taken ends it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_no_success() {
    let mut case = Case::new(Terms::default(), vec![Does::Fails(SinkError::new("nobody answers"))]);
    case.send(0..1).await;
    sleep(Duration::from_millis(50)).await;
    assert!(case.board.all()[0].trouble.is_some());
    case.far.bad.lock().unwrap().insert(0);
    let counts = case.settled(1).await;
    let status = case.board.all().remove(0);
    assert_eq!((counts.delivered, counts.dead_lettered), (0, 1));
    assert_eq!((status.deliveries, status.failures, status.succeeded_ms), (0, 1, None));
    assert_eq!(status.trouble, None, "nothing waits for it");
    // While another waits, it is as it was.
    let bad = Terms { max_events: 1, concurrency: Concurrency::Fixed(1), ..Terms::default() };
    let fails = || Does::Fails(SinkError::new("nobody answers"));
    let mut case = Case::new(bad, vec![fails(), says([0], refused()), fails()]);
    case.send(0..2).await;
    let seen = || (case.board.all()[0].trouble.is_some(), case.board.all()[0].queued_events);
    while seen().1 == 2 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(seen(), (true, 1));
    case.settled(2).await;
    assert_eq!(case.board.all()[0].trouble, None);
    // One that takes some of it is.
    let mut case = Case::new(Terms::default(), vec![Does::Fails(SinkError::new("busy")), says([0], refused())]);
    case.send(0..2).await;
    let counts = case.settled(2).await;
    let status = case.board.all().remove(0);
    assert_eq!((counts.delivered, counts.dead_lettered), (1, 1));
    assert!(status.deliveries == 1 && status.succeeded_ms.is_some() && status.trouble.is_none(), "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_no_reason_to_give_more_at_once() {
    for bad in [true, false] {
        let concurrency = Concurrency::Adaptive(8);
        let mut case = Case::new(Terms { max_events: 1, concurrency, ..Terms::default() }, Vec::new());
        if bad {
            case.far.bad.lock().unwrap().extend(0..5);
        }
        case.send(0..5).await;
        assert_eq!(case.settled(5).await.dead_lettered, if bad { 5 } else { 0 });
        assert_eq!(case.far.under_way.lock().unwrap().1 > 1, !bad);
    }
}
