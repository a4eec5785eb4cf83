//! Requests: many, large, and wrongly made.

use serde_json::{Value, json};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

/// `scheme://host[:port]` of a URL.
pub fn origin(url: &str) -> &str {
    let begin = url.find("://").map_or(0, |at| at + 3);
    let end = url[begin..].find('/').map_or(url.len(), |at| begin + at);
    &url[..end]
}

fn get(config: &Value) -> OutgoingRequest {
    let url = config["target"].as_str().or(config["url"].as_str()).unwrap_or("http://127.0.0.1/");
    let request = OutgoingRequest::new(Fields::new());
    let origin = origin(url);
    let (scheme, authority) = origin.split_once("://").unwrap_or(("http", origin));
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).and(request.set_authority(Some(authority))).unwrap();
    let path = &url[origin.len()..];
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).unwrap();
    request
}

/// The time-outs that the configuration asks for, in nanoseconds as WASI has them.
fn options(config: &Value) -> Option<RequestOptions> {
    let wait = config["wait_ms"].as_u64()? * 1_000_000;
    let options = RequestOptions::new();
    let set = [options.set_connect_timeout(Some(wait)), options.set_first_byte_timeout(Some(wait))];
    assert!(set.iter().all(Result::is_ok) && options.set_between_bytes_timeout(Some(wait)).is_ok());
    Some(options)
}

fn answer(pending: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    pending.subscribe().block();
    match pending.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(format!("{code:?}")),
        other => Err(format!("{other:?}")),
    }
}

fn length(response: &IncomingResponse) -> Result<u64, String> {
    let body = response.consume().map_err(|()| "it was consumed")?;
    let stream = body.stream().map_err(|()| "it was streamed")?;
    let mut length = 0;
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) => length += piece.len() as u64,
            Err(StreamError::Closed) => return Ok(length),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

/// Asks so many times, one after another, and reads each answer to its end.
pub fn answers(config: &Value, times: u64) -> Value {
    let (mut bytes, mut errors) = (0, Vec::new());
    for _ in 0..times {
        let pending = handle(get(config), options(config));
        let read = pending.map_err(|code| format!("{code:?}")).and_then(|pending| length(&answer(&pending)?));
        match read {
            Ok(length) => bytes += length,
            Err(error) => errors.push(error),
        }
    }
    json!({ "bytes": bytes, "errors": errors })
}

/// Asks so many times at once, without waiting for any answer before the last.
pub fn flood(config: &Value, times: u64) -> Value {
    let pending: Vec<_> = (0..times).filter_map(|_| handle(get(config), None).ok()).collect();
    json!({ "answered": pending.iter().filter(|pending| answer(pending).is_ok()).count() })
}

/// Reads the begin of an answer.
pub fn half(config: &Value) {
    let pending = handle(get(config), None).unwrap();
    let response = answer(&pending).unwrap();
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    assert!(!stream.blocking_read(16).unwrap().is_empty());
    // The instance ends with all of this open.
    std::mem::forget((pending, response, body, stream));
}

/// One request with the headers, method, path, authority and body that the configuration asks for; says what of it was
/// accepted, and what became of it.
pub fn request(config: &Value) -> Value {
    let fields = Fields::new();
    let texts = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers: Vec<bool> = config["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|header| fields.append(&texts(&header[0]), texts(&header[1]).as_bytes()).is_ok())
        .collect();
    let plain = get(config);
    let request = OutgoingRequest::new(fields);
    request.set_scheme(plain.scheme().as_ref()).and(request.set_authority(plain.authority().as_deref())).unwrap();
    request.set_path_with_query(plain.path_with_query().as_deref()).unwrap();
    let method = config["method"].as_str().map(|method| request.set_method(&Method::Other(method.to_owned())).is_ok());
    let path = config["path"].as_str().map(|path| request.set_path_with_query(Some(path)).is_ok());
    let authority = config["authority"].as_str().map(|host| request.set_authority(Some(host)).is_ok());
    let sent = send(request, config["body"].as_str());
    json!({ "headers": headers, "method": method, "path": path, "authority": authority,
        "sent": sent.unwrap_or_else(|error| error) })
}

fn send(request: OutgoingRequest, bytes: Option<&str>) -> Result<String, String> {
    let body = bytes.map(|_| request.body()).transpose().map_err(|()| "no body")?;
    let pending = handle(request, None).map_err(|code| format!("{code:?}"))?;
    let mut written = Ok(());
    if let (Some(body), Some(bytes)) = (body, bytes) {
        let stream = body.write().map_err(|()| "not writable")?;
        written = stream.blocking_write_and_flush(bytes.as_bytes()).map_err(|error| format!("{error:?}"));
        drop(stream);
        written = written.and(OutgoingBody::finish(body, None).map_err(|code| format!("{code:?}")));
    }
    written?;
    answer(&pending).map(|response| response.status().to_string())
}

/// Asks of one thing that is ready, so many times at once.
pub fn polls(times: u64) {
    let ready = wasip2::clocks::monotonic_clock::subscribe_duration(0);
    let list: Vec<_> = (0..times).map(|_| &ready).collect();
    assert_eq!(wasip2::io::poll::poll(&list).len() as u64, times);
}
