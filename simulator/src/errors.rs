//! Error answers in the shapes of section 8.2 of the API reference.

use serde_json::json;

use crate::exchange::Response;

/// Shape (a): API 1.0, and `/api/...` of 2.0.
pub fn envelope(status: u16, code: &str, message: &str) -> Response {
    Response::json(
        status,
        &json!({"meta": {"status": status}, "data": [],
                "fail": [{"errors": [{"code": code, "message": message, "retryable": false}]}]}),
    )
}

/// Shape (b): errors of the request's fields, each a code, a field and a message.
pub fn fields(status: u16, key: &serde_json::Value, errors: &[(&str, &str, &str)]) -> Response {
    let errors: Vec<_> = errors
        .iter()
        .map(|(code, field, message)| json!({"code": code, "message": message, "field": field, "retryable": false}))
        .collect();
    Response::json(status, &json!({"meta": {"status": status}, "data": [], "fail": [{"key": key, "errors": errors}]}))
}

/// Shape (c): the API 2.0 gateway and `/oauth/token`.
pub fn gateway(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"fail": [{"code": code, "message": message}]}))
}

/// Shape (d): `/siem/v1/...`.
pub fn siem(status: u16, code: &str, message: &str) -> Response {
    Response::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// Shape (f): the storage behind signed URLs.
pub fn storage(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Response::new(status, body).with("Content-Type", "application/xml")
}

/// Shape (e): a proxy's page.
pub fn html() -> Response {
    Response::new(502, "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>")
        .with("Content-Type", "text/html")
}

pub fn forbidden() -> Response {
    gateway(403, "app_forbidden", "Forbidden to perform the requested operation")
}

/// The product is not bought, or not assigned to the application (section 8.3).
pub fn unlicensed() -> Response {
    let message = "Resource or method requested does not exist in any product assigned to the application.";
    gateway(403, "app_forbidden", message)
}

/// The same of API 1.0, for whichever reason.
pub fn forbidden_v1() -> Response {
    envelope(403, "err_xdk_operation_forbidden_for_address", "0003 Operation Forbidden for Address")
}
