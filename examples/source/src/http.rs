//! One request, from its address to its body.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, IncomingResponse, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

use super::bindings::tributary::source::types::{Detail, Fault};
use super::detail;

/// The longest answer that is read, in bytes. The host has a limit of its own.
const LONGEST: usize = 16 << 20;

/// `scheme://host[:port]` of a URL.
pub fn origin(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://").or(url.strip_prefix("http://"))?;
    let end = host.find(['/', '?', '#']).unwrap_or(host.len());
    (end > 0).then(|| &url[..url.len() - host.len() + end])
}

/// The body of the answer, if that is good. Otherwise what the host must do about it.
pub fn get(origin: &str, path: &str, token: &[u8]) -> Result<Vec<u8>, Fault> {
    let wrong = |()| Fault::Configuration(detail("bad-request", "no request can be made of it", "Look at `url`"));
    let headers = Fields::new();
    let bearer = [b"Bearer ", token].concat();
    headers.append("authorization", &bearer).map_err(|_| {
        Fault::Credentials(detail("bad-token", "the token cannot stand in a header", "Look for a line feed in it"))
    })?;
    let request = OutgoingRequest::new(headers);
    let (scheme, authority) = origin.split_once("://").ok_or(()).map_err(wrong)?;
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request
        .set_scheme(Some(&scheme))
        .and(request.set_authority(Some(authority)))
        .and(request.set_path_with_query(Some(path)))
        .map_err(wrong)?;

    let unreachable = |why: String| Fault::Unavailable(detail("unreachable", why, "It is tried again by itself"));
    let pending = handle(request, None).map_err(|code| unreachable(format!("{code:?}")))?;
    pending.subscribe().block();
    let response = match pending.get() {
        Some(Ok(Ok(response))) => response,
        other => return Err(unreachable(format!("{other:?}"))),
    };
    let body = read(&response);
    match response.status() {
        200 => body.map_err(unreachable),
        status => Err(refused(status)),
    }
}

fn read(response: &IncomingResponse) -> Result<Vec<u8>, String> {
    let body = response.consume().map_err(|()| "the answer has no body")?;
    let stream = body.stream().map_err(|()| "the answer has no body")?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) if bytes.len() + piece.len() > LONGEST => return Err("the answer is too long".into()),
            Ok(piece) => bytes.extend(piece),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

/// What a status means decides what the host does: a source never waits and never tries again by itself.
fn refused(status: u16) -> Fault {
    let say = |hint: &str| Detail { status: Some(status), ..detail(&format!("http-{status}"), message(status), hint) };
    match status {
        401 => Fault::Credentials(say("Make a new token, and set `token`")),
        403 => Fault::NotEntitled(say("Ask the vendor for the right to read events")),
        429 => Fault::Throttled((60_000, say("Ask less often: a longer interval"))),
        500.. => Fault::Unavailable(say("It is tried again by itself")),
        _ => Fault::Protocol(say("Ask the vendor what this status means")),
    }
}

fn message(status: u16) -> String {
    format!("the feed answers {status}")
}
