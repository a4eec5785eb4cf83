//! The objects of the threat feeds (sections 6.10 and 13.6 of the API reference).

use serde_json::{Value, json};

use super::mail::{Mail, Place, file};
use super::{Row, Rows};
use crate::random::{Random, combine};
use crate::time::{Millis, with_millis, with_offset};

/// The first line of the CSV form.
pub const CSV_HEADER: &str =
    "Timestamp|SHA256|MD5|FileName|FileExtension|FileMimeType|SenderAddress|RecipientAddress|Subject";

/// So many hashes there are: the same comes again and again under new ids.
const HASHES: u64 = 400;

struct Threat {
    sha256: String,
    time: Millis,
    random: Random,
}

fn threat(row: &Row, mut random: Random) -> Threat {
    let hash = combine(&[random.below(HASHES), 41]);
    let time = row.time_ms + random.below(1000);
    Threat { sha256: Random::new(hash).hex(64), time, random }
}

/// Malware, indicator and the relationship between them; or one of them, alone.
pub fn objects(row: &Row, random: Random) -> Vec<Value> {
    let Threat { sha256, time, mut random } = threat(row, random);
    let created = with_millis(time);
    let modified = if random.chance(100) { with_millis(time + 60_000) } else { created.clone() };
    let (malware_id, indicator_id) = (format!("malware--{}", random.uuid()), format!("indicator--{}", random.uuid()));
    let alone = random.below(40);
    // The mark stands in one of the two, wherever somebody looks for it.
    let in_name = alone == 0 || (alone > 2 && row.mark.0.is_multiple_of(2));
    let malware = json!({
        "type": "malware", "id": malware_id, "created": created, "modified": modified,
        "name": if in_name { format!("Example.Dropper.{}", row.mark) } else { sha256.clone() },
        "labels": [random.pick(&["virus", "trojan"])],
    });
    let pattern = match random.below(10) {
        0 => format!("[file:hashes.MD5 = '{}']", random.hex(32)),
        1 => format!("[file:hashes.'SHA-1' = '{}' OR file:hashes.'SHA-256' = '{sha256}']", random.hex(40)),
        _ => format!("[file:hashes.'SHA-256' = '{sha256}']"),
    };
    let mut indicator = json!({
        "type": "indicator", "id": indicator_id, "created": created, "modified": modified,
        "labels": ["malicious-activity"], "valid_from": with_millis(time / 1000 * 1000), "pattern": pattern,
    });
    if !in_name {
        indicator["description"] = format!("Seen in mail ({})", row.mark).into();
    }
    let mut relationship = json!({
        "type": "relationship", "id": format!("relationship--{}", random.uuid()), "created": created,
        "modified": modified, "relationship_type": "indicates",
        "source_ref": indicator["id"], "target_ref": malware["id"],
    });
    match alone {
        0 => vec![malware],
        1 => vec![indicator],
        2 => {
            relationship["description"] = format!("Both were in an earlier bundle ({})", row.mark).into();
            vec![relationship]
        }
        _ => vec![malware, indicator, relationship],
    }
}

pub fn csv(rows: &Rows, row: &Row, random: Random) -> String {
    let Threat { sha256, time, mut random } = threat(row, random);
    let mail = Mail::new(rows, row, &["inbound"], true, Place::Elsewhere);
    let (name, extension, mime) = file(&mut random, Some(row.mark.to_string()));
    let name = if random.chance(200) { format!("\"a|{name}\"") } else { name };
    let md5 = random.hex(32);
    let subject = mail.subject.replace('|', "/");
    [&with_offset(time, 0), &sha256, &md5, &name, extension, mime, &mail.sender, &mail.recipient, &subject].join("|")
}
