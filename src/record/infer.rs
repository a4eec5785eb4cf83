//! The kind of an API 1.0 SIEM record whose file's name does not tell it: its fields do (section 3.3 of the
//! normalization reference).

use std::sync::LazyLock;

use super::dictionary::{LISTS, Name, NameSet};
use crate::kind::Kind;

/// The spellings that each kind uses, by section 7.3 of the API reference. `acc` and `datetime` are everywhere.
const SPELLINGS: [(Kind, &[&str]); 10] = [
    (
        Kind::Receipt,
        &[
            "aCode",
            "Act",
            "IP",
            "TlsVer",
            "Cphr",
            "RejType",
            "RejCode",
            "RejInfo",
            "Error",
            "Virus",
            "SpamInfo",
            "SpamLimit",
            "SpamScore",
            "SpamProcessingDetail",
            "MsgId",
            "Subject",
            "Sender",
            "headerFrom",
            "Rcpt",
            "Dir",
        ],
    ),
    (
        Kind::Process,
        &[
            "aCode",
            "Act",
            "Hld",
            "AttCnt",
            "AttSize",
            "AttNames",
            "MsgSize",
            "MsgId",
            "Subject",
            "Sender",
            "IPNewDomain",
            "IPReplyMismatch",
            "IPInternalName",
            "IPThreadDict",
            "IPSimilarDomain",
        ],
    ),
    (
        Kind::Delivery,
        &[
            "aCode",
            "Delivered",
            "IP",
            "Attempt",
            "Latency",
            "ReceiptAck",
            "RejType",
            "RejCode",
            "RejInfo",
            "Err",
            "Route",
            "Snt",
            "UseTls",
            "TlsVer",
            "Cphr",
            "AttCnt",
            "AttSize",
            "Host",
            "MsgId",
            "Subject",
            "Sender",
            "Rcpt",
            "Dir",
        ],
    ),
    (Kind::Journal, &["aCode", "Sender", "Rcpt", "Dir", "RcptActType", "RcptHdrType"]),
    (
        Kind::Av,
        &[
            "Virus",
            "fileName",
            "fileExt",
            "fileMime",
            "md5",
            "sha1",
            "sha256",
            "Size",
            "Sender",
            "SenderDomain",
            "SenderDomainInternal",
            "Recipient",
            "Route",
            "IP",
            "CustomerIP",
            "MimecastIP",
            "MsgId",
            "Subject",
        ],
    ),
    (
        Kind::Spam,
        &["aCode", "SourceIP", "Sender", "SenderDomain", "headerFrom", "Recipient", "Route", "MsgId", "Subject"],
    ),
    (
        Kind::InternalEmailProtect,
        &["aCode", "URL", "UrlCategory", "ScanResultInfo", "Sender", "Recipient", "Route", "MsgId", "Subject"],
    ),
    (
        Kind::ImpersonationProtect,
        &[
            "aCode",
            "Action",
            "Definition",
            "Hits",
            "IP",
            "Sender",
            "Recipient",
            "Route",
            "MsgId",
            "Subject",
            "InternalName",
            "NewDomain",
            "ReplyMismatch",
            "CustomName",
            "CustomThreatDictionary",
            "ThreatDictionary",
            "SimilarInternalDomain",
            "SimilarMimecastExternalDomain",
            "SimilarCustomExternalDomain",
            "TaggedExternal",
            "TaggedMalicious",
        ],
    ),
    (
        Kind::UrlProtect,
        &[
            "reason",
            "url",
            "urlCategory",
            "route",
            "sourceIp",
            "sender",
            "senderDomain",
            "recipient",
            "action",
            "subject",
            "msgid",
            "credentialTheft",
        ],
    ),
    (
        Kind::AttachmentProtect,
        &[
            "fileName",
            "fileExt",
            "fileMime",
            "md5",
            "sha1",
            "sha256",
            "Size",
            "IP",
            "Sender",
            "SenderDomain",
            "Recipient",
            "Route",
            "MsgId",
            "Subject",
        ],
    ),
];

struct Profile {
    kind: Kind,
    /// What the kind uses.
    usual: NameSet,
    /// What only this kind uses: one of these settles it.
    decisive: NameSet,
}

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    let sets: Vec<(Kind, NameSet)> = SPELLINGS
        .iter()
        .map(|(kind, names)| {
            let mut set = NameSet::default();
            names.iter().filter_map(|name| Name::find(name.as_bytes())).for_each(|name| name.add_to(&mut set));
            (*kind, set)
        })
        .collect();
    sets.iter()
        .map(|(kind, usual)| {
            let mut decisive = *usual;
            for (_, other) in sets.iter().filter(|(other, _)| other != kind) {
                decisive = without(&decisive, other);
            }
            Profile { kind: *kind, usual: *usual, decisive }
        })
        .collect()
});

