//! Why a request got no answer, and what the operator can do about it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use hyper_util::client::legacy::Error as ClientError;
use rustls::{AlertDescription, CertificateError};
use wasmtime_wasi_http::Error as WasiError;

use super::connect::ConnectTimeout;
use super::names::ResolveError;
use super::tunnel::TunnelError;
use crate::sandbox::Refusal;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("there is no network")]
    Denied,
    #[error(transparent)]
    Egress(#[from] Refusal),
    #[error("the name was not found: {0}")]
    Dns(String),
    #[error("the connection was refused")]
    Refused,
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("{0}")]
    Proxy(TunnelError),
    #[error("the server's TLS certificate was not accepted: {reason}")]
    Certificate { reason: String, hint: &'static str },
    #[error("TLS failed: {reason}")]
    Tls { reason: String, hint: Option<&'static str> },
    #[error("no answer within {0:?}")]
    ResponseTimeout(Duration),
    #[error("the connection was closed before the answer was whole")]
    Closed,
    #[error("{0}")]
    Other(String),
}

impl TransportError {
    /// Which setting to change, where it is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Egress(refusal) => Some(refusal.hint()),
            Self::Proxy(error) => Some(error.hint().to_owned()),
            Self::Certificate { hint, .. } => Some((*hint).to_owned()),
            Self::Tls { hint, .. } => hint.map(str::to_owned),
            Self::ConnectTimeout(_) => {
                Some("Check the way to the host; if it is lawfully slow, raise `timeouts.connect_secs`".into())
            }
            Self::ResponseTimeout(_) => {
                Some("If it lawfully takes longer to answer, raise `timeouts.first_byte_secs`".into())
            }
            _ => None,
        }
    }
}

impl From<TransportError> for WasiError {
    fn from(error: TransportError) -> Self {
        match error {
            // What a name leads to may be another address tomorrow; what is asked for does not change by itself.
            TransportError::Egress(Refusal::Address { .. }) => WasiError::DestinationIpProhibited,
            TransportError::Egress(_) | TransportError::Denied => WasiError::HttpRequestDenied,
            TransportError::Dns(message) => WasiError::DnsError { rcode: Some(message), info_code: None },
            TransportError::Refused => WasiError::ConnectionRefused,
            TransportError::ConnectTimeout(_) => WasiError::ConnectionTimeout,
            TransportError::Certificate { .. } => WasiError::TlsCertificateError,
            TransportError::Tls { .. } => WasiError::TlsProtocolError,
            TransportError::ResponseTimeout(_) => WasiError::HttpResponseTimeout,
            TransportError::Closed => WasiError::HttpResponseIncomplete,
            // A proxy's name is nothing that a guest should know.
            TransportError::Proxy(_) => WasiError::InternalError(Some("the proxy made no connection".into())),
            TransportError::Other(message) => WasiError::InternalError(Some(message)),
        }
    }
}

/// Finds the cause in a chain of errors that nest differently at each layer.
pub(super) fn classify(error: &ClientError) -> TransportError {
    find(error)
}

pub(super) fn find(error: &(dyn StdError + 'static)) -> TransportError {
    let mut last = String::new();
    for error in chain(error) {
        if let Some(known) = known(error) {
            return known;
        }
        last = error.to_string();
    }
    // HTTP/2 keeps nothing of an error of the connection below it but its text. In TLS 1.3 the server's refusal comes there:
    // its word on the client's certificate follows the handshake.
    let alert = ALERTS.iter().map(|alert| rustls::Error::AlertReceived(*alert)).find(|alert| alert.to_string() == last);
    alert.map_or(TransportError::Other(last), |alert| tls(&alert))
}

/// Whether the system, or the connector, gave up waiting for a connection.
pub(super) fn timed_out(error: &(dyn StdError + 'static)) -> bool {
    let is_timeout = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    chain(error).any(|error| error.downcast_ref().is_some_and(is_timeout))
}

/// An error, and what is behind it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| {
        // An I/O error shows the source of what it wraps, not what it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

/// What a server says of a client's certificate.
const ALERTS: [AlertDescription; 8] = [
    AlertDescription::CertificateRequired,
    AlertDescription::AccessDenied,
    AlertDescription::BadCertificate,
    AlertDescription::DecryptError,
    AlertDescription::UnknownCA,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
];

fn known(error: &(dyn StdError + 'static)) -> Option<TransportError> {
    if let Some(ConnectTimeout(limit)) = error.downcast_ref() {
        return Some(TransportError::ConnectTimeout(*limit));
    }
    match error.downcast_ref() {
        Some(ResolveError::NotFound(message)) => return Some(TransportError::Dns(message.clone())),
        Some(ResolveError::Refused(refusal)) => return Some(TransportError::Egress(refusal.clone())),
        None => {}
    }
    if let Some(error) = error.downcast_ref::<TunnelError>() {
        return Some(TransportError::Proxy(error.clone()));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls(error));
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>()
        && (error.is_incomplete_message() || error.is_closed())
    {
        return Some(TransportError::Closed);
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        io::ErrorKind::ConnectionRefused => Some(TransportError::Refused),
        // The system's own time-outs are of connections that there were: the other end is gone.
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::TimedOut => Some(TransportError::Closed),
        _ => None,
    }
}

fn tls(error: &rustls::Error) -> TransportError {
    let reason = error.to_string();
    match error {
        rustls::Error::InvalidCertificate(wrong) => {
            let hint = match wrong {
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    "If an authority of your own, or a proxy that opens TLS, signed it, name its PEM file with `tls.ca_file`"
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "Check the host's name in the address that is configured, and what answers there"
                }
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => {
                    "Check this machine's clock; if it is right, the server needs a new certificate"
                }
                _ => "Check what answers at the address that is configured",
            };
            TransportError::Certificate { reason, hint }
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::AccessDenied) => {
            let hint = "The server wants a client certificate: name one with `tls.crt_file` and `tls.key_file`";
            TransportError::Tls { reason, hint: Some(hint) }
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown,
        ) => {
            let hint = "The server does not accept the client certificate: check `tls.crt_file`";
            TransportError::Tls { reason, hint: Some(hint) }
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => {
            let hint = "The server speaks no version of TLS that is allowed: see `tls.min_tls_version`";
            TransportError::Tls { reason, hint: Some(hint) }
        }
        _ => TransportError::Tls { reason, hint: None },
    }
}
