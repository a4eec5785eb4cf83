//! The tables of values: what Mimecast's words mean in OCSF (section 4.5 of the normalization reference).

/// An OCSF action and disposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub action_id: i64,
    pub disposition_id: i64,
}

impl Verdict {
    pub const QUARANTINED: i64 = 3;
    pub const ISOLATED: i64 = 4;
    pub const REJECTED: i64 = 25;
    pub const ALLOWED: i64 = 1;
    pub const NO_ACTION: i64 = 16;
}

/// What an action means, in any case. `None` is 99, with Mimecast's word beside it.
///
/// `finding`: the record reports a detection, so that "no action" means that it was observed, not that it was allowed.
pub fn verdict(action: &[u8], finding: bool) -> Option<Verdict> {
    let mut lower = [0u8; 24];
    let action = action.trim_ascii();
    let word = lower.get_mut(..action.len())?;
    word.copy_from_slice(action);
    word.make_ascii_lowercase();
    let (action_id, disposition_id) = match &*word {
        b"acc" | b"allow" | b"continue" | b"delivered" | b"delivery_in_progress" => (1, Verdict::ALLOWED),
        b"none" | b"do_nothing" => (if finding { 3 } else { 1 }, Verdict::NO_ACTION),
        b"rej" | b"bnc" | b"reject" | b"rejected" | b"bounce" => (2, Verdict::REJECTED),
        b"block" | b"blocked" => (2, 2),
        b"hld" | b"hold" | b"held" | b"quarantine" | b"quarantined" => (2, Verdict::QUARANTINED),
        b"sdbx" => (3, Verdict::ISOLATED),
        b"warn" | b"notification" => (3, 19),
        b"delete" | b"deleted" => (2, 5),
        b"tag" => (4, 18),
        b"released" => (1, 9),
        _ => return None,
    };
    Some(Verdict { action_id, disposition_id })
}

pub fn action_caption(action_id: i64) -> &'static str {
    match action_id {
        1 => "Allowed",
        2 => "Denied",
        3 => "Observed",
        _ => "Modified",
    }
}

pub fn disposition_caption(disposition_id: i64) -> &'static str {
    match disposition_id {
        1 => "Allowed",
        2 => "Blocked",
        3 => "Quarantined",
        4 => "Isolated",
        5 => "Deleted",
        9 => "Restored",
        16 => "No Action",
        18 => "Tagged",
        19 => "Alert",
        _ => "Rejected",
    }
}

/// `Inbound`, `OUTBOUND`, `internal`: id and caption.
pub fn direction(text: &[u8]) -> Option<(i64, &'static str)> {
    let text = text.trim_ascii();
    let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
    if is("inbound") {
        Some((1, "Inbound"))
    } else if is("outbound") {
        Some((2, "Outbound"))
    } else if is("internal") {
        Some((3, "Internal"))
    } else if is("unknown") {
        Some((0, "Unknown"))
    } else {
        None
    }
}

pub fn severity_caption(severity: u8) -> &'static str {
    match severity {
        0 => "Unknown",
        1 => "Informational",
        2 => "Low",
        3 => "Medium",
        4 => "High",
        5 => "Critical",
        _ => "Fatal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_table_in_any_case() {
        let table: [(&[&str], (i64, i64)); 10] = [
            (&["Acc", "Allow", "allow", "continue", "DELIVERED", "DELIVERY_IN_PROGRESS"], (1, 1)),
            (&["none", "DO_NOTHING", "None"], (1, 16)),
            (&["Rej", "Bnc", "reject", "rejected", "bounce"], (2, 25)),
            (&["delete", "Deleted"], (2, 5)),
            (&["Block", "block", "BLOCKED"], (2, 2)),
            (&["Hld", "hold", " Hold ", "QUARANTINED", "quarantine"], (2, 3)),
            (&["Sdbx"], (3, 4)),
            (&["warn", "notification"], (3, 19)),
            (&["tag"], (4, 18)),
            (&["released"], (1, 9)),
        ];
        for (words, (action_id, disposition_id)) in table {
            for word in words {
                assert_eq!(verdict(word.as_bytes(), false), Some(Verdict { action_id, disposition_id }), "{word}");
            }
        }
        assert_eq!(verdict(b"none", true), Some(Verdict { action_id: 3, disposition_id: 16 }));
        for word in ["", "Ign", "Rty", "a word that is longer than all of them"] {
            assert_eq!(verdict(word.as_bytes(), false), None, "{word}");
        }
    }
}
