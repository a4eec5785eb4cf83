//! Which addresses a name may lead to, on real sockets. The client of these tests may reach 127.0.0.1, which stands for the
//! internet here, and no other address that is not public.

use std::time::Duration;

use tributary_host::config::network::NetworkSettings;
use tributary_host::sandbox::{Egress, EgressMode, Refusal, TransportError};

use crate::far::{Client, FakeNames, Server};

fn is_denied(answer: &Result<(u16, String), TransportError>) -> bool {
    matches!(answer, Err(TransportError::Egress(Refusal::Address { .. })))
}

fn client(answers: &[&[&str]]) -> (Client, std::sync::Arc<FakeNames>) {
    let names = FakeNames::leading(answers);
    (Client::new(&NetworkSettings::default(), &names), names)
}

#[tokio::test]
async fn a_name_that_is_rebound_is_judged_each_time_and_resolved_once() {
    let server = Server::plain().await;
    let (client, names) =
        client(&[&["127.0.0.1"], &["127.0.0.2"], &["10.0.0.1"], &["169.254.169.254"], &["127.0.0.1"]]);
    let url = format!("http://rebound.test:{}/close", server.port);
    // The server closes, so that each request needs a connection.
    assert_eq!(client.get(&url).await.unwrap().0, 200);
    assert_eq!(names.times(), 1, "a second answer could be another one");
    for _ in 0..3 {
        let answer = client.get(&url).await;
        assert!(is_denied(&answer), "{answer:?}");
    }
    assert_eq!(client.get(&url).await.unwrap().0, 200);
    assert_eq!((names.times(), server.connections(), client.notes.counts().denied), (5, 2, 3));
    let counts = client.notes.counts();
    let last = counts.last_refusal.unwrap();
    assert!(last.contains("rebound.test leads to 169.254.169.254") && last.contains("egress.allow_private"), "{last}");
}

#[tokio::test]
async fn of_mixed_answers_only_the_permitted_are_connected_to() {
    let server = Server::plain().await;
    // The server listens on 127.0.0.1 alone: were the order kept, the first would be tried, and refused.
    let (client, _) = client(&[&["10.255.255.1", "127.0.0.2", "::1", "fd00::1", "127.0.0.1"]]);
    let url = format!("http://mixed.test:{}/", server.port);
    assert_eq!(client.get(&url).await.unwrap().0, 200);
    assert_eq!(client.notes.counts().denied, 0);
    let (other, _) = self::client(&[&["10.255.255.1", "127.0.0.2", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"]]);
    let answer = other.get(&url).await;
    assert!(is_denied(&answer), "{answer:?}");
    assert_eq!((server.connections(), other.notes.counts().denied), (1, 1));
}

#[tokio::test]
async fn addresses_that_are_spelled_otherwise_are_judged_where_they_are_connected_to() {
    let server = Server::plain().await;
    let (client, names) = client(&[]);
    for (host, passes) in [
        ("127.0.0.1", true),
        ("2130706433", true),
        ("0x7f.1", true),
        ("2130706434", false),
        ("0x7f.2", false),
        ("0177.0.0.2", false),
    ] {
        let answer = client.get(&format!("http://{host}:{}/", server.port)).await;
        assert_eq!((answer.is_ok(), is_denied(&answer)), (passes, !passes), "{host}: {answer:?}");
    }
    assert_eq!(names.times(), 0, "an address is no name");
}

#[tokio::test]
async fn a_redirect_is_shown_and_not_followed_and_its_goal_is_denied() {
    let server = Server::plain().await;
    let (client, _) = client(&[&["127.0.0.1"]]);
    let answer = client.head(&format!("http://vendor.test:{}/redirect", server.port)).await.unwrap();
    assert_eq!((answer.status().as_u16(), server.requests()), (302, 1));
    // The guest that follows it comes by the policy again, whatever its plan names.
    let goal = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    let policy = Egress::new(["http://vendor.test", "http://169.254.169.254"]).unwrap();
    assert!(matches!(policy.judge(&goal), Err(Refusal::Address { .. })));
    assert_eq!(policy.judge(&"http://vendor.test/".parse().unwrap()), Ok(()));
}

#[tokio::test]
async fn in_report_mode_it_is_counted_and_passes() {
    let server = Server::plain().await;
    let names = FakeNames::leading(&[&["127.0.0.1"]]);
    let url = format!("http://private.test:{}/", server.port);
    let report = Client::with_egress(&NetworkSettings::default(), &names, &[], EgressMode::Report);
    assert_eq!(report.get(&url).await.unwrap().0, 200);
    let counts = report.notes.counts();
    assert_eq!((counts.denied, counts.reported), (0, 1), "{counts:?}");
    let enforce = Client::with_egress(&NetworkSettings::default(), &names, &[], EgressMode::Enforce);
    assert!(is_denied(&enforce.get(&url).await));
    let counts = enforce.notes.counts();
    assert_eq!((counts.denied, counts.reported, counts.connections), (1, 0, 0), "{counts:?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_not_denied_but_not_found() {
    for answers in [&[][..], &[&[][..]]] {
        let (client, _) = client(answers);
        let error = client.get("http://nowhere.test/").await.unwrap_err();
        assert!(matches!(error, TransportError::Dns(_)), "{error:?}");
        assert_eq!(client.notes.counts().denied, 0);
    }
}

#[tokio::test]
async fn a_dead_address_does_not_take_the_time_of_the_next_one() {
    let server = Server::plain().await;
    // 192.0.2.0/24 is for documentation: nobody answers there. Where the network says so at once, there is nothing to see.
    let names = FakeNames::leading(&[&["192.0.2.1", "127.0.0.1"]]);
    let allowed = ["192.0.2.0/24", "127.0.0.1/32"];
    let mut client = Client::with_egress(&NetworkSettings::default(), &names, &allowed, EgressMode::Enforce);
    client.options.connect = Duration::from_secs(2);
    assert_eq!(client.get(&format!("http://two.test:{}/", server.port)).await.unwrap().0, 200);
}
