//! What is lost to a sink that no position waits for, and what is not.

use super::*;

#[tokio::test(start_paused = true)]
async fn at_the_end_nobody_waits_for_a_sink_that_holds_nothing_and_is_left_alone() {
    let wait = Duration::from_secs(3600);
    let busy = || Does::Fails(SinkError::new("busy").retry(Retry::After(wait)));
    // At the end it is left alone; or it comes to that as it ends.
    for before in [Duration::from_secs(1), Duration::ZERO] {
        for (mut case, holds) in
            [(Case::unheld(Terms::default(), vec![busy()]), false), (Case::new(Terms::default(), vec![busy()]), true)]
        {
            case.send(0..3).await;
            sleep(before).await;
            let begun = Instant::now();
            let (far, board) = (Arc::clone(&case.far), case.board.clone());
            let (counts, _) = ended(case).await;
            let (counts, took) = (&counts.sinks["far"], begun.elapsed());
            assert_eq!((counts.delivered, counts.lost), if holds { (3, 0) } else { (0, 3) });
            assert_eq!(far.stored.lock().unwrap().len(), if holds { 3 } else { 0 });
            assert_eq!(took > wait / 2, holds, "{took:?}");
            assert_eq!(board.all()[0].queued_events, 0);
        }
    }
}

/// A rule cannot look into it.
const ODD: &str = "{\"a\" \"secret\":1}";

fn hides() -> Rules {
    rule(Action::Mask(Replacement::new("-")), "secret")
}

/// Ends it; gives what it has counted, and the reasons of the letters.
async fn ended(case: Case) -> (Counts, Vec<String>) {
    let Case { route, tasks, kept, .. } = case;
    drop(route);
    for task in tasks {
        task.await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    let counts = kept.counts.lock().unwrap().clone();
    assert_eq!(counts.imbalances(), [""; 0]);
    let letters = kept.letters.lock().unwrap();
    (counts, letters.iter().map(|letter| letter.reason.clone()).collect())
}

#[tokio::test(start_paused = true)]
async fn of_a_chunk_only_what_had_no_answer_is_lost_and_its_letters_are_kept() {
    let busy = Does::Fails(SinkError::new("busy").retry(Retry::After(Duration::from_secs(3600))));
    let script = vec![says(0..4, unsure(1)), says([], again()), busy];
    let terms = Terms { max_events: 4, ..Terms::default() };
    let mut case = Case::with(terms, script, (Rules::default(), hides()), false);
    let numbers: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    case.send_lines(&[ODD].into_iter().chain(numbers.iter().map(String::as_str)).collect::<Vec<_>>()).await;
    sleep(Duration::from_secs(1)).await;
    let status = case.board.all().remove(0);
    assert_eq!((status.events, status.queued_events), (4, 2), "the others wait");
    let (counts, letters) = ended(case).await;
    let sink = counts.sinks["far"];
    assert_eq!((counts.accepted, sink.delivered, sink.dead_lettered, sink.lost, sink.pending()), (11, 4, 5, 2, 0));
    assert_eq!(letters.iter().filter(|reason| *reason == "one of these").count(), 4);
    assert_eq!(letters.len(), 5, "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_is_lost_but_its_letters_are_kept() {
    let busy = Does::Fails(SinkError::new("busy").retry(Retry::After(Duration::from_secs(3600))));
    let mut case = Case::with(Terms::default(), vec![busy], (Rules::default(), hides()), false);
    // More than may wait.
    case.send_lines(&[&"0".repeat(17 << 20)]).await;
    case.send_lines(&[ODD, "1"]).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(case.board.all()[0].queued_events, 1);
    let counts = case.kept.counts.lock().unwrap().sinks["far"];
    assert_eq!((counts.accepted, counts.dead_lettered, counts.lost, counts.pending()), (3, 1, 1, 1));
    assert_eq!(case.kept.letters.lock().unwrap().len(), 1);
    let (counts, _) = ended(case).await;
    assert_eq!((counts.sinks["far"].lost, counts.sinks["far"].delivered), (2, 0));
}
