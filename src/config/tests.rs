use super::*;
use crate::chunk::FaultClass;

const V1: &str = r#""api":"1.0","app_id":"made-up-app","app_key":"made-up-key","access_key":"made-up-access","secret_key":" bWFkZS11cA==\n""#;
const V2: &str = r#""client_id":"made-up-id","client_secret":"made-up-secret""#;

fn parse(generation: &str, more: &str) -> Result<Config, Fault> {
    let comma = if more.is_empty() { "" } else { "," };
    Config::parse(&format!("{{{generation}{comma}{more}}}"))
}

#[test]
fn the_least_that_is_needed() {
    let config = parse(V2, "").unwrap();
    assert_eq!(config.generation(), Generation::V2);
    assert_eq!(config.base.as_ref().unwrap().url, "https://api.services.mimecast.com");
    assert_eq!((config.collect.len(), config.start_at), (11, StartAt::Ago(7 * DAY)));
    assert_eq!((config.tenant.as_str(), config.id_scope.as_str()), ("default", "default"));
    assert_eq!((config.page_size, config.audit_page_size), (100, 500));
    assert_eq!((config.audit_overlap, config.audit_lag), (30 * MINUTE, MINUTE));

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
        r#""api":2.0,"page_size":"50","audit_page_size":"20","collect":"siem","insecure_http":"true","base_url":"http://localhost:1""#,
    )
    .unwrap();
    assert_eq!((config.page_size, config.audit_page_size, config.insecure_http), (50, 20, true));
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
           "output":"ocsf","tenant":"t","id_scope":"s","fields":{"a":"b","n":1,"x":true},"page_size":10,"audit_page_size":50,
           "audit_overlap":"1h","audit_lag":"0s","insecure_http":false,"region":null"#,
    )
    .unwrap();
    assert_eq!(config.base.unwrap().url, "https://proxy.example.com:8443");
    assert_eq!(config.collect.iter().map(|s| s.name()).collect::<Vec<_>>(), ["siem/av", "audit"]);
    assert_eq!(config.start_at, StartAt::At(1_772_323_200 * SECOND));
    assert_eq!(config.fields, [("a", "b"), ("n", "1"), ("x", "true")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!((config.page_size, config.audit_page_size, config.audit_overlap, config.audit_lag), (10, 50, HOUR, 0));
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
            "unknown-stream",
            "`collect`",
            r#""region":"eu","collect":["siem"]"#,
        ),
        (V2, r#""collect":[]"#, "bad-value", "`collect`", r#""collect":"audit""#),
        (V2, r#""collect":[1]"#, "wrong-type", "`collect`", r#""collect":["audit"]"#),
        (V2, r#""start_at":"yesterday""#, "bad-start", "`start_at`", r#""start_at":"36h""#),
        (V2, r#""start_at":7"#, "wrong-type", "`start_at`", r#""start_at":"7d""#),
        (V2, r#""output":"ecs""#, "bad-value", "`output`", r#""output":"ocsf""#),
        (V2, r#""page_size":101"#, "bad-value", "`page_size`", r#""page_size":1"#),
        (V2, r#""audit_page_size":"ten""#, "bad-value", "`audit_page_size`", r#""audit_page_size":500"#),
        (V2, r#""page_size":"101""#, "bad-value", "`page_size`", r#""page_size":"100""#),
        (V2, r#""page_size":1.5"#, "bad-value", "`page_size`", r#""page_size":1.0"#),
        (V2, r#""page_size":"-1""#, "bad-value", "`page_size`", r#""page_size":" 1 ""#),
        (V2, r#""page_size":"NaN""#, "bad-value", "`page_size`", ""),
        (V2, r#""page_size":1e300"#, "bad-value", "`page_size`", ""),
        (V2, r#""api":3.0"#, "bad-value", "`api`", r#""api":2"#),
        (V2, r#""api":true"#, "wrong-type", "`api`", r#""api":2.0"#),
        (V2, r#""audit_overlap":"2d""#, "bad-value", "`audit_overlap`", r#""audit_overlap":"24h""#),
        (V2, r#""insecure_http":"no""#, "wrong-type", "`insecure_http`", ""),
        (V2, r#""fields":{"a":[]}"#, "wrong-type", "`fields`", r#""fields":{}"#),
    ] {
        let fault = parse(generation, bad).expect_err(bad);
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Configuration, code), "{bad}");
        assert!(fault.message.contains(key), "{bad}: {fault}");
        assert!(fault.hint.is_some(), "{bad}");
        assert!(parse(generation, good).is_ok(), "{good}: {}", parse(generation, good).unwrap_err());
    }
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
        ("auditoverlap", "audit_overlap"),
    ] {
        let fault = parse(V2, &format!(r#""{slip}":"x""#)).unwrap_err();
        let hint = fault.hint.unwrap_or_default();
        if slip != "start" {
            assert_eq!(hint, format!("Did you mean `{meant}`?"), "{slip}");
        }
    }
    let fault = parse(V2, r#""something_else_entirely_and_long":"x""#).unwrap_err();
    assert!(fault.hint.unwrap().starts_with("The keys are: api, "));
    assert!(fault.message.contains("`something_else_entirely…`") || fault.message.contains('…'), "{}", fault.message);
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
