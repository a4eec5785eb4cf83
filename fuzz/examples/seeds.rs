//! Writes what fuzzing begins with: a few small inputs for every target, and the words of the formats, made of the made-up records of
//! the tests.
//!
//! `cargo run --example seeds` writes `corpus/<target>/` and `words.dict`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use mimecast_source::Reader;
use mimecast_source::chunk::{Budget, Next, Start};
use mimecast_source::record::dictionary::Name;
use mimecast_source_fuzz::outside::Outside;
use mimecast_source_fuzz::positions::{answer, setting};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = here.join("corpus");
    let records = records(&here.join("../tests/ecs/golden/records"))?;
    let seed = |target: &str, name: &str, bytes: &[u8]| -> Result<()> {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(format!("seed-{name}")), bytes)?)
    };

    for (number, (name, record)) in records.iter().enumerate() {
        // The origins go round.
        let choice = [number as u8 & 31 | 32, 31, 224][number % 3];
        seed("ndjson_line", name, &[&[choice], record.to_string().as_bytes()].concat())?;
        if name.starts_with("1.0") {
            seed("key_value_line", name, &[&[31], line(record).as_bytes()].concat())?;
        }
    }
    for (name, text) in [
        ("glued", "{\"type\":\"av\",\"x\":\"}{\"}{\"b\":{}}{\"c\":[1,2.50,null,true]}\n\n{\"d\":\"\\u00e4\\n\"}\r\n"),
        ("deep", "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[{}]]]]]]]]]]]]]]]]]]]]]]]],\"a\":{\"b\":{\"b\":1}}}"),
        ("broken", "\u{feff}{\"a\":1}{\"b\n[1]\n17\n{\"a\":\"\\ud800\"}"),
    ] {
        seed("ndjson_line", name, &[&[31], text.as_bytes()].concat())?;
        seed("key_value_line", name, &[&[31], text.replace(':', "=").replace(',', "|").as_bytes()].concat())?;
    }

    let rows: Vec<String> = records.iter().map(|(_, record)| record.to_string()).collect();
    for (number, chosen) in rows.chunks(2).enumerate() {
        let rows = chosen.join(",");
        let next = if number % 2 == 0 { "" } else { r#","next":"t1""# };
        let data = if number % 3 == 0 { format!(r#"{{"rows":[{rows}],"resultCount":2}}"#) } else { rows };
        let page =
            format!(r#"{{"meta":{{"status":200,"pagination":{{"pageSize":2{next}}}}},"data":[{data}],"fail":[]}}"#);
        seed("list_page", &number.to_string(), &[&[(number * 13) as u8], page.as_bytes()].concat())?;
    }
    for (number, page) in [
        r#"{"data":null}"#,
        r#"{"meta":{"pagination":{"next":{"pageToken":"u"},"totalCount":7}},"data":[{"x":[1,{}],"y":[]},17,"a",null,[2]]}"#,
        r#"{"fail":[{"errors":[{"code":"err_x","message":"m","retryable":false}]}],"data":[]}"#,
    ]
    .iter()
    .enumerate()
    {
        seed("list_page", &format!("odd-{number}"), &[&[0], page.as_bytes()].concat())?;
    }

    let lines = rows.iter().filter(|row| row.len() < 700).take(4).cloned().collect::<Vec<_>>().join("\n");
    let packed = gzip(lines.as_bytes())?;
    for (name, file) in [
        ("plain", lines.clone().into_bytes()),
        ("one", packed.clone()),
        ("small", gzip(b"{\"a\":1}\n{\"a\":1}\n")?),
        ("twice", gzip(&gzip(b"{\"a\":1}\n{\"b\":2}")?)?),
        ("members", [gzip(b"{\"a\":1}\n{\"b\"")?, gzip(b":2}\n")?, vec![0; 20]].concat()),
        ("cut", packed[..packed.len() / 2].to_vec()),
        ("stored", [&[31, 139, 8, 0, 0, 0, 0, 0, 0, 255, 1, 3, 0, 252, 255][..], b"{}\n"].concat()),
        ("zeros", gzip(&vec![b' '; 300_000])?),
        ("empty", gzip(b"")?),
    ] {
        seed("gzip", name, &[&[1], &file[..]].concat())?;
    }

    let object = format!(r#"{{"type":"MTA","data":[{}]}}"#, lines.replace('\n', ","));
    let members: [(&str, &[u8]); 3] = [
        ("receipt_20250301081600000.json", object.as_bytes()),
        ("ttp_url_20250301081600000.json", b"{\"type\":\"MTA\",\"data\":[{\"a\":1},{\"a\":1}]}"),
        ("process_20250301081600000.siem", b"datetime=2025-03-01T08:15:04+0000|aCode=A|acc=C0EX1|Act=Acc"),
    ];
    for (name, how) in [("stored", How::Stored), ("deflated", How::Deflated), ("streamed", How::Streamed)] {
        seed("zip", name, &[&[1], &zip(&members, how)?[..]].concat())?;
        seed("zip", &format!("{name}-small"), &[&[2], &zip(&members[1..], how)?[..]].concat())?;
    }
    let whole = zip(&members, How::Streamed)?;
    seed("zip", "cut", &[&[3], &whole[..whole.len() / 2]].concat())?;
    seed("zip", "empty", &[&[0], &zip(&[], How::Stored)?[..]].concat())?;
    seed("zip", "plain", &[&[0], object.as_bytes()].concat())?;

    let indicators = records.iter().filter(|(name, _)| name.ends_with("threat-intel"));
    for (number, (_, record)) in indicators.enumerate() {
        let mut indicator = record.clone();
        let parts: Vec<Value> = ["malware", "relationship"]
            .iter()
            .filter_map(|part| indicator.as_object_mut().and_then(|members| members.remove(*part)))
            .collect();
        let objects: Vec<String> = parts.iter().chain([&indicator]).map(Value::to_string).collect();
        for (turn, objects) in
            [objects.join(","), objects.iter().rev().cloned().collect::<Vec<_>>().join(" ,\n")].iter().enumerate()
        {
            let bundle = format!(r#"{{"type":"bundle","id":"bundle--1","objects":[{objects}],"spec_version":"2.0"}}"#);
            seed(
                "stix_bundle",
                &format!("{number}-{turn}"),
                &[&[(1 + 64 * number) as u8], bundle.as_bytes()].concat(),
            )?;
        }
    }
    let three = r#"{"type":"bundle","objects":[{"type":"malware","id":"m"},{"type":"relationship","id":"r","relationship_type":"indicates","source_ref":"i","target_ref":"m"},{"type":"indicator","id":"i"},{"type":"identity","id":"x"}]}"#;
    seed("stix_bundle", "three", &[&[2], three.as_bytes()].concat())?;
    seed("stix_bundle", "gzip", &[&[0], &gzip(three.as_bytes())?[..]].concat())?;
    seed("stix_bundle", "zip", &[&[0], &zip(&[("a.stix", three.as_bytes())], How::Deflated)?[..]].concat())?;

    for (number, text) in [
        "User Logged On\nSuccessful authentication for kim@example.com <Kim>, Date: 2025-03-01, Time: 00:07:12 GMT, IP: 192.0.2.10, Application: Administration Console, Method: Cloud, 2FA: TOTP",
        "Logon Authentication Failed\nFailed authentication for kim@example.com, Date: 2025-03-01 Time: 00:07:12 IP: 2001:db8::1 Application: POP Reason: Invalid, Password",
        "User Password Changed\nPassword changed for <ann@example.com>. Remote IP is 192.0.2.1.",
        "New Role\nRole 'Help Desk' created, \"x\" assigned to ann@example.com",
        "Mimecast Support Login\nUnlinked group \"Staff\" from bob@example.com",
        "Message Action\nMessage released, Subject: IP: 1, From: a@example.com, To: b@example.com, Sender: c",
        "Policy Edited\n\u{1F600} it's : , :: '' \"\" Date:Time:IP:",
    ]
    .iter()
    .enumerate()
    {
        seed("audit_text", &number.to_string(), text.as_bytes())?;
    }

    for (target, stream) in [
        ("position_batch", "siem/receipt"),
        ("position_list", "audit"),
        ("position_feed", "threat_intel/grid"),
        ("position_events", "siem/events"),
        ("position_archive", "siem"),
    ] {
        for (number, position) in positions(stream)?.iter().enumerate() {
            seed(target, &number.to_string(), position)?;
        }
    }
    Ok(fs::write(here.join("words.dict"), words())?)
}

/// Records and their names: `2.0-audit`.
fn records(folder: &Path) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for generation in ["1.0", "2.0"] {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder.join(generation))?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.sort();
        for file in files {
            let kind = file.file_stem().unwrap_or_default().to_string_lossy();
            found.push((format!("{generation}-{kind}"), serde_json::from_slice(&fs::read(&file)?)?));
        }
    }
    Ok(found)
}

fn line(record: &Value) -> String {
    let fields = record.as_object().into_iter().flatten().map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if name == "Subject" { format!("{name}=\\{text}\\") } else { format!("{name}={text}") }
    });
    fields.collect::<Vec<_>>().join("|")
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Stored,
    Deflated,
    /// Sizes and checksum stand behind the member, as Java writes them.
    Streamed,
}

/// A small archive. The simulator's writer is not used, for it comes with a server.
fn zip(members: &[(&str, &[u8])], how: How) -> Result<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let count = members.len() as u16;
    for (name, content) in members {
        let data = if how == How::Stored {
            content.to_vec()
        } else {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(content)?;
            encoder.finish()?
        };
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let sizes = [crc.sum(), data.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat();
        let (flags, method) =
            (if how == How::Streamed { 8_u16 } else { 0 }, if how == How::Stored { 0_u16 } else { 8 });
        let head = |sizes: &[u8]| {
            [
                &20_u16.to_le_bytes()[..],
                &flags.to_le_bytes(),
                &method.to_le_bytes(),
                &[0; 4],
                sizes,
                &(name.len() as u16).to_le_bytes(),
                &[0; 2],
            ]
            .concat()
        };
        let offset = (out.len() as u32).to_le_bytes();
        out.extend(
            [b"PK\x03\x04", &head(if how == How::Streamed { &[0; 12] } else { &sizes })[..], name.as_bytes(), &data]
                .concat(),
        );
        if how == How::Streamed {
            out.extend([b"PK\x07\x08", &sizes[..]].concat());
        }
        directory.extend([b"PK\x01\x02", &[20, 0][..], &head(&sizes), &[0; 10], &offset, name.as_bytes()].concat());
    }
    let (start, size) = ((out.len() as u32).to_le_bytes(), (directory.len() as u32).to_le_bytes());
    out.extend(directory);
    let count = count.to_le_bytes();
    out.extend([b"PK\x05\x06", &[0; 4][..], &count, &count, &size, &start, &[0; 2]].concat());
    Ok(out)
}

/// Positions on the way through a stream.
fn positions(stream: &str) -> Result<BTreeSet<Vec<u8>>> {
    let mut found = BTreeSet::new();
    for events in [1, 2, 100] {
        let (config, session) = setting(stream);
        let mut outside = Outside::new(1_000, &answer);
        let mut start = Start::Configured;
        for _ in 0..20 {
            let budget = Budget { events, verbatim: events == 2, ..Budget::default() };
            let chunk = Reader::open(&config, stream, start)?.pull(&mut outside, session, &budget)?;
            found.insert(chunk.position.clone());
            if chunk.next == Next::CaughtUp {
                break;
            }
            start = Start::After(chunk.position);
        }
    }
    Ok(found)
}

/// What the mutator may write: the names of fields, and what the formats are made of.
fn words() -> String {
    let formats = [
        "\"data\":[",
        "\"objects\":[",
        "\"fail\":[",
        "\"meta\":{",
        "\"pagination\":{",
        "\"next\":",
        "\"value\":[",
        "\"type\":\"",
        "\"indicator\"",
        "\"malware\"",
        "\"relationship\"",
        "\"indicates\"",
        "\"source_ref\":",
        "\"target_ref\":",
        "\"bundle\"",
        "\"relationship_type\":",
        "\"id\":",
        "\"v\":1",
        "\"stream\":",
        "\"window\":{",
        "\"file\":{",
        "\"hash\":\"",
        "\"index\":",
        "\"token\":\"",
        "\"unparsed\":[",
        "\"aside\":[",
        "\"missing\":{",
        "\"since\":",
        "\"until\":",
        "\"tries\":",
        "\"broken\":",
        "\"broken_since\":",
        "\"caught_up\":",
        "\"polled\":",
        "\"heard\":",
        "\"mark\":",
        "\"count\":",
        "\"last\":",
        "\"done\":[",
        "\"before\":[",
        "\"open\":[",
        "\"strays\":[",
        "\"from\":",
        "\"to\":",
        "\"begin\":",
        "\"end\":",
        "\"resume\":",
        "\"total\":",
        "18446744073709551615",
        "4294967295",
        "1772971200000000000",
        "2026-03-08",
        "null",
        "true",
        "false",
        "\\u0000",
        "\\ud83d\\ude00",
        "\\xef\\xbb\\xbf",
        "{\\\"a\\\":1}",
        "}{",
        "\\x1f\\x8b\\x08",
        "PK\\x03\\x04",
        "PK\\x01\\x02",
        "PK\\x05\\x06",
        "PK\\x07\\x08",
        "2FA: ",
        "IP: ",
        "Date: ",
        "Time: ",
        "Application: ",
        "Method: ",
        "Reason: ",
        "Subject: ",
        "Remote IP is ",
        " for ",
        "receipt",
        "url protect",
        "ann@example.com",
        "192.0.2.1",
        "2001:db8::1",
        "<>",
        "0",
        "-0.0",
        "1e400",
    ];
    let mut text = String::new();
    for name in Name::all().map(Name::text) {
        text.push_str(&format!("\"{name}\"\n"));
    }
    for word in formats {
        // Bytes that are written as such, and the quotation marks of JSON.
        let word = if word.contains("\\x") { word.to_owned() } else { word.replace('\\', "\\\\").replace('"', "\\\"") };
        text.push_str(&format!("\"{word}\"\n"));
    }
    text
}
