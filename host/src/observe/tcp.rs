//! The TCP address of a running host, which it listens on only when it is configured.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::access::Access;
use crate::config::TcpOptions;
use crate::config::network::Identity;

/// An address that is listened on.
pub struct Tcp {
    listener: TcpListener,
    pub tls: Option<TlsAcceptor>,
}

impl Tcp {
    /// Listens on the address, with what says who may ask. `hosts` are other names that it has.
    ///
    /// # Errors
    /// Why it does not, with what to do.
    pub async fn bind(options: &TcpOptions, hosts: &[String]) -> io::Result<(Self, Access)> {
        let told = |error: io::Error| {
            let next = match error.kind() {
                io::ErrorKind::AddrInUse => "Another process has it: choose another port in api.address",
                io::ErrorKind::AddrNotAvailable => "This machine has no such address: correct api.address",
                io::ErrorKind::PermissionDenied => "Choose a port above 1023 in api.address",
                _ => "Correct api.address",
            };
            io::Error::new(error.kind(), format!("cannot listen on {}: {error}. {next}", options.address))
        };
        let listener = TcpListener::bind(options.address).await.map_err(told)?;
        let tls = options.identity.as_deref().map(acceptor).transpose()?;
        let access = Access::remote(options.address.ip(), options.token.clone(), hosts);
        Ok((Self { listener, tls }, access))
    }

    /// Where it listens: with the port that the system chose, if it was to.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(super) async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept().await?;
        // What is written is whole answers, and lines that somebody watches.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn acceptor(identity: &Identity) -> io::Result<TlsAcceptor> {
    let unusable = |error| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("api.tls cannot be used: {error}. Check that the key is that of the certificate"),
        )
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
