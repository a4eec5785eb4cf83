use super::error::{Answered, errors, judge};
use super::*;
use crate::chunk::FaultClass::{self, *};
use crate::kind::Generation::{self, V1, V2};

static ENDPOINT: Endpoint = Endpoint { path: "/p", product: "Product", permission: "Role | Read" };
const NOW: u64 = 1_772_971_200 * 1_000_000_000;

fn judged(generation: Generation, status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    let headers =
        Headers(headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect());
    let answered = Answered { generation, endpoint: &ENDPOINT, at: "host/p", headers: &headers, now: NOW };
    judge(status, body.as_bytes(), &answered, &|text| text.replace("hidden", "…"))
}

#[test]
fn every_shape_of_error_body_is_read() {
    for (body, expected) in [
        (
            r#"{"meta":{"status":401},"data":[],"fail":[{"errors":[{"code":"a","message":"m","retryable":false}]}]}"#,
            vec![("a", "m")],
        ),
        (
            r#"{"fail":[{"key":{"x":1},"errors":[{"code":"a","message":"m","field":"f"},{"code":"b","message":""}]}]}"#,
            vec![("a", "m"), ("b", "")],
        ),
        (r#"{"fail":[{"code":"a","message":"m"}]}"#, vec![("a", "m")]),
        (r#"{"error":{"code":"a","message":"m"}}"#, vec![("a", "m")]),
        (r#"{"errors":[{"code":"a","message":"m"}]}"#, vec![("a", "m")]),
        (r#"{"error":"invalid_client"}"#, vec![("invalid_client", "")]),
        (r#"{"fail":[]}"#, vec![]),
        (r#"{"fail":null,"error":5}"#, vec![]),
        ("[]", vec![]),
    ] {
        let found = errors(&serde_json::from_str(body).unwrap());
        let found: Vec<(&str, &str)> =
            found.iter().map(|error| (error.code.as_str(), error.message.as_str())).collect();
        assert_eq!(found, expected, "{body}");
    }
}

/// Section 8.1 to 8.3 of the API reference, line by line.
#[test]
fn every_status_and_code_has_its_fault() {
    let fail = |code: &str| format!(r#"{{"fail":[{{"errors":[{{"code":"{code}","message":"text"}}]}}]}}"#);
    let flat = |code: &str| format!(r#"{{"fail":[{{"code":"{code}","message":"text"}}]}}"#);
    let cases: Vec<(Generation, u16, String, FaultClass, &str)> = vec![
        (V2, 400, String::new(), Protocol, "http-400"),
        (V2, 401, flat("token_expired"), SessionExpired, "http-401"),
        (V2, 401, flat("unauthorized"), SessionExpired, "http-401"),
        (V2, 401, String::new(), SessionExpired, "http-401"),
        (V2, 401, "<html>401</html>".into(), SessionExpired, "http-401"),
        (V2, 401, flat("InvalidClientIdentifier"), Unavailable, "http-401"),
        (V2, 401, flat("token_verification_failed"), Unavailable, "http-401"),
        (V1, 401, fail("token_verification_failed"), Unavailable, "http-401"),
        (V2, 401, r#"{"fail":[{"code":"x","message":"Unauthorized Request"}]}"#.into(), Unavailable, "http-401"),
        (V1, 401, fail("err_xdk_invalid_signature"), Credentials, "bad-signature"),
        (V1, 401, String::new(), Credentials, "bad-signature"),
        (V2, 403, flat("app_forbidden"), NotEntitled, "http-403"),
        (V1, 403, fail("err_xdk_operation_forbidden_for_address"), NotEntitled, "http-403"),
        (V1, 200, fail("err_xdk_operation_forbidden_for_address"), NotEntitled, "http-403"),
        (V2, 404, flat("endpoint_evaluation_failed_1"), Protocol, "http-404"),
        (V2, 405, String::new(), Protocol, "http-405"),
        (V2, 409, String::new(), Protocol, "http-409"),
        (V1, 418, String::new(), Credentials, "keys-expired"),
        (V1, 200, fail("err_xdk_binding_expired"), Credentials, "keys-expired"),
        (V1, 200, fail("err_developer_key"), Configuration, "wrong-app-id"),
        (V1, 400, fail("err_audit_log_incorrect_region"), Configuration, "wrong-region"),
        (V2, 429, String::new(), Throttled(60_000), "http-429"),
        (V2, 500, String::new(), Unavailable, "http-500"),
        (V2, 502, "<html>Bad Gateway</html>".into(), Unavailable, "http-502"),
        (V2, 503, String::new(), Unavailable, "http-503"),
        (V2, 504, String::new(), Unavailable, "http-504"),
        (V2, 509, String::new(), Unavailable, "http-509"),
        (V2, 408, String::new(), Unavailable, "http-408"),
        (V2, 301, String::new(), Protocol, "http-301"),
        (V2, 200, fail("err_validation_null"), Protocol, "fail"),
        (V2, 200, fail("err_x").replace("\"text\"", "\"text\",\"retryable\":true"), Unavailable, "fail"),
    ];
    for (generation, status, body, class, code) in cases {
        let failure = judged(generation, status, &[], &body);
        let fault = &failure.fault;
        assert_eq!((fault.class, fault.code.as_str(), fault.status), (class, code, Some(status)), "{status} {body}");
        assert!(fault.hint.as_ref().is_some_and(|hint| !hint.is_empty()), "{status} {body}");
        assert!(fault.message.starts_with(&format!("host/p answered {status}")), "{}", fault.message);
        if body.contains("text") {
            assert!(fault.message.contains("text"), "{}", fault.message);
        }
    }
}

#[test]
fn hints_name_the_product_and_the_permission() {
    let hint = judged(V2, 403, &[], "").fault.hint.unwrap();
    assert!(hint.contains("\"Product\"") && hint.contains("\"Role | Read\""), "{hint}");
    assert!(judged(V1, 403, &[], "").fault.hint.unwrap().contains("\"Role | Read\""));
}

#[test]
fn a_wrong_clock_is_told_by_the_date() {
    let hint = |date: &str| judged(V1, 401, &[("date", date)], "").fault.hint.unwrap();
    assert!(hint("Sun, 08 Mar 2026 13:00:00 GMT").contains("3600 s behind"));
    assert!(hint("Sun, 08 Mar 2026 11:00:00 GMT").contains("3600 s ahead"));
    assert!(hint("Sun, 08 Mar 2026 12:03:00 GMT").contains("`secret_key`"));
    assert!(hint("soon").contains("`secret_key`"));
}

#[test]
fn messages_are_short_on_one_line_and_without_secrets() {
    let long = format!("<html>\r\n<b>hidden {}</b>", "x".repeat(10_000));
    let message = judged(V2, 502, &[], &long).fault.message;
    assert!(message.len() < 300 && !message.contains('\n') && !message.contains("hidden"), "{message}");
    assert!(judged(V2, 400, &[], "").fault.message.ends_with("with an empty body"));
    let waits = judged(V2, 429, &[("X-RateLimit-Reset", "412000")], "").fault.class;
    assert_eq!(waits, Throttled(412_000));
}

/// Under a status that nobody expects stands what was asked for: a token, signed addresses, records.
#[test]
fn an_answer_that_is_no_refusal_is_not_quoted() {
    for body in [
        r#"{"access_token":"hidden","expires_in":1799}"#,
        r#"{"value":[{"url":"https://bucket.example/a?X-Amz-Signature=hidden"}]}"#,
        "hidden",
    ] {
        for status in [200, 201, 203, 206, 302, 399] {
            let message = judged(V2, status, &[], body).fault.message;
            let told = format!("host/p answered {status}, with a body of {} bytes", body.len());
            assert_eq!(message, told);
        }
    }
    assert!(judged(V2, 400, &[], "a plain word").fault.message.ends_with(": a plain word"));
    let refusal = r#"{"fail":[{"code":"err_x","message":"text"}]}"#;
    assert!(judged(V2, 203, &[], refusal).fault.message.ends_with("answered 203: text (err_x)"));
}

#[test]
fn what_may_be_the_token() {
    for (status, body, expected) in [
        (400, "", true),
        (200, r#"{"fail":[{"errors":[{"code":"err_audit_siem_invalid_token"}]}]}"#, true),
        (200, r#"{"fail":[{"errors":[{"code":"err_x"}]}]}"#, false),
        (500, "", false),
        (404, "", false),
    ] {
        assert_eq!(judged(V1, status, &[], body).may_be_the_token(), expected, "{status} {body}");
    }
}
