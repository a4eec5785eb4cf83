//! Every field that Mimecast's records are known to have occurs in the made-up ones, in all its encodings.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use mimecast_simulator::{Credentials, Kind, Request};
use serde_json::{Value, json};

/// The populated paths of a record: `a.b`, `a[]`, `a[].b`.
fn paths(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::Object(object) => {
            for (key, value) in object {
                paths(value, &if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, out);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| paths(value, &format!("{at}[]"), out)),
        _ => {
            out.insert(at.to_owned());
        }
    }
}

fn of(rows: &[Value]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    rows.iter().for_each(|row| paths(row, "", &mut out));
    out
}

fn busy(v1: bool) -> World {
    World::full(v1, |settings| {
        settings.tenants[0] = settings.tenants[0].clone();
        settings.tenants[0].rates.dlp = 1_000;
        settings.tenants[0].rates.held = 1_500;
        settings.tenants[0].rates.rejections = 600;
        settings.tenants[0].rates.ttp_url = 3_000;
        settings.tenants[0].rates.ttp_attachment = 600;
        settings.tenants[0].rates.ttp_impersonation = 600;
        settings.tenants[0].rates.archive_search = 400;
        settings.tenants[0].rates.archive_user_search = 200;
        settings.tenants[0].rates.archive_view = 200;
        settings.tenants[0].rates.cloud = 3_000;
    })
}

fn rows(world: &mut World, stream: &str) -> Vec<Value> {
    let list = list(stream);
    let data = World::window(&list, world.now - 3 * DAY, world.now);
    world.collect_rows(&list, &data, 500)
}

/// The members of objects of `allow` and `info`.
fn checks(prefix: &str) -> Vec<String> {
    ["spf", "dkim", "dmarc", "rbl", "permittedSender", "managedSender"]
        .iter()
        .flat_map(|part| ["allow", "info"].map(|member| format!("{prefix}.{part}.{member}")))
        .collect()
}

#[test]
fn every_field_of_the_lists_occurs() {
    let mut wanted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut add = |stream: &'static str, fields: &str| {
        wanted.entry(stream).or_default().extend(fields.split_whitespace().map(str::to_owned));
    };
    add("dlp", "action eventTime messageId policy recipientAddress route senderAddress subject");
    add("archive/search", "createTime description emailAddr searchPath searchReason searchText source isAdmin");
    add("archive/user-search", "createTime description emailAddr searchText source museQuery");
    add("archive/view", "to from viewed source viewer messageDate discoveryCase contentViewed subject");
    add(
        "held/messages",
        "id reason reasonId reasonCode from.emailAddress from.displayableName fromHeader.emailAddress
         fromHeader.displayableName to.emailAddress to.displayableName toHeader.emailAddress subject size hasAttachments
         hasAttachment route dateReceived policyInfo",
    );
    add(
        "held/releases",
        "attachments detectionLevel fromEnv.displayableName fromEnv.emailAddress fromHdr.displayableName
         fromHdr.emailAddress heldGroup heldReason id messageInfo operator operator.emailAddress policy rejectReason
         released route size spamScore status subject to[].displayableName to[].emailAddress
         spamProcessingDetail.greyEmail spamProcessingDetail.spamVerdict.decision spamProcessingDetail.spamVerdict.risk
         spamProcessingDetail.spamVerdict.categories[].name spamProcessingDetail.spamVerdict.categories[].risk
         spamProcessingDetail.spamVerdict.categories[].subcategories[].name
         spamProcessingDetail.spamVerdict.categories[].subcategories[].risk
         spamProcessingDetail.spamVerdict.categories[].subcategories[].augmentations[].name
         spamProcessingDetail.spamVerdict.categories[].subcategories[].augmentations[].risk",
    );
    add("held/releases", &checks("spamProcessingDetail").join(" "));
    add(
        "rejections",
        "created description detectionLevel fromAddress id info ipAddress manageRecipient remoteEhlo remoteName spamScore
         toAddress toAddressPreCheck toAddressPostCheck type",
    );
    add(
        "ttp/url",
        "action actions adminOverride category creationMethod date emailPartsDescription[] fromUserEmailAddress messageId
         route scanResult sendingIp subject ttpDefinition url userAwarenessAction userEmailAddress userOverride
         tagMap.DangerousFileExt.ContentCheck:ContentScannersBlocked[]
         tagMap.DangerousFileExt.ContentCheck:DangerousExtsUrlFileDownload[]
         tagMap.DangerousFileExt.ContentCheck:DangerousMimetypesUrlFileDownload[]
         tagMap.DangerousFileExt.Inspect:FileExts[] tagMap.DangerousFileExt.Inspect:MimeTypes[]
         tagMap.DangerousFileExt.Status[] tagMap.UrlReputationScan.Status[] tagMap.UrlReputationScan.Type[]
         tagMap.UrlReputationScan.UrlBlock[] tagMap.UrlReputationScan.Url[] advancedPhishingResult.CredentialTheftTags[]",
    );
    add(
        "ttp/attachment",
        "actionTriggered date definition details fileHash fileName fileType messageId recipientAddress result route
         senderAddress subject",
    );
    add(
        "ttp/impersonation",
        "action definition eventTime hits id identifiers[] impersonationResults[].checkerResult
         impersonationResults[].impersonationDomainSource impersonationResults[].similarDomain
         impersonationResults[].stringSimilarToDomain messageId recipientAddress senderAddress senderIpAddress subject
         taggedExternal taggedMalicious",
    );
    let mut world = busy(false);
    for (stream, fields) in wanted {
        let found = of(&rows(&mut world, stream));
        let missing: Vec<&String> = fields.iter().filter(|field| !found.contains(*field)).collect();
        assert!(missing.is_empty(), "{stream} lacks {missing:?}");
    }
}

