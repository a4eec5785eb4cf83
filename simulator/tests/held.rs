//! The life of a held message.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use mimecast_simulator::Kind;
use serde_json::{Value, json};

fn queue(world: &mut World) -> Vec<Value> {
    let list = list("held/messages");
    let data = World::window(&list, world.now - 20 * DAY, world.now);
    world.collect_rows(&list, &data, 100)
}

#[test]
fn messages_leave_the_queue_and_their_release_is_told() {
    let mut world = World::full(false, |settings| settings.tenants[0].rates.held = 600);
    let before = queue(&mut world);
    let releases = list("held/releases");
    let begin = world.now;
    world.now += DAY;
    let after: BTreeSet<String> = queue(&mut world).iter().map(|row| row["id"].to_string()).collect();
    let gone: Vec<&Value> = before.iter().filter(|row| !after.contains(&row["id"].to_string())).collect();
    assert!(gone.len() > 20 && gone.len() < before.len(), "{} of {}", gone.len(), before.len());

    // Some minutes on, every end has become visible.
    world.now += 20 * MINUTE;
    let data = World::window(&releases, begin - HOUR, world.now);
    let told = world.collect_rows(&releases, &data, 100);
    let mut by_recipient: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for row in &told {
        by_recipient.entry(row["to"][0]["emailAddress"].to_string()).or_default().push(row);
    }
    for message in gone {
        let told = &by_recipient[&message["to"]["emailAddress"].to_string()];
        let same = |row: &&&Value| row["subject"] == message["subject"] && row["size"] == message["size"];
        let release = told.iter().find(same).expect("the end of a message that has gone is told");
        assert_eq!(release["route"].as_str().unwrap().to_uppercase(), message["route"].as_str().unwrap());
        assert_eq!(release["fromEnv"]["emailAddress"], message["from"]["emailAddress"]);
        assert!(message["reason"].as_str().unwrap().contains(release["heldReason"].as_str().unwrap()));
    }
    let statuses: BTreeSet<&str> = told.iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, BTreeSet::from(["released", "rejected"]));
    assert!(told.iter().any(|row| row.get("released").is_none()), "some lack their time");
    let operators: BTreeSet<bool> = told.iter().map(|row| row["operator"].is_object()).collect();
    assert_eq!(operators.len(), 2, "text and object");
}

#[test]
fn truth_tells_when_a_message_is_gone() {
    let mut world = World::full(false, |_| {});
    let list = list("held/messages");
    let data = World::window(&list, world.now - 3 * DAY, world.now);
    let issued: Vec<_> = world.simulator.truth("one", world.now).filter(|it| it.stream == list.1).collect();
    let rows = texts(&world.collect_rows(&list, &data, 500));
    let found = marks(rows);
    for it in &issued {
        let there = it.gone_from_ms.is_none_or(|gone| world.now < gone);
        assert_eq!(found.contains_key(&it.mark), there);
        assert!(it.gone_from_ms.unwrap() >= it.visible_from_ms + 10 * MINUTE, "nobody is faster than a poll");
    }
    assert!(found.len() < issued.len());
}

#[test]
fn nobody_decides_and_the_message_expires() {
    let mut world = World::full(false, |settings| settings.held_life_ms = (HOUR, 2 * HOUR));
    assert!(!queue(&mut world).is_empty());
    world.simulator.insert_rows("one", Kind::Held, 1, world.now, world.now, world.now).unwrap();
    let oldest =
        |rows: &[Value]| rows.iter().map(|row| row["dateReceived"].as_str().unwrap().to_owned()).min().unwrap();
    let rows = queue(&mut world);
    // Two hours, and the lag before them.
    assert!(oldest(&rows) >= iso(world.now - 2 * HOUR - 11 * MINUTE), "{}", oldest(&rows));
    world.now += 40 * DAY;
    let list = list("held/messages");
    let data = World::window(&list, world.now - 41 * DAY, world.now - 39 * DAY);
    assert_eq!(world.collect_rows(&list, &data, 10).len(), 1, "what a test puts in stays");
}

#[test]
fn a_message_to_many_is_many_rows_of_one_second() {
    let mut world = World::full(false, |settings| settings.tenants[0].rates.held = 2_000);
    let mut by_message: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for row in queue(&mut world) {
        assert_eq!(row["route"].as_str().map(str::to_uppercase).as_deref(), row["route"].as_str());
        let key = (row["dateReceived"].to_string(), row["size"].to_string());
        by_message.entry(key).or_default().insert(row["to"]["emailAddress"].to_string());
    }
    assert!(by_message.values().any(|recipients| recipients.len() > 5));
}

#[test]
fn without_admin_the_queue_is_ones_own() {
    let mut world = World::full(false, |_| {});
    let list = list("held/messages");
    let data = json!({"start": iso(world.now - DAY), "end": iso(world.now)});
    assert!(world.collect_rows(&list, &data, 10).is_empty());
    let data = World::window(&list, world.now - DAY, world.now);
    assert!(!world.collect_rows(&list, &data, 10).is_empty());
}
