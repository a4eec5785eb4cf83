//! A STIX bundle of a threat feed. The first byte chooses the form and the size of pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mimecast_source::effects::Request;
use mimecast_source::streams::read::Cut;
use mimecast_source::streams::read::objects::Objects;
use mimecast_source::streams::read::stix::Joiner;
use mimecast_source_fuzz::drain::{Manner, drain};
use mimecast_source_fuzz::json::Json;
use mimecast_source_fuzz::outside::{Outside, Reply, SESSION, V2};
use mimecast_source_fuzz::piece_sizes;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bundle)) = data.split_first() else { return };
    let sizes = piece_sizes(bundle.len());
    let [whole, others @ ..] = sizes.map(|piece| objects(bundle, piece));
    for other in others {
        assert_eq!(other, whole, "the objects depend on the pieces");
    }
    if let Some(count) = listed(bundle) {
        assert_eq!(whole.len(), count, "objects of the bundle");
    }
    let records = joined(&whole);

    let output = ["ocsf", "ecs", "raw"][usize::from(choice >> 6) % 3];
    let config = format!("{{{V2},\"start_at\":\"30m\",\"output\":\"{output}\"}}");
    let script = |_: &Request| Reply::new(bundle).header("content-type", "application/octet-stream");
    let read = |piece: usize, manner: Manner| {
        drain(&config, "threat_intel/grid", SESSION, &mut Outside::new(piece, &script), manner)
    };
    let once = read(sizes[0], Manner::at_once());
    let again = read(sizes[usize::from(choice & 3)], Manner::at_once());
    // What comes of packed data before it shows that they are damaged depends on the pieces.
    let is_plain = !bundle.starts_with(b"PK") && !bundle.starts_with(&[0x1f, 0x8b]);
    if is_plain {
        assert_eq!(again, once, "it depends on the pieces");
    }
    if is_plain && !once.malformed.iter().any(|piece| piece.reason.contains("passed")) {
        assert_eq!(once.records(), records, "records of the bundle: {:?}", once.faults);
    }
    if once.records() <= 20 {
        let afresh = read(sizes[0], Manner::afresh(400));
        assert_eq!(
            (&afresh.events, afresh.malformed.len()),
            (&once.events, once.malformed.len()),
            "a reader that is opened anew reads something else"
        );
    }
});

fn objects(bundle: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut objects = Objects::of_list(b"objects");
    let mut seen = Vec::new();
    let mut take = |objects: &mut Objects| {
        while let Some(cut) = objects.cut() {
            match cut {
                Cut::Record(bytes) => seen.push(bytes.to_vec()),
                Cut::TooLong { .. } => panic!("an object of {} bytes is too long", bundle.len()),
            }
        }
    };
    for piece in bundle.chunks(piece) {
        objects.room().extend_from_slice(piece);
        take(&mut objects);
    }
    objects.finish();
    take(&mut objects);
    seen
}

/// How many objects a good bundle lists. An empty list makes the bundle itself the one object.
fn listed(bundle: &[u8]) -> Option<usize> {
    let json = Json::read(bundle)?;
    let Json::Object(members) = &json else { return None };
    let Json::List(objects) = json.get("objects")? else { return None };
    let escaped = bundle.contains(&b'\\');
    let good = members.iter().filter(|(name, _)| name == "objects").count() == 1
        && objects.iter().all(|object| matches!(object, Json::Object(_)))
        && !escaped;
    good.then_some(objects.len())
}

/// Joins objects, and tells how many records there are.
fn joined(objects: &[Vec<u8>]) -> usize {
    let mut joiner = Joiner::default();
    objects.iter().for_each(|object| joiner.push(object));
    joiner.finish();
    let records: Vec<Vec<u8>> = std::iter::from_fn(|| joiner.next_record()).collect();
    for object in objects {
        let text = object.trim_ascii();
        // Of an indicator that was joined, its closing brace comes later.
        let text = text.strip_suffix(b"}").unwrap_or(text);
        let is_bundle = read(object).is_some_and(|json| json.get("type").and_then(Json::text) == Some("bundle"));
        let arrived =
            text.is_empty() || records.iter().any(|record| record.windows(text.len()).any(|part| part == text));
        assert!(arrived || is_bundle, "an object is lost: {}", String::from_utf8_lossy(object));
    }
    // What is joined is as good as its parts.
    if objects.iter().all(|object| matches!(read(object), Some(Json::Object(_)))) {
        for record in &records {
            assert!(read(record).is_some(), "joined to no JSON: {}", String::from_utf8_lossy(record));
        }
    }
    records.len()
}

/// Bytes that are no UTF-8 stand for a letter.
fn read(object: &[u8]) -> Option<Json> {
    Json::read(String::from_utf8_lossy(object).as_bytes())
}
