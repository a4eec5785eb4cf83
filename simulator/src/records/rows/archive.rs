//! Rows about who searched and read what in the archive (section 6.9 of the API reference).

use serde_json::{Value, json};

use super::mail::{Mail, Place, person};
use super::{Row, Rows};
use crate::kind::Kind;
use crate::random::Random;
use crate::time::{DAY, with_offset};

pub fn search(rows: &Rows, row: &Row, mut random: Random) -> Value {
    let who = format!("{}@{}", person(&mut random).to_lowercase().replace(' ', "."), rows.domain);
    let in_reason = row.mark.0.is_multiple_of(4);
    let text = match random.below(4) {
        0 => "[Route : outbound]".to_owned(),
        1 => format!("[From : {who}][Subject : \"Übersicht\"]"),
        2 => "<xmlquery><metadata query-type=\"emailarchive\"/></xmlquery>".to_owned(),
        _ => "invoice OR \"credit note\"".to_owned(),
    };
    let (text, reason) =
        if in_reason { (text, format!("Case {}", row.mark)) } else { (format!("{text} {}", row.mark), String::new()) };
    let by_system = row.kind == Kind::ArchiveSearch && random.chance(80);
    let mut record = json!({
        "createTime": with_offset(row.time_ms, 0),
        "emailAddr": if by_system { "<>" } else { who.as_str() },
        "source": random.pick(&["archive", "archive", "tracking", "Outlook"]),
        "searchText": text,
        "searchReason": reason,
        "description": random.pick(&["Message Tracking Search", "Threat Remediation search", "Audit [Page 1] - Depth 100", ""]),
    });
    if random.chance(400) {
        record["searchPath"] = random.pick(&["Archive/Search", "Administration / Archive / Search \\ all", ""]).into();
    }
    if row.kind == Kind::ArchiveUserSearch {
        record["museQuery"] = "<xmlquery trace=\"iql,muse\"><metadata active=\"true\"/></xmlquery>".into();
    } else if random.chance(300) {
        record["isAdmin"] = random.chance(800).into();
    }
    record
}

pub fn view(rows: &Rows, row: &Row, mut random: Random) -> Value {
    let mail = Mail::new(rows, row, &["inbound", "outbound", "internal"], false, Place::Subject);
    let sent = row.time_ms - random.between(1, 400) * DAY / 8;
    json!({
        "to": mail.recipient,
        "from": mail.sender,
        "viewed": with_offset(row.time_ms, 0),
        "source": random.pick(&["Archive", "Tracking", "Case Review"]),
        "viewer": format!("{}@{}", person(&mut random).to_lowercase().replace(' ', "."), rows.domain),
        "messageDate": with_offset(sent, 0),
        "discoveryCase": random.chance(300),
        "contentViewed": random.chance(600),
        "subject": mail.subject,
    })
}
