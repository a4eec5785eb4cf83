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
            let Case { route, tasks, kept, far, board, .. } = case;
            drop(route);
            for task in tasks {
                task.await.unwrap();
            }
            sleep(Duration::from_secs(1)).await;
            let counts = kept.counts.lock().unwrap().clone();
            assert_eq!(counts.imbalances(), [""; 0]);
            let (counts, took) = (&counts.sinks["far"], begun.elapsed());
            assert_eq!((counts.delivered, counts.lost), if holds { (3, 0) } else { (0, 3) });
            assert_eq!(far.stored.lock().unwrap().len(), if holds { 3 } else { 0 });
            assert_eq!(took > wait / 2, holds, "{took:?}");
            assert_eq!(board.all()[0].queued_events, 0);
        }
    }
}