/// What says nothing of the kind: `acc` and `datetime` are everywhere, and other logs' words nowhere.
static SILENT: LazyLock<NameSet> = LazyLock::new(|| {
    let mut set = NameSet::default();
    Name::all()
        .filter(|name| matches!(name.text(), "acc" | "datetime") || LISTS.contains(name.field()))
        .for_each(|name| name.add_to(&mut set));
    set
});

/// The kind that these spellings fit, if one fits better than every other.
///
/// First the spellings that only one kind uses: the kind with the most of them. If there are none, or two kinds are
/// equal, the kind that leaves the fewest of the record's spellings unexplained.
pub fn kind(seen: &NameSet) -> Option<Kind> {
    let seen = without(seen, &SILENT);
    if count(&seen) == 0 {
        return None;
    }
    let decisive = best(|profile| count(&within(&seen, &profile.decisive)) as i64);
    match decisive {
        Some((kind, score)) if score > 0 => Some(kind),
        _ => best(|profile| -(count(&without(&seen, &profile.usual)) as i64)).map(|(kind, _)| kind),
    }
}

/// The kind with the highest score. Of equals, the one whose spellings all the others have too: a record that fits both
/// it and them says nothing of theirs.
fn best(score: impl Fn(&Profile) -> i64) -> Option<(Kind, i64)> {
    let highest = PROFILES.iter().map(&score).max()?;
    let equals = || PROFILES.iter().filter(|profile| score(profile) == highest);
    equals()
        .find(|profile| equals().all(|other| count(&without(&profile.usual, &other.usual)) == 0))
        .map(|profile| (profile.kind, highest))
}

fn within(set: &NameSet, other: &NameSet) -> NameSet {
    std::array::from_fn(|index| set[index] & other[index])
}

fn without(set: &NameSet, other: &NameSet) -> NameSet {
    std::array::from_fn(|index| set[index] & !other[index])
}

fn count(set: &NameSet) -> u32 {
    set.iter().map(|word| word.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(names: &str) -> Option<Kind> {
        let mut seen = NameSet::default();
        for name in names.split(' ').filter_map(|name| Name::find(name.as_bytes())) {
            name.add_to(&mut seen);
        }
        kind(&seen)
    }

    #[test]
    fn every_spelling_is_in_the_dictionary() {
        for name in SPELLINGS.iter().flat_map(|(_, names)| *names) {
            assert!(Name::find(name.as_bytes()).is_some(), "{name}");
        }
    }

    #[test]
    fn a_whole_record_of_each_kind_is_recognised() {
        for (kind, names) in SPELLINGS {
            let names = format!("acc datetime {}", names.join(" "));
            assert_eq!(infer(&names), Some(kind), "{names}");
        }
    }

    #[test]
    fn a_part_is_enough_if_it_tells() {
        for (names, kind) in [
            ("acc datetime SpamLimit", Some(Kind::Receipt)),
            ("Latency aCode Sender", Some(Kind::Delivery)),
            ("RcptActType", Some(Kind::Journal)),
            ("MimecastIP fileName", Some(Kind::Av)),
            ("ScanResultInfo", Some(Kind::InternalEmailProtect)),
            ("TaggedMalicious", Some(Kind::ImpersonationProtect)),
            ("reason", Some(Kind::UrlProtect)),
            ("MsgSize", Some(Kind::Process)),
            // No spelling of its own: only the vote tells.
            (
                "acc Act IP RejType RejCode Dir MsgId Subject headerFrom Sender Rcpt RejInfo aCode datetime",
                Some(Kind::Receipt),
            ),
            (
                "acc fileName fileExt fileMime md5 sha1 sha256 Size IP Recipient Sender SenderDomain Route datetime",
                Some(Kind::AttachmentProtect),
            ),
            ("acc Virus fileName md5 IP Recipient Sender Route datetime", Some(Kind::Av)),
            ("acc datetime", None),
            ("", None),
            ("aCode Sender Rcpt Dir", None),
        ] {
            assert_eq!(infer(names), kind, "{names}");
        }
    }
}
