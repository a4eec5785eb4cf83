//! The way to the receiver.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::SyslogOptions;
use crate::sandbox::{look_up, tls_client};
use crate::sinks::SinkError;

/// For the last words of TLS.
const FAREWELL: Duration = Duration::from_secs(5);

/// Makes connections to one receiver.
pub struct Connector {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    /// Name, TCP and TLS together.
    connect: Duration,
    /// In which some of what is written must go.
    stall: Duration,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One connection.
pub struct Connection(Box<dyn Stream>);

impl Connector {
    pub fn new(options: &SyslogOptions) -> Result<Self, SinkError> {
        let network = &options.network;
        let tls = match options.tls {
            true => {
                let config = tls_client(&network.tls).map_err(|error| {
                    SinkError::new(format!("its TLS settings cannot be used: {error}"))
                        .hint("Correct the sink's `tls` table")
                })?;
                Some(TlsConnector::from(Arc::new(config)))
            }
            false => None,
        };
        let (connect, stall) = (network.timeouts.connect, network.timeouts.idle);
        Ok(Self { host: options.host.clone(), port: options.port, tls, connect, stall })
    }

    pub async fn connect(&self) -> Result<Connection, SinkError> {
        let connecting = timeout(self.connect, self.open()).await;
        connecting.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))).map_err(|error| {
            let fault = SinkError::new(format!("no connection to {}: {error}", self.name()));
            match (error.kind(), &self.tls) {
                (io::ErrorKind::InvalidData, Some(_)) => fault.hint(
                    "TLS failed: check that a TLS receiver listens on that port, and name the authority that signed its certificate with `tls.ca_file`",
                ),
                _ => fault.hint("Check the sink's `endpoint`, and whether the receiver listens there"),
            }
        })
    }

    async fn open(&self) -> io::Result<Connection> {
        let mut addresses = look_up(&self.host).await?;
        addresses.iter_mut().for_each(|address| address.set_port(self.port));
        let socket = TcpStream::connect(&*addresses).await?;
        // Each delivery is one write.
        socket.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Connection(Box::new(socket))) };
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        Ok(Connection(Box::new(tls.connect(name, socket).await?)))
    }

    /// Writes all of `bytes`. After an error, or dropped before the end, the connection is in the middle of a message.
    pub async fn send(&self, connection: &mut Connection, bytes: &[u8]) -> Result<(), SinkError> {
        let sent = self.write(connection, bytes).await;
        sent.map_err(|error| {
            let message = format!("the connection to {} broke: {error}", self.name());
            SinkError::new(message).hint("Wait: it is sent again, and what the receiver had read of it comes twice. If it stays, look at the receiver's log")
        })
    }

    async fn write(&self, connection: &mut Connection, mut bytes: &[u8]) -> io::Result<()> {
        let stream = &mut connection.0;
        let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, format!("nothing was taken for {:?}", self.stall));
        while !bytes.is_empty() {
            let written = timeout(self.stall, stream.write(bytes)).await.map_err(stalled)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        timeout(self.stall, stream.flush()).await.map_err(stalled)??;
        // A receiver that went away before it read anything has said so by now, if it could.
        connection.is_open().await
    }

    /// Says goodbye, so that the receiver knows that nothing is missing.
    pub async fn close(&self, mut connection: Connection) {
        if let Ok(Err(error)) = timeout(FAREWELL, connection.0.shutdown()).await {
            tracing::debug!("the connection to {} did not close well: {error}", self.name());
        }
    }

    fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Connection {
    /// Whether the receiver has closed it, as far as is known here. It has nothing to say, so whatever it says is dropped.
    pub async fn is_open(&mut self) -> io::Result<()> {
        // What has arrived is known to the runtime after a look at its sockets.
        tokio::task::yield_now().await;
        let mut space = [0; 512];
        poll_fn(|context| {
            loop {
                let mut buffer = ReadBuf::new(&mut space);
                match Pin::new(&mut *self.0).poll_read(context, &mut buffer) {
                    Poll::Pending => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                }
            }
        })
        .await
    }
}
