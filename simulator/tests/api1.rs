//! API 1.0: signatures, discovery, the chain of SIEM logs.

mod common;

use std::collections::BTreeSet;

use common::*;
use mimecast_simulator::{ArchiveForm, Credentials, Kind, Request, Settings, signature};
use serde_json::{Value, json};

#[test]
fn every_form_yields_exactly_the_truth() {
    for (compress, format) in [(true, "json"), (true, "key_value"), (false, "JSON"), (false, "key_value")] {
        let mut world = World::v1(|_| {});
        let files = world.collect_logs(compress, format);
        let found = marks(files.iter().map(|(_, bytes)| bytes));
        assert_eq!(found, world.truth("siem"), "{compress} {format}");
        assert!(found.len() > 1_000);
        let ending = if format == "key_value" { ".siem" } else { ".json" };
        assert!(files.iter().all(|(name, _)| name.ends_with(ending)));
        for (name, bytes) in &files {
            let kind =
                Kind::SIEM.into_iter().find(|kind| name.starts_with(&format!("{}_", kind.file_prefix()))).unwrap();
            let text = String::from_utf8(bytes.clone()).unwrap();
            if format == "key_value" {
                assert!(text.ends_with("\r\n") && text.lines().all(|line| line.starts_with("datetime=")), "{text}");
            } else {
                let value: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(value["type"], "MTA");
                let rows = value["data"].as_array().unwrap();
                let first = mimecast_simulator::Mark::find_all(rows[0].to_string().as_bytes())[0];
                let issued = world.simulator.truth("one", world.now).find(|issued| issued.mark == first).unwrap();
                assert_eq!(issued.kind, kind.name());
            }
        }
        let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.len(), files.len(), "file names are unique");
    }
}