#[test]
fn every_field_of_cloud_integrated_occurs() {
    let mut world = busy(false);
    let asked =
        world.bearer(Request::get("/siem/v1/events/ci?pageSize=100&dateRangeStartsAt=2025-06-02T06:00:00.000Z"));
    let body = world.send(&asked).body_json();
    let stream = of(body["value"].as_array().unwrap());
    let asked =
        world.bearer(Request::get("/siem/v1/batch/events/ci?type=entities,mailflow&dateRangeStartsAt=2025-06-01"));
    let page = page_of(&world.send(&asked));
    let mut lines = Vec::new();
    for url in page.urls {
        lines.extend(gunzip(&world.fetch(&url).body).lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    let found = of(&lines);
    let fields =
        "accountId aggregateId attachments[] authResults[].aligned authResults[].result authResults[].type direction
        historicalMail messageId policiesApplied[].action policiesApplied[].mode policiesApplied[].name processingId
        recipients[] senderEnvelope senderHeader senderIp source subject subtype tags[] threatState threatType timestamp
        type";
    for field in fields.split_whitespace() {
        assert!(found.contains(field), "{field}");
    }
    assert!(found.contains("_offset") && !stream.contains("_offset"));
    let kinds: BTreeSet<&str> = lines.iter().filter_map(|row| row["threatType"].as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["MALWARE", "NO_DETECTIONS", "PHISHING", "POLICIES_DISABLED"]));
    assert!(lines.iter().any(|row| row["tags"].is_null()) && lines.iter().any(|row| row["senderEnvelope"] == ""));
}

#[test]
fn odd_values_occur() {
    let mut world = busy(false);
    let has = |rows: &[Value], field: &str, wanted: &Value| rows.iter().any(|row| row[field] == *wanted);
    let dlp = rows(&mut world, "dlp");
    assert!(has(&dlp, "senderAddress", &json!("<>")) && has(&dlp, "messageId", &Value::Null));
    let url = rows(&mut world, "ttp/url");
    assert!(has(&url, "sendingIp", &json!("Internal IP")) && has(&url, "url", &json!("http://7.T")));
    assert!(has(&url, "actions", &json!("Hold, None")));
    assert!(url.iter().all(|row| row["emailPartsDescription"].is_array()));
    let attachment = rows(&mut world, "ttp/attachment");
    assert!(attachment.iter().any(|row| row["details"].as_str().unwrap().contains("\r\nTime taken")));
    assert!(has(&attachment, "actionTriggered", &json!("user release, none")));
    let rejections = rows(&mut world, "rejections");
    assert!(
        has(&rejections, "manageRecipient", &json!("false")) && rejections.iter().any(|row| row["spamScore"].is_null())
    );
    let searches = rows(&mut world, "archive/search");
    assert!(has(&searches, "emailAddr", &json!("<>")));
    let releases = rows(&mut world, "held/releases");
    let forms: BTreeSet<Option<usize>> = releases.iter().map(|row| row["released"].as_str().map(str::len)).collect();
    assert_eq!(forms, BTreeSet::from([None, Some(24), Some(25)]), "none, without a colon, with one");

    let mut old = busy(true);
    let url = rows(&mut old, "ttp/url");
    assert!(url.iter().any(|row| row["emailPartsDescription"].is_string()), "a list as a text");
    assert!(url.iter().any(|row| row["emailPartsDescription"].is_array()));
}

#[test]
fn the_account_answers_in_both_generations() {
    for v1 in [false, true] {
        let mut world = World::full(v1, |_| {});
        let answer = world.api("/api/account/get-account", &json!({"data": []})).body_json();
        let tenant = &world.simulator.settings().tenants[0];
        assert_eq!(answer["data"][0]["accountCode"], tenant.account_code);
        assert_eq!(matches!(tenant.credentials, Credentials::V1 { .. }), v1);
    }
}

#[test]
fn a_week_of_a_demo_tenant_is_a_realistic_mix() {
    for v1 in [false, true] {
        let world = World::full(v1, |settings| {
            let tenant = settings.tenants[0].clone();
            settings.backlog_ms = 7 * DAY;
            settings.tenants[0] = mimecast_simulator::Tenant { events_per_day: 6_000, ..tenant }.with_every_stream();
        });
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for issued in world.simulator.truth("one", world.now) {
            *counts.entry(issued.stream).or_default() += u64::from(issued.count);
        }
        let kinds = Kind::LISTS.iter().chain(&Kind::CLOUD);
        for kind in kinds {
            let count = counts.get(kind.stream()).copied().unwrap_or(0);
            let exists = !v1 || kind.exists_in(mimecast_simulator::Generation::V1);
            assert_eq!(count > 30, exists, "{}: {count}", kind.stream());
        }
        let lists: u64 = Kind::LISTS.iter().filter_map(|kind| counts.get(kind.stream())).sum();
        assert!((3_000..15_000).contains(&lists), "{lists} {counts:?}");
    }
}

#[test]
fn silent_tenants_have_siem_records_and_audit_events_only() {
    let world = World::v2(|_| {});
    let streams: BTreeSet<&str> = world.simulator.truth("one", world.now).map(|it| it.stream).collect();
    assert!(streams.iter().all(|stream| stream.starts_with("siem/") || *stream == "audit"), "{streams:?}");
}

/// Of the field dictionary, if the reference folder lies beside the repository: the paths that are ever populated.
fn dictionary() -> Option<Vec<(String, String, String)>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let shared = std::env::var("TRIBUTARY_SHARED").unwrap_or_else(|_| root.to_owned());
    let text = std::fs::read_to_string(format!("{shared}/reference/fields.csv")).ok()?;
    let lines = text.lines().skip(1).filter_map(|line| line.strip_suffix(",yes")).map(|line| {
        let parts: Vec<&str> = line.splitn(3, ',').collect();
        (parts[0].to_owned(), parts[1].to_owned(), parts[2].to_owned())
    });
    // What an anonymizer has made of keys is no field.
    Some(lines.filter(|(_, _, field)| !field.contains("ANONYMIZED") && !field.starts_with("1111")).collect())
}

