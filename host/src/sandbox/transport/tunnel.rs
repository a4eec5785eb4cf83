//! A connection through a proxy, by HTTP CONNECT.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// What a proxy's answer may take before its end.
const HEAD: usize = 16 << 10;

/// Why a proxy made no connection. It never holds the proxy's credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TunnelError {
    #[error("the proxy {proxy} cannot be reached: {reason}")]
    Unreachable { proxy: String, reason: String },
    #[error("the proxy {proxy} wants a user name and a password (407)")]
    CredentialsWanted { proxy: String },
    #[error("the proxy {proxy} does not accept the user name and the password (407)")]
    CredentialsRefused { proxy: String },
    #[error("the proxy {proxy} made no connection: it answered {status}")]
    Refused { proxy: String, status: u16 },
    #[error("the proxy {proxy} does not speak HTTP as it should")]
    Protocol { proxy: String },
}

impl TunnelError {
    /// What the operator can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "Check the address in `proxy.https`, and whether the proxy runs",
            Self::CredentialsWanted { .. } => {
                "Write them into the proxy's address: `proxy.https = \"http://user:password@host:port\"`"
            }
            Self::CredentialsRefused { .. } => {
                "Correct them in `proxy.https`; characters such as @ and : in them are written as %40 and %3A"
            }
            Self::Refused { .. } => "Let the proxy connect to the vendor's hosts, or name them in `proxy.no_proxy`",
            Self::Protocol { .. } => "Check whether what answers at the address in `proxy.https` is an HTTP proxy",
        }
    }
}

/// Asks the proxy at the other end of `stream` for a connection to `target` (`host:port`).
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    proxy: &str,
    target: &str,
    authorization: Option<&str>,
) -> Result<S, TunnelError> {
    let unreachable =
        |error: io::Error| TunnelError::Unreachable { proxy: proxy.to_owned(), reason: error.to_string() };
    let begin = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    let header = authorization.map_or(["", "", ""], |value| ["Proxy-Authorization: ", value, "\r\n"]);
    // Made in one piece, so that no copy is left behind.
    let request = Zeroizing::new([&[begin.as_str()][..], &header, &["\r\n"]].concat().concat());
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    drop(request);
    let mut head = Vec::with_capacity(512);
    let end = loop {
        if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let read = stream.read_buf(&mut head).await.map_err(unreachable)?;
        if read == 0 || head.len() > HEAD {
            return Err(TunnelError::Protocol { proxy: proxy.to_owned() });
        }
    };
    let proxy = proxy.to_owned();
    match status(&head) {
        // The other end waits for the first word; who speaks before is not the vendor.
        Some(200..=299) if head.len() == end => Ok(stream),
        Some(200..=299) | None => Err(TunnelError::Protocol { proxy }),
        Some(407) if authorization.is_some() => Err(TunnelError::CredentialsRefused { proxy }),
        Some(407) => Err(TunnelError::CredentialsWanted { proxy }),
        Some(status) => Err(TunnelError::Refused { proxy, status }),
    }
}

/// Of `HTTP/1.1 200 Connection established`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let code = rest.get(..3)?;
    version.starts_with("HTTP/1.").then(|| code.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &[u8], authorization: Option<&str>) -> (Result<(), TunnelError>, String) {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        theirs.write_all(answer).await.unwrap();
        let result = connect(ours, "proxy:3128", "api.example:443", authorization).await.map(drop);
        let mut asked = String::new();
        theirs.read_to_string(&mut asked).await.unwrap();
        (result, asked)
    }

    #[tokio::test]
    async fn it_asks_and_understands_the_answer() {
        let (result, asked) =
            answered(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n", Some("Basic eA==")).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            asked,
            "CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\nProxy-Authorization: Basic eA==\r\n\r\n"
        );
        assert!(!answered(b"HTTP/1.0 200 OK\r\n\r\n", None).await.1.contains("Proxy-Authorization"));
        for (answer, authorization, expected) in [
            (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], None, "wants a user name"),
            (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Some("Basic eA=="), "does not accept"),
            (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", None, "answered 403"),
            (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", None, "does not speak HTTP"),
            (b"HTTP/1.1 20\r\n\r\n", None, "does not speak HTTP"),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", None, "does not speak HTTP"),
            (&[b'x'; 20_000], None, "does not speak HTTP"),
        ] {
            let error = answered(answer, authorization).await.0.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(!error.hint().is_empty() && !format!("{error:?}").contains("eA=="), "{error:?}");
        }
    }
}
