use super::*;
use crate::chunk::FaultClass;

const V1: &str = r#""api":"1.0","app_id":"made-up-app","app_key":"made-up-key","access_key":"made-up-access","secret_key":" bWFkZS11cA==\n""#;
const V2: &str = r#""client_id":"made-up-id","client_secret":"made-up-secret""#;

fn parse(generation: &str, more: &str) -> Result<Config, Fault> {
    let comma = if more.is_empty() { "" } else { "," };
    Config::parse(&format!("{{{generation}{comma}{more}}}"))
}

fn stream(name: &str) -> Stream {
    Stream::all().find(|stream| stream.name() == name).unwrap()
}

fn page_size(config: &Config, name: &str) -> u32 {
    config.page_size(stream(name))
}

fn overlap(config: &Config, name: &str) -> u64 {
    config.overlap(stream(name))
}

fn interval(config: &Config, name: &str) -> u64 {
    config.interval(stream(name))
}

fn names(config: &Config) -> Vec<&'static str> {
    config.collect.iter().map(|stream| stream.name()).collect()
}

#[test]
fn the_least_that_is_needed() {
    let config = parse(V2, "").unwrap();
    assert_eq!(config.generation(), Generation::V2);
    assert_eq!(config.base.as_ref().unwrap().url, "https://api.services.mimecast.com");
    assert_eq!((config.collect.len(), config.start_at), (26, StartAt::Ago(7 * DAY)));
    assert_eq!((config.tenant.as_str(), config.id_scope.as_str()), ("default", "default"));
    assert_eq!(
        (page_size(&config, "siem/av"), page_size(&config, "audit"), page_size(&config, "dlp")),
        (100, 500, 100)
    );
    assert_eq!((overlap(&config, "audit"), overlap(&config, "held/messages")), (30 * MINUTE, DAY));
    assert_eq!((interval(&config, "siem/av"), interval(&config, "threat_intel/grid")), (5 * MINUTE, HOUR));
    assert_eq!((config.siem_mode, config.output, config.labels.len()), (SiemMode::Batch, Output::Ocsf, 0));
    assert_eq!((config.category, config.include_original), (None, IncludeOriginal::None));

    let config = parse(V1, r#""region":"eu""#).unwrap();
    assert_eq!(config.base.as_ref().unwrap().url, "https://eu-api.mimecast.com");
    let Keys::V1 { secret_key, .. } = &config.keys else { panic!() };
    assert_eq!(secret_key.0, b"made-up", "trimmed and decoded");
}

/// A variable that is put in is a text, and TOML makes a number of `api = 2.0`.
#[test]
fn values_of_another_type_that_mean_the_same() {
    let config = parse(
        V2,
        r#""api":2.0,"page_sizes":{"siem":"50","audit":20.0},"collect":"siem","insecure_http":"true","base_url":"http://localhost:1""#,
    )
    .unwrap();
    assert_eq!((page_size(&config, "siem/av"), page_size(&config, "audit"), config.insecure_http), (50, 20, true));
    assert_eq!((config.generation(), config.collect.len()), (Generation::V2, 10));
    assert!(!parse(V2, r#""insecure_http":"False""#).unwrap().insecure_http);
    for api in ["1.0", "1", "\"1.0\"", "\"1\""] {
        let config = parse(&V1.replace("\"1.0\"", api), r#""region":"eu""#).unwrap();
        assert_eq!(config.generation(), Generation::V1, "{api}");
    }
}

#[test]
fn everything_that_can_be_set() {
    let config = parse(
        V2,
        r#""api":"2.0","base_url":"https://proxy.example.com:8443/","collect":["audit","siem/av"],"start_at":"2026-03-01T00:00:00Z",
           "output":"ecs","tenant":"t","id_scope":"s","fields":{"a":"b","n":1,"x":true},"siem_mode":"batch",
           "labels":["stellar","sumo"],"category":" email ","include_original":"body",
           "page_sizes":{"siem":10,"SIEM/AV":20,"audit":50},"intervals":{"siem":"10m","auditEvent":"1m"},
           "overlaps":{"audit":"1h","held":"7d"},"insecure_http":false,"region":null"#,
    )
    .unwrap();
    assert_eq!(config.base.as_ref().unwrap().url, "https://proxy.example.com:8443");
    assert_eq!(names(&config), ["siem/av", "audit"]);
    assert_eq!(config.start_at, StartAt::At(1_772_323_200 * SECOND));
    assert_eq!(config.fields, [("a", "b"), ("n", "1"), ("x", "true")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(
        (page_size(&config, "siem/spam"), page_size(&config, "siem/av"), page_size(&config, "audit")),
        (10, 20, 50)
    );
    assert_eq!((interval(&config, "siem/av"), interval(&config, "audit")), (10 * MINUTE, MINUTE));
    assert_eq!((overlap(&config, "audit"), overlap(&config, "held/releases")), (HOUR, 7 * DAY));
    assert_eq!((config.output, config.include_original), (Output::Ecs, IncludeOriginal::Body));
    assert_eq!(
        (config.labels.as_slice(), config.category.as_deref()),
        (&[Label::Sumo, Label::Stellar][..], Some("email"))
    );
    assert_eq!((config.tenant.as_str(), config.id_scope.as_str()), ("t", "s"));
}

/// Each bad input, and its lawful neighbour.
#[test]
fn every_complaint_names_its_key_and_the_next_step() {
    for (generation, bad, code, key, good) in [
        (V2, r#""api":"3.0""#, "bad-value", "`api`", r#""api":"2.0""#),
        (V2, r#""clientid":"x""#, "unknown-key", "`clientid`", ""),
        (V2, r#""app_id":"x""#, "wrong-generation", "`app_id`", ""),
        (V1, r#""region":"eu","client_id":"x""#, "wrong-generation", "`client_id`", r#""region":"eu""#),
        (V1, "", "missing-key", "`base_url`", r#""administrator_email":"a@example.com""#),
        (V1, r#""administrator_email":"""#, "missing-key", "`region`", r#""base_url":"https://eu-api.mimecast.com""#),
        (V1, r#""administrator_email":" ""#, "missing-key", "`region`", r#""administrator_email":"","region":"eu""#),
        (V1, r#""region":"uk""#, "unknown-region", "`region`", r#""region":"JE""#),
        (V2, r#""region":"eu""#, "unknown-region", "`region`", r#""region":"uk""#),
        (V2, r#""region":"uk","base_url":"https://h""#, "bad-value", "`base_url`", r#""base_url":"https://h""#),
        (V2, r#""base_url":"https://h/api""#, "bad-base-url", "path", r#""base_url":"https://h/""#),
        (V2, r#""base_url":"https://h?x=1""#, "bad-base-url", "query", r#""base_url":"https://h:1""#),
        (V2, r#""base_url":"https://u:p@h""#, "bad-base-url", "user", r#""base_url":"https://h""#),
        (V2, r#""base_url":"h""#, "bad-base-url", "URL", r#""base_url":"HTTPS://h""#),
        (V2, r#""base_url":"http://h""#, "bad-base-url", "TLS", r#""base_url":"https://h""#),
        (
            V2,
            r#""base_url":"http://h","insecure_http":true"#,
            "bad-base-url",
            "TLS",
            r#""base_url":"http://127.0.0.1:1","insecure_http":true"#,
        ),
        (
            V2,
            r#""base_url":"https://h","insecure_http":true"#,
            "bad-base-url",
            "loopback",
            r#""base_url":"http://[::1]:1","insecure_http":true"#,
        ),
        (
            V2,
            r#""base_url":"http://localhost""#,
            "bad-base-url",
            "TLS",
            r#""base_url":"http://localhost","insecure_http":true"#,
        ),
        (V2, r#""insecure_http":true"#, "bad-base-url", "`insecure_http`", r#""insecure_http":false"#),
        (V2, r#""base_url":"ftp://h""#, "bad-base-url", "https", r#""base_url":"https://h""#),
        (
            V2,
            r#""base_url":"https://eu-api.mimecast.com""#,
            "wrong-generation",
            "API 1.0",
            r#""base_url":"https://us-api.services.mimecast.com""#,
        ),
        (
            V1,
            r#""base_url":"https://api.services.mimecast.com""#,
            "wrong-generation",
            "API 2.0",
            r#""base_url":"https://za-api.mimecast.com""#,
        ),
        (V2, r#""collect":["siem/audit"]"#, "unknown-stream", "`collect`", r#""collect":["siem"]"#),
        (
            V1,
            r#""region":"eu","collect":["siem/av"]"#,
            "wrong-generation",
            "`collect`",
            r#""region":"eu","collect":["siem"]"#,
        ),
        (
            V1,
            r#""region":"eu","collect":"cloud""#,
            "wrong-generation",
            "only API 2.0",
            r#""region":"eu","collect":"held""#,
        ),
        (
            V2,
            r#""collect":"siem/events""#,
            "bad-value",
            "`siem_mode`",
            r#""collect":"siem/events","siem_mode":"stream""#,
        ),
        (
            V2,
            r#""collect":"siem/av","siem_mode":"stream""#,
            "bad-value",
            "`siem_mode`",
            r#""collect":"siem","siem_mode":"stream""#,
        ),
        (V2, r#""siem_mode":"push""#, "bad-value", "`siem_mode`", r#""siem_mode":"stream""#),
        (V1, r#""region":"eu","siem_mode":"batch""#, "wrong-generation", "`siem_mode`", r#""region":"eu""#),
        (V2, r#""collect":[]"#, "bad-value", "`collect`", r#""collect":"audit""#),
        (V2, r#""collect":[1]"#, "wrong-type", "`collect`", r#""collect":["audit"]"#),
        (V2, r#""start_at":"yesterday""#, "bad-start", "`start_at`", r#""start_at":"36h""#),
        (V2, r#""start_at":7"#, "wrong-type", "`start_at`", r#""start_at":"7d""#),
        (V2, r#""output":"cef""#, "bad-value", "`output`", r#""output":"raw""#),
        (V2, r#""labels":["splunk"]"#, "bad-value", "`labels`", r#""labels":"elastic""#),
        (V2, r#""category":" ""#, "bad-value", "`category`", r#""category":"e-mail""#),
        (V2, r#""include_original":true"#, "wrong-type", "`include_original`", r#""include_original":"none""#),
        (V2, r#""include_original":"head""#, "bad-value", "`include_original`", r#""include_original":"body""#),
        (V2, r#""page_sizes":50"#, "wrong-type", "`page_sizes`", r#""page_sizes":{}"#),
        (V2, r#""page_sizes":{"siem":101}"#, "bad-value", "`page_sizes.siem`", r#""page_sizes":{"siem":1}"#),
        (V2, r#""page_sizes":{"audit":"ten"}"#, "bad-value", "`page_sizes.audit`", r#""page_sizes":{"audit":500}"#),
        (V2, r#""page_sizes":{"siem":"101"}"#, "bad-value", "`page_sizes.siem`", r#""page_sizes":{"siem":"100"}"#),
        (V2, r#""page_sizes":{"siem":1.5}"#, "bad-value", "`page_sizes.siem`", r#""page_sizes":{"siem":1.0}"#),
        (V2, r#""page_sizes":{"siem":"-1"}"#, "bad-value", "`page_sizes.siem`", r#""page_sizes":{"siem":" 1 "}"#),
        (V2, r#""page_sizes":{"siem":"NaN"}"#, "bad-value", "`page_sizes.siem`", ""),
        (V2, r#""page_sizes":{"siem":1e300}"#, "bad-value", "`page_sizes.siem`", ""),
        (V2, r#""page_sizes":{"mail":1}"#, "unknown-stream", "`page_sizes.mail`", r#""page_sizes":{"dlp":500}"#),
        (V2, r#""page_sizes":{"threat_intel":1}"#, "bad-value", "`page_sizes.threat_intel`", ""),
        (
            V1,
            r#""region":"eu","intervals":{"rejections":"1h"}"#,
            "wrong-generation",
            "`intervals.rejections`",
            r#""region":"eu","intervals":{"dlp":"1h"}"#,
        ),
        (V2, r#""intervals":{"siem":"9s"}"#, "bad-value", "`intervals.siem`", r#""intervals":{"siem":"10s"}"#),
        (V2, r#""intervals":{"siem":300}"#, "bad-value", "`intervals.siem`", r#""intervals":{"siem":"1d"}"#),
        (V2, r#""overlaps":{"siem/av":"1h"}"#, "bad-value", "`overlaps.siem/av`", r#""overlaps":{"ttp":"1h"}"#),
        (
            V2,
            r#""overlaps":{"threat_intel":"7d"}"#,
            "bad-value",
            "`overlaps.threat_intel`",
            r#""overlaps":{"threat_intel":"6d"}"#,
        ),
        (V2, r#""overlaps":{"audit":"8d"}"#, "bad-value", "`overlaps.audit`", r#""overlaps":{"audit":"24h"}"#),
        (V2, r#""api":3.0"#, "bad-value", "`api`", r#""api":2"#),
        (V2, r#""api":true"#, "wrong-type", "`api`", r#""api":2.0"#),
        (V2, r#""insecure_http":"no""#, "wrong-type", "`insecure_http`", ""),
        (V2, r#""fields":{"a":[]}"#, "wrong-type", "`fields.a`", r#""fields":{"a":""}"#),
        (V2, r#""fields":{"a `b":[]}"#, "wrong-type", "`fields`", r#""fields":{"a `b":1}"#),
        (V2, r#""intervals":{"of all":"1h"}"#, "unknown-stream", "`intervals` names \"of all\"", ""),
    ] {
        let fault = parse(generation, bad).expect_err(bad);
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Configuration, code), "{bad}");
        assert!(fault.message.contains(key) && fault.message.starts_with('`'), "{bad}: {fault}");
        assert!(fault.hint.is_some(), "{bad}");
        assert!(parse(generation, good).is_ok(), "{good}: {}", parse(generation, good).unwrap_err());
    }
}

/// A line for each, and a line for what to do about it.
#[test]
fn all_mistakes_are_told_at_once() {
    let lines = |generation, more: &str| -> Vec<(String, String)> {
        let fault = parse(generation, more).expect_err(more);
        let hint = fault.hint.unwrap_or_default();
        assert_eq!(fault.message.lines().count(), hint.lines().count(), "{}\n{hint}", fault.message);
        fault.message.lines().map(str::to_owned).zip(hint.lines().map(str::to_owned)).collect()
    };
    let keys = |generation, more: &str| -> Vec<String> {
        let key = |message: String| message.split('`').nth(1).unwrap_or_default().to_owned();
        lines(generation, more).into_iter().map(|(message, _)| key(message)).collect()
    };
    let many = r#""foo":1,"region":"eu","collect":["mail","audit","siem/events"],"start_at":"yesterday","output":"xml",
        "intervals":{"audit":"1s","dlp":"1h","nothing":"1h"},"page_sizes":{"siem":0},"tenant":5,"insecure_http":false"#;
    let expected = ["foo", "region", "tenant", "collect", "collect", "start_at", "output", "intervals.audit"];
    assert_eq!(keys(V2, many), [&expected[..], &["intervals.nothing", "page_sizes.siem"]].concat());
    assert!(lines(V2, many).iter().all(|(_, hint)| !hint.is_empty()));
    // One mistake is not told as several: what follows from it is left out.
    assert_eq!(keys(r#""client_id":"x""#, r#""clientSecret":"x""#), ["clientSecret"]);
    assert_eq!(keys(r#""api":"1.0""#, r#""region":"eu","client_id":"x""#), ["client_id"]);
    assert_eq!(keys(r#""api":"3.0""#, r#""client_id":"x","siem_mode":"push","start_at":"soon""#), ["api", "start_at"]);
    assert_eq!(keys(V2, r#""siem_mode":"push","collect":"siem/events""#), ["siem_mode"]);
    assert_eq!(keys(r#""api":"2.0""#, ""), ["client_id", "client_secret"]);
    assert_eq!(keys(V1, r#""administrator_email":5"#), ["administrator_email"]);
    // Nor is what was meant by a key that is misspelt.
    for misspelt in ["regoin", "baseUrl", "administrator-email"] {
        assert_eq!(keys(V1, &format!(r#""{misspelt}":"x""#)), [misspelt]);
    }
    assert_eq!(keys(V1, r#""colour":"x""#), ["colour", "region"]);
    assert_eq!(keys(V2, r#""base_ulr":"http://localhost:1","insecure_http":true"#), ["base_ulr"]);
    assert_eq!(keys(V2, r#""colour":"x","insecure_http":true"#), ["colour", "insecure_http"]);
}

/// What an operator wrote may have lines of its own, and is no line of the answer.
#[test]
fn one_mistake_is_one_line() {
    for more in [
        r#""api":"3\n`region` x""#,
        r#""region":"a\nb""#,
        r#""start_at":"a\nb""#,
        r#""output":"a\nb""#,
        r#""siem_mode":"a\nb""#,
        r#""collect":"a\nb""#,
        r#""intervals":{"a\nb":"1h"}"#,
        r#""a\nb":1"#,
        r#""base_url":"https://a\nb""#,
    ] {
        let fault = parse(V2, more).expect_err(more);
        assert_eq!(fault.message.lines().count(), 1, "{more}: {fault}");
    }
    // A key of the host is told whole: it is found by that.
    let fault = parse(V2, r#""max_concurrent_pulls_per_tenant":4"#).unwrap_err();
    assert!(fault.message.starts_with("`max_concurrent_pulls_per_tenant` is not a key"), "{fault}");
}

/// The names that Sumo Logic's source uses, of both generations, and in any case.
#[test]
fn what_collect_may_name() {
    let collect = |generation, more: &str, name: &str| {
        names(&parse(generation, &format!(r#"{more}"collect":[{name}]"#)).unwrap_or_else(|fault| panic!("{fault}")))
    };
    assert_eq!(collect(V2, "", r#""dlp","holdMessageList","auditEvent""#), ["audit", "dlp", "held/messages"]);
    let v1 = r#""region":"eu","#;
    let four = r#""SIEM","DLP","Audit Events","Hold Message List""#;
    assert_eq!(collect(V1, v1, four), ["siem", "audit", "dlp", "held/messages"]);
    assert_eq!(collect(V2, r#""siem_mode":"stream","#, r#""siem","dlp""#), ["siem/events", "dlp"]);
    assert_eq!(collect(V2, "", r#""siem""#).len(), 10);
    assert_eq!(collect(V2, "", r#""hold""#), ["held/messages", "held/releases"]);
    assert_eq!(collect(V1, v1, r#""hold""#), ["held/messages"]);
    assert_eq!(collect(V2, "", r#""cloud","TTP","archive","threat_intel","rejections""#).len(), 12);
    assert_eq!(names(&parse(V2, r#""siem_mode":"stream""#).unwrap()).len(), 17);
    assert_eq!(names(&parse(V1, r#""region":"eu""#).unwrap()).len(), 12);
}

#[test]
fn credentials_are_judged_before_anything_is_sent() {
    for (config, code, key) in [
        ("{}".to_owned(), "missing-key", "`client_id`"),
        (r#"{"client_id":"x"}"#.to_owned(), "missing-key", "`client_secret`"),
        (r#"{"client_id":"x","client_secret":" "}"#.to_owned(), "missing-key", "`client_secret`"),
        (r#"{"client_id":"x","client_secret":"a b"}"#.to_owned(), "bad-secret", "`client_secret`"),
        (r#"{"api":"1.0"}"#.to_owned(), "missing-key", "`secret_key`"),
        (format!("{{{}}}", V1.replace(" bWFkZS11cA==\\n", "not base64!!")), "bad-secret", "`secret_key`"),
        (format!("{{{}}}", V1.replace("bWFkZS11cA==", "bWFkZS11cA=")), "bad-secret", "`secret_key`"),
        (format!("{{{}}}", V1.replace("made-up-access", "")), "missing-key", "`access_key`"),
        ("[]".to_owned(), "bad-json", "object"),
        ("{".to_owned(), "bad-json", "JSON"),
    ] {
        let fault = Config::parse(&config).expect_err(&config);
        assert_eq!(fault.code, code, "{config}");
        assert!(fault.message.contains(key) && fault.hint.is_some(), "{fault}");
        assert!(!fault.to_string().contains("base64!!") && !fault.to_string().contains("a b"), "{fault}");
    }
}

#[test]
fn slips_get_a_suggestion() {
    for (slip, meant) in [
        ("clientID", "client_id"),
        ("client-secret", "client_secret"),
        ("baseUrl", "base_url"),
        ("regoin", "region"),
        ("start", "start_at"),
        ("accessKey", "access_key"),
        ("pagesizes", "page_sizes"),
    ] {
        let fault = parse(V2, &format!(r#""{slip}":"x""#)).unwrap_err();
        let hint = fault.hint.unwrap_or_default();
        if slip != "start" {
            assert_eq!(hint, format!("Did you mean `{meant}`?"), "{slip}");
        }
    }
    let fault = parse(V2, r#""something_else_entirely_and_longer":"x""#).unwrap_err();
    assert!(fault.hint.unwrap().starts_with("The keys are: api, "));
    assert!(fault.message.contains("`something_else_entirely_and_long…`"), "{}", fault.message);
}

#[test]
fn secrets_do_not_show() {
    for (generation, more) in [(V2, ""), (V1, r#""region":"eu""#)] {
        let shown = format!("{:?}", parse(generation, more).unwrap());
        for secret in ["made-up-id", "made-up-secret", "made-up-key", "made-up-access", "[109, 97"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("(secret)"));
    }
}

#[test]
fn starts_are_never_in_the_future() {
    assert_eq!(StartAt::At(20).resolve(10), 10);
    assert_eq!(StartAt::At(5).resolve(10), 5);
    assert_eq!(StartAt::Ago(3).resolve(10), 7);
    assert_eq!(StartAt::Ago(30).resolve(10), 0);
}

#[test]
fn a_discovered_address_must_be_mimecasts_own() {
    assert_eq!(Base::discovered("https://eu-api.mimecast.com").unwrap().url, "https://eu-api.mimecast.com");
    assert!(Base::discovered("https://uspcom-api.mimecast-pscom-us.com/").is_some());
    for bad in [
        "http://eu-api.mimecast.com",
        "https://evil.example.com",
        "https://evilmimecast.com",
        "https://eu-api.mimecast.com.example.com",
        "",
    ] {
        assert!(Base::discovered(bad).is_none(), "{bad}");
    }
}