#[test]
fn every_siem_field_of_the_dictionary_occurs() {
    let Some(dictionary) = dictionary() else {
        eprintln!("skipped: the reference folder is not here");
        return;
    };
    let mut old = World::v1(|_| {});
    let mut rows: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (_, bytes) in old.collect_logs(true, "json") {
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        rows.entry("siem".to_owned()).or_default().extend(file["data"].as_array().unwrap().iter().cloned());
    }
    let mut new = World::v2(|_| {});
    for kind in TYPES {
        let lines = new.collect(kind, None).0;
        rows.insert(format!("siem/{kind}"), lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect());
    }
    let found: BTreeMap<String, BTreeSet<String>> = rows
        .into_iter()
        .map(|(stream, mut rows)| {
            let mut found = of(&rows);
            for row in &mut rows {
                for key in ["SpamProcessingDetail", "spamProcessingDetail"] {
                    while let Some(text) = row[key].as_str() {
                        row[key] = serde_json::from_str(text).unwrap();
                    }
                }
            }
            found.extend(of(&rows));
            (stream, found)
        })
        .collect();
    let siem = dictionary.iter().filter(|(_, stream, _)| stream.starts_with("siem"));
    let missing: Vec<_> = siem.filter(|(_, stream, field)| !found[stream].contains(field)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
