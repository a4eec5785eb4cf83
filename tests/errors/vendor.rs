//! What Mimecast, or something before it, answers; and the way to it.

use std::time::Duration;

use mimecast_source::api::unreachable;
use mimecast_source::code::Code;
use mimecast_source::config::Config;
use mimecast_source::effects;
use serde_json::{Value, json};
use tributary_host::sandbox::{Egress, Refusal, TransportError};

use crate::component::Case;
use crate::row::Row;
use crate::scripted::{Asked, Said, Trial, said};

/// An error in the form of the API behind API 2.0's gateway, and of API 1.0.
fn fail(status: u16, code: &str, message: &str, retryable: bool) -> Value {
    json!({
        "meta": { "status": status }, "data": [],
        "fail": [{ "errors": [{ "code": code, "message": message, "retryable": retryable }] }],
    })
}

/// An error in the form of API 2.0's gateway.
fn gateway(code: &str, message: &str) -> Value {
    json!({ "fail": [{ "code": code, "message": message }] })
}

fn always(status: u16, body: impl ToString) -> impl FnMut(&Asked) -> Said + Send + 'static {
    let body = body.to_string();
    move |_| said(status, body.clone())
}

/// Streams of both generations that have a status for each answer.
fn audit(status: u16, body: impl ToString) -> Trial {
    Trial::v2(always(status, body)).reads("audit")
}

fn audit_v1(status: u16, body: impl ToString) -> Trial {
    Trial::v1(always(status, body)).reads("audit")
}

/// Without a base URL, so that Mimecast is asked for it.
fn discovered(body: Value) -> Trial {
    let keys = json!({ "base_url": null, "insecure_http": null, "administrator_email": "ann@example.com" });
    Trial::v1(always(200, body)).with(keys)
}

fn broken(error: impl Fn() -> TransportError + Send + 'static) -> Trial {
    Trial::v2(move |_| Said::Fail(error()))
}

pub fn cases() -> Vec<Case> {
    [credentials(), answers_and_rights(), network()].into_iter().flatten().collect()
}

pub fn answers_and_rights() -> Vec<Case> {
    [rights(), statuses(), answers()].into_iter().flatten().collect()
}

pub fn credentials() -> Vec<Case> {
    let signature = || fail(401, "err_xdk_invalid_signature", "0004 Invalid Signature", false);
    let behind = Trial::v1(move |_| {
        let date = vec![("date", "Sun, 08 Mar 2026 13:00:00 GMT".to_owned())];
        Said::Answer(401, date, signature().to_string())
    });
    vec![
        (
            Code::BadClient,
            Trial::v2(always(401, gateway("InvalidClientIdentifier", "Client credentials are invalid."))),
            "API 2.0 gives no token for this client id and secret.",
        ),
        (Code::BadClient, Trial::v2(always(400, "")), ""),
        (Code::BadClient, Trial::v2(always(403, "")), ""),
        (Code::BadClient, Trial::v2(always(200, fail(200, "err_x", "No", false))), ""),
        (
            Code::BadSignature,
            Trial::v1(always(401, signature())),
            "API 1.0 does not accept the signature. It answers the same for a wrong access key, secret key or application \
             key, and for a wrong clock.",
        ),
        (Code::BadSignature, behind, ""),
        (
            Code::KeysExpired,
            Trial::v1(always(418, fail(418, "err_xdk_binding_expired", "0018 Binding Expired", false))),
            "The keys of API 1.0 had a time to live, and it is over. The stream stands still until there are others.",
        ),
        (
            Code::WrongAppId,
            Trial::v1(always(200, fail(200, "err_developer_key", "App ID is invalid: made-up", false))),
            "API 1.0 knows no application with this id.",
        ),
        (
            Code::WrongRegion,
            audit_v1(400, fail(400, "err_audit_log_incorrect_region", "Wrong region", false)),
            "The account lives in another region than the one that is asked.",
        ),
        (
            Code::UnknownAddress,
            discovered(
                json!({ "meta": { "status": 200 }, "data": [{ "emailAddress": "ann@example.com" }], "fail": [] }),
            ),
            "Mimecast was asked where the account lives, and knows no account with this address.",
        ),
        (
            Code::BadRegion,
            discovered(
                json!({ "data": [{ "region": { "code": "eu", "api": "https://elsewhere.example" } }], "fail": [] }),
            ),
            "The address that Mimecast named for the account is not one of its own, so nothing is sent there.",
        ),
        (
            Code::NoSession,
            Trial { session: b"{}".to_vec(), ..audit(200, "{}") },
            "A call was to be made before the credentials were proved.",
        ),
        (Code::NoToken, Trial::v2(always(200, "{}")), "What answers for the token gives none."),
        (
            Code::Http(401),
            audit(401, gateway("token_expired", "Token expired")),
            "The access token is not accepted. That is usual when it has run out, and mended by itself.",
        ),
        (Code::Http(401), audit(401, gateway("InvalidClientIdentifier", "Client credentials are invalid.")), ""),
        (Code::Http(401), audit(401, gateway("token_verification_failed", "No")), ""),
    ]
}

fn rights() -> Vec<Case> {
    let product = "Resource or method requested does not exist in any product assigned to the application.";
    let address = "err_xdk_operation_forbidden_for_address";
    vec![
        (
            Code::Http(403),
            audit(403, gateway("app_forbidden", "Forbidden to perform the requested operation")),
            "The account, the application or the role has no right to this stream. The other streams go on.",
        ),
        (Code::Http(403), audit(403, gateway("app_forbidden", product)), ""),
        (Code::Http(403), audit_v1(403, fail(403, address, "0003 Operation Forbidden", false)), ""),
        (Code::Http(403), audit_v1(200, fail(200, address, "0003 Operation Forbidden", false)), ""),
    ]
}