#[test]
fn the_chain_goes_on_with_its_token() {
    let mut world = World::v1(|_| {});
    let first = world.siem_logs(true, "json", None);
    assert_eq!(first.header_value("content-type"), Some("application/octet-stream"));
    assert!(file_name(&first).ends_with(".zip"));
    assert_eq!(unzip(&first.body).unwrap().len(), 12);
    let again = world.siem_logs(true, "json", Some(""));
    assert_eq!(again.body, first.body, "an empty token is none");
    let mut token = first.header_value("mc-siem-token").unwrap().to_owned();
    loop {
        let answer = world.siem_logs(true, "json", Some(&token));
        match answer.header_value("mc-siem-token") {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    let last = world.siem_logs(true, "json", Some(&token));
    assert_eq!(last.body_json(), json!({"meta": {"isLastToken": true, "status": 200}, "data": [], "fail": []}));
    world.now += HOUR;
    assert!(world.siem_logs(true, "json", Some(&token)).header_value("mc-siem-token").is_some());
    let refused = world.siem_logs(true, "json", Some("bm9uc2Vuc2U"));
    assert_eq!((refused.status, code(&refused).as_str()), (400, "err_audit_siem_invalid_token"));
    world.now += 8 * DAY;
    assert_eq!(world.siem_logs(true, "json", Some(&token)).status, 400, "after the retention");
    assert_eq!(world.siem_logs(true, "json", None).status, 200);
}

#[test]
fn archives_come_in_three_forms() {
    for (form, method, behind) in
        [(ArchiveForm::Descriptors, 8, true), (ArchiveForm::SizesAhead, 8, false), (ArchiveForm::Stored, 0, false)]
    {
        let mut world = World::v1(|settings| settings.archive = form);
        let body = world.siem_logs(true, "json", None).body;
        assert_eq!(&body[..4], b"PK\x03\x04");
        assert_eq!((body[8], body[6] & 8 != 0), (method, behind), "{form:?}");
        // The local header of a streamed member tells no size.
        assert_eq!(body[18..26] == [0; 8], behind, "{form:?}");
        let members = unzip(&body).unwrap();
        assert!(members.iter().map(|(name, _)| name.split('_').next()).collect::<BTreeSet<_>>().len() > 3);
    }
}

#[test]
fn bodies_are_read_as_the_service_reads_them() {
    let path = "/api/audit/get-siem-logs";
    let ask = |world: &mut World, body: &str| {
        let mut request = world.sign(path, &json!({}));
        request.body = body.as_bytes().to_vec();
        world.send(&request)
    };
    let python = "{'data': [{'type': 'MTA', 'compress': True, 'fileFormat': 'json', 'token': ''}]}";
    let mut world = World::v1(|_| {});
    assert!(ask(&mut world, python).body.starts_with(b"PK"));
    assert!(ask(&mut world, r#"{"data":[{"type":"MTA","compress":"true"}]}"#).body.starts_with(b"PK"));
    assert!(ask(&mut world, r#"{"data":[{"type":"MTA"}]}"#).body.starts_with(b"datetime="));
    assert_eq!(ask(&mut world, r#"{"data":[{"type":"ALL"}]}"#).status, 400);
    assert_eq!(ask(&mut world, r#"{"data":[{"type":"MTA","fileFormat":"xml"}]}"#).status, 400);
    assert_eq!(ask(&mut world, "{").status, 400);
    let mut world = World::v1(|settings| settings.lenient = false);
    assert_eq!(ask(&mut world, python).status, 400);
    assert_eq!(ask(&mut world, &python.replace('\'', "\"").replace("True", "true")).status, 200);
}

#[test]
fn signatures_are_checked_with_the_exact_answers() {
    let mut world = World::v1(|_| {});
    let path = "/api/account/get-account";
    let good = world.sign(path, &json!({"data": []}));
    let answer = world.send(&good);
    assert_eq!(answer.status, 200);
    for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
        assert!(answer.header_value(name).is_some(), "{name}");
    }
    let with = |name: &str, value: &str| {
        let mut request = good.clone();
        for header in &mut request.headers {
            if header.0 == name {
                header.1 = value.to_owned();
            }
        }
        request
    };
    let authorization = good.header_value("Authorization").unwrap();
    let (key, sum) = authorization.split_once(':').unwrap();
    assert_eq!(world.send(&with("Authorization", &format!("{key}: {sum}"))).status, 200, "a blank is trimmed");
    for request in [
        with("Authorization", &format!("MC nobody:{sum}")),
        with("Authorization", &format!("{key}:AAAA{}", &sum[4..])),
        with("Authorization", "Bearer x"),
        with("x-mc-req-id", "00000000-0000-4000-8000-999999999999"),
        with("x-mc-date", "Tue, 24 Nov 2015 12:50:11 UTC"),
    ] {
        let answer = world.send(&request);
        assert_eq!(answer.status, 401);
        if answer.header_value("x-ratelimit-limit").is_some() {
            assert_eq!(code(&answer), "err_xdk_invalid_signature");
            assert_eq!(answer.body_json()["fail"][0]["errors"][0]["message"], "0004 Invalid Signature");
        }
    }
    let unknown = world.send(&with("Authorization", "MC nobody:x"));
    assert_eq!(unknown.header_value("x-ratelimit-limit"), Some("5000"));
    let app = world.send(&with("x-mc-app-id", "5a5a5a5a-0000-4000-8000-000000000000"));
    assert_eq!((app.status, code(&app).as_str()), (200, "err_developer_key"));
}

#[test]
fn the_date_may_be_a_quarter_of_an_hour_off() {
    let mut world = World::v1(|_| {});
    let body = json!({"data": []});
    for (skew, status) in [(14_i64, 200), (-14, 200), (16, 401), (-16, 401), (60, 401)] {
        let real = world.now;
        world.now = (real as i64 + skew * MINUTE as i64) as u64;
        let request = world.sign("/api/account/get-account", &body);
        world.now = real;
        assert_eq!(world.send(&request).status, status, "{skew}");
    }
    let resign = |world: &mut World, zone: &str| {
        let tenant = world.simulator.tenant("one").unwrap().credentials.clone();
        let Credentials::V1 { app_id, app_key, access_key, secret_key, .. } = tenant else { panic!() };
        let date = date(world.now).replace("UTC", zone);
        let sum = signature(&secret_key, &date, "id", "/api/account/get-account", &app_key).unwrap();
        let request = Request::post("/api/account/get-account", "{\"data\":[]}")
            .header("authorization", format!("MC {access_key}:{sum}"))
            .header("X-MC-App-ID", app_id)
            .header("X-MC-Date", date)
            .header("X-MC-Req-ID", "id");
        world.send(&request).status
    };
    assert_eq!(resign(&mut world, "GMT"), 200);
    assert_eq!(resign(&mut world, "CET"), 401);
    let mut strict = World::v1(|settings| settings.lenient = false);
    assert_eq!(resign(&mut strict, "GMT"), 401);
    assert_eq!(resign(&mut strict, "UTC"), 200);
}

#[test]
fn a_key_has_eight_hundred_requests_in_five_seconds() {
    let mut world = World::v1(|settings| settings.quota_factor = 1);
    let request = world.sign("/api/account/get-account", &json!({"data": []}));
    let begin = world.now;
    for left in (0..800).rev() {
        let answer = world.simulator.handle(&request, begin);
        assert_eq!(answer.header_value("X-RateLimit-Remaining"), Some(left.to_string().as_str()));
    }
    let refused = world.simulator.handle(&request, begin + 4_000);
    assert_eq!((refused.status, refused.header_value("X-RateLimit-Reset")), (429, Some("1000")));
    assert_eq!(world.simulator.handle(&request, begin + 5_000).status, 200);
}

#[test]
fn discovery_is_unsigned_and_names_the_region() {
    let mut world = World::v1(|_| {});
    let ask = |world: &mut World, address: &str| {
        let body = json!({"data": [{"emailAddress": address}]}).to_string();
        let request = Request::post("/api/login/discover-authentication", body)
            .header("x-mc-app-id", "a")
            .header("x-mc-req-id", "b")
            .header("x-mc-date", date(world.now));
        world.send(&request).body_json()
    };
    let known = ask(&mut world, "collector@one.example.com");
    assert_eq!(known["data"][0]["region"]["api"], "https://api.simulator.test");
    let unknown = ask(&mut world, "who@example.org");
    assert!(unknown["data"][0].get("region").is_none());
    let bare = Request::post("/api/login/discover-authentication", "{}");
    assert_eq!(world.send(&bare).status, 400);
}

#[test]
fn generations_do_not_mix() {
    let mut two = World::v2(|_| {});
    let request = two.bearer(Request::post("/api/audit/get-siem-logs", r#"{"data":[{"type":"MTA"}]}"#));
    assert_eq!(two.send(&request).status, 401);
    let mut one = World::v1(|_| {});
    let mut request = one.sign("/siem/v1/batch/events/cg", &json!({}));
    request.method = "GET".to_owned();
    request.query = "type=av".to_owned();
    assert_eq!(one.send(&request).status, 401);
    assert_eq!(one.send(&Request::post("/oauth/token", "x")).status, 400);
    let mut denied = World::v1(|settings| settings.tenants[0].denied = vec!["siem".to_owned()]);
    assert_eq!(denied.siem_logs(true, "json", None).status, 403);
    let now = denied.now;
    assert_eq!(denied.audit(now - HOUR, now, 5, None).status, 200);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refuse = |change: fn(&mut Settings)| {
        let mut settings = Settings { tenants: vec![mimecast_simulator::Tenant::v1("one", 1)], ..Settings::default() };
        assert!(mimecast_simulator::Simulator::new(settings.clone()).is_ok());
        change(&mut settings);
        mimecast_simulator::Simulator::new(settings).unwrap_err().to_string()
    };
    assert!(refuse(|settings| settings.tenants.push(settings.tenants[0].clone())).contains("two tenants"));
    assert!(refuse(|settings| settings.tenants[0].name = "a/b".to_owned()).contains("a/b"));
    assert!(refuse(|settings| settings.publish_interval_v1_ms = 7).contains("publish_interval_v1_ms"));
    assert!(refuse(|settings| settings.records_per_file = 0).contains("records_per_file"));
    let secret = refuse(|settings| {
        if let Credentials::V1 { secret_key, .. } = &mut settings.tenants[0].credentials {
            *secret_key = "not base64!!".to_owned();
        }
    });
    assert!(secret.contains("base64") && !secret.contains("not base64!!"));
}
