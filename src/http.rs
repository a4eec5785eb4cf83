//! The outside as WASI gives it: `wasi:http`, `wasi:clocks`, `wasi:random`. The only file that knows them.

use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method as WasiMethod, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

use crate::api::url::Url;
use crate::chunk::Timestamp;
use crate::code::Code;
use crate::effects::{Body, Effects, Method, Request, Response, TransportError};

/// A body is read in pieces of this size.
const PIECE: u64 = 64 << 10;
/// `blocking-write-and-flush` takes so much at a time.
const WRITE: usize = 4096;

const SECOND: u64 = 1_000_000_000;

/// The component's effects.
pub struct Wasi;

impl Effects for Wasi {
    fn now(&mut self) -> Timestamp {
        let now = wall_clock::now();
        now.seconds * SECOND + u64::from(now.nanoseconds)
    }

    fn monotonic_ms(&mut self) -> u64 {
        monotonic_clock::now() / 1_000_000
    }

    fn random(&mut self) -> [u8; 16] {
        let (high, low) = (wasip2::random::random::get_random_u64(), wasip2::random::random::get_random_u64());
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    fn send(&mut self, request: Request) -> Result<Response, TransportError> {
        send(&request)
    }
}

fn error(code: Code, message: impl Into<String>) -> TransportError {
    TransportError { code, message: message.into() }
}

fn send(request: &Request) -> Result<Response, TransportError> {
    let refused = |what: &str| error(Code::InvalidRequest, format!("the request's {what} is not valid"));
    let url = Url::parse(&request.url).ok_or_else(|| refused("address"))?;
    let headers = Fields::new();
    for (name, value) in &request.headers {
        headers.append(name, value.as_bytes()).map_err(|_| refused("header"))?;
    }
    if request.method == Method::Post {
        headers.append("content-length", request.body.len().to_string().as_bytes()).map_err(|_| refused("length"))?;
    }
    let outgoing = OutgoingRequest::new(headers);
    let method = match request.method {
        Method::Get => WasiMethod::Get,
        Method::Post => WasiMethod::Post,
    };
    let scheme = if url.scheme == "https" { Scheme::Https } else { Scheme::Http };
    let path = match &url.query {
        Some(query) => format!("{}?{query}", if url.path.is_empty() { "/" } else { &url.path }),
        None if url.path.is_empty() => "/".to_owned(),
        None => url.path.clone(),
    };
    outgoing.set_method(&method).map_err(|()| refused("method"))?;
    outgoing.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    outgoing.set_authority(Some(&url.authority())).map_err(|()| refused("host"))?;
    outgoing.set_path_with_query(Some(&path)).map_err(|()| refused("path"))?;

    let body = outgoing.body().map_err(|()| refused("body"))?;
    let pending = outgoing_handler::handle(outgoing, None).map_err(|code| transport(&code))?;
    // A write that fails is told by the answer, or by its absence.
    let written = write(&body, &request.body);
    let finished = match written {
        Ok(()) => OutgoingBody::finish(body, None).map_err(|code| transport(&code)),
        Err(broken) => {
            drop(body);
            Err(broken)
        }
    };
    pending.subscribe().block();
    let answer = pending.get().and_then(Result::ok);
    let response = match answer {
        Some(Ok(response)) => response,
        Some(Err(code)) => return Err(transport(&code)),
        None => return Err(error(Code::Closed, "the host gave no answer")),
    };
    finished.or_else(|broken| if response.status() >= 400 { Ok(()) } else { Err(broken) })?;
    head(response)
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), TransportError> {
    let stream = body.write().map_err(|()| error(Code::Closed, "the request's body could not be written"))?;
    for piece in bytes.chunks(WRITE) {
        stream
            .blocking_write_and_flush(piece)
            .map_err(|_| error(Code::Closed, "the connection broke off while the request was sent"))?;
    }
    Ok(())
}

fn head(response: IncomingResponse) -> Result<Response, TransportError> {
    let status = response.status();
    // Names come in lower case from hosts that use HTTP/2, and as sent from others.
    let headers =
        response.headers().entries().into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let body = response.consume().map_err(|()| error(Code::Closed, "the answer's body could not be read"))?;
    let stream = body.stream().map_err(|()| error(Code::Closed, "the answer's body could not be read"))?;
    Ok(Response { status, headers, body: Box::new(Incoming { stream, _body: body, _response: response }) })
}

/// Fields are dropped in their order: the stream before the body that it belongs to, and that before its response.
struct Incoming {
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

impl Body for Incoming {
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        loop {
            match self.stream.blocking_read(PIECE) {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Ok(Some(piece)),
                Err(StreamError::Closed) => return Ok(None),
                Err(StreamError::LastOperationFailed(cause)) => {
                    return Err(match wasip2::http::types::http_error_code(&cause) {
                        Some(code) => transport(&code),
                        None => error(Code::Closed, "the connection broke off"),
                    });
                }
            }
        }
    }
}

/// The stable code and one sentence. Payloads are left out: they are the other side's text.
fn transport(code: &ErrorCode) -> TransportError {
    let (code, message) = match code {
        ErrorCode::DnsTimeout | ErrorCode::DnsError(_) | ErrorCode::DestinationNotFound => {
            (Code::Dns, "the host's name was not found")
        }
        ErrorCode::HttpRequestDenied => (Code::Denied, "the collector may not reach this host"),
        ErrorCode::DestinationIpProhibited => {
            (Code::AddressDenied, "its name leads to an address that the collector may not reach")
        }
        ErrorCode::ConnectionRefused => (Code::ConnectionRefused, "the connection was refused"),
        ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => {
            (Code::ConnectionRefused, "there is no way to the host")
        }
        ErrorCode::ConnectionTimeout => (Code::ConnectionTimeout, "the connection was not made in time"),
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            (Code::Tls, "TLS failed, or the certificate is not trusted")
        }
        ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::ConnectionWriteTimeout => {
            (Code::ResponseTimeout, "there was no answer in time")
        }
        ErrorCode::ConnectionTerminated | ErrorCode::HttpResponseIncomplete => {
            (Code::Closed, "the connection broke off")
        }
        ErrorCode::ConnectionLimitReached => (Code::ConnectionLimit, "there are too many connections"),
        ErrorCode::HttpProtocolError => (Code::HttpProtocol, "the other side does not speak HTTP as it should"),
        _ => (Code::Transport, "the request failed"),
    };
    error(code, message)
}

/// Writes a line to `wasi:cli/stderr`: to the host it is one log message.
pub fn log(line: &str) {
    let stderr = wasip2::cli::stderr::get_stderr();
    let mut line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.push('\n');
    for piece in line.as_bytes().chunks(WRITE) {
        if stderr.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
}