fn statuses() -> Vec<Case> {
    let limited = |_: &Asked| {
        let reset = vec![("x-ratelimit-limit", "50".to_owned()), ("x-ratelimit-reset", "90000".to_owned())];
        Said::Answer(429, reset, String::new())
    };
    vec![
        (Code::Http(302), audit(302, ""), "Something answers with a redirect, which Mimecast does not."),
        (
            Code::Http(400),
            audit(400, fail(400, "err_validation_null", "startDateTime is null", false)),
            "Mimecast does not take the request. For a token that has run out it is tried once more without it.",
        ),
        (
            Code::Http(404),
            audit(404, gateway("endpoint_evaluation_failed_1", "Endpoint cannot be found")),
            "There is no such path where it was asked: another generation's host, or something that is not Mimecast.",
        ),
        (Code::Http(404), Trial::v2(always(404, "")), ""),
        (Code::Http(405), audit(405, ""), "The host does not take requests of this kind."),
        (Code::Http(408), audit(408, ""), "Mimecast took too long."),
        (Code::Http(409), audit(409, ""), "Mimecast sees a conflict with another request."),
        (
            Code::Http(429),
            Trial::v2(limited).reads("audit"),
            "The quota of the keys is used up. It is told only when it lasts an hour.",
        ),
        (
            Code::Http(500),
            audit(500, "<html>Internal Server Error</html>"),
            "Mimecast, or a proxy before it, is in trouble.",
        ),
        (Code::Http(502), audit(502, ""), ""),
        (Code::Http(503), audit_v1(503, ""), ""),
        (Code::Http(504), audit(504, ""), ""),
        (Code::Http(509), audit(509, ""), ""),
        (
            Code::Fail,
            audit(200, fail(200, "err_validation_null", "startDateTime is null", false)),
            "Mimecast answers 200, with errors in the body.",
        ),
        (Code::Fail, audit(200, fail(200, "internal_server_error_1", "Try again", true)), ""),
        (Code::Fail, audit_v1(200, fail(200, "err_invalid_search_xml", "No", false)), ""),
    ]
}

fn answers() -> Vec<Case> {
    vec![
        (
            Code::NotJson,
            audit(200, "<html>Please sign in</html>"),
            "The answer is no JSON: most often the page of a proxy or a portal.",
        ),
        (Code::NotJson, Trial::v2(always(200, "<html>")), ""),
        (
            Code::AnswerTooLarge,
            audit(200, format!("{{\"data\":[\"{}\"]}}", "x".repeat(16 << 20))),
            "One answer is longer than any that Mimecast gives.",
        ),
    ]
}

/// What the policy says of a name that leads into this machine.
fn private() -> Refusal {
    let egress = Egress::new(["https://api.services.mimecast.com"]).unwrap();
    egress.judge_address("api.services.mimecast.com", [127, 0, 0, 1].into()).unwrap_err()
}

pub fn network() -> Vec<Case> {
    let elsewhere = json!({ "base_url": "https://elsewhere.example", "insecure_http": null });
    vec![
        (
            Code::Denied,
            broken(|| TransportError::Closed).with(elsewhere),
            "The egress policy does not let the source reach this host.",
        ),
        (
            Code::AddressDenied,
            broken(|| private().into()),
            "The host's name leads to an address that is not public, and that the source may not reach.",
        ),
        (Code::Dns, broken(|| TransportError::Dns("no such name".into())), "The host's name was not found."),
        (Code::ConnectionRefused, broken(|| TransportError::Refused), "Nothing listens there, or a firewall says no."),
        (
            Code::ConnectionTimeout,
            broken(|| TransportError::ConnectTimeout(Duration::from_secs(10))),
            "No connection was made in time: most often a firewall that says nothing.",
        ),
        (
            Code::Tls,
            broken(|| TransportError::Tls { reason: "handshake failure".into(), hint: None }),
            "TLS failed, or the certificate is not trusted.",
        ),
        (
            Code::ResponseTimeout,
            broken(|| TransportError::ResponseTimeout(Duration::from_secs(60))),
            "There was a connection, but no answer in time.",
        ),
        (Code::Closed, broken(|| TransportError::Closed), "The connection broke off before the answer was whole."),
        (Code::Transport, broken(|| TransportError::Other("it failed".into())), "The request failed in another way."),
    ]
}

/// Codes that this host never gives a component, but another host of `wasi:http` may.
pub fn elsewhere() -> Vec<Row> {
    let config = Config::parse(r#"{"client_id":"i","client_secret":"hunter22-made-up-secret"}"#).unwrap();
    [
        (Code::ConnectionLimit, "there are too many connections", "There are too many connections."),
        (
            Code::HttpProtocol,
            "the other side does not speak HTTP as it should",
            "What answers does not speak HTTP as it should.",
        ),
    ]
    .into_iter()
    .map(|(code, message, means)| {
        let error = effects::TransportError { code, message: message.into() };
        let fault = unreachable(&error, "api.services.mimecast.com/oauth/token", &config);
        let next = fault.hint.unwrap_or_default();
        Row { code: fault.code, place: "source acme".into(), what: fault.message, next, means }
    })
    .collect()
}
