//! The TCP address of a running host, which it listens on only when it is configured.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::sign::SingleCertAndKey;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::access::Access;
use crate::config::network::Identity;
use crate::config::{Secret, TcpOptions};

/// An address that is listened on.
pub struct Tcp {
    listener: TcpListener,
    tls: Option<Arc<RwLock<TlsAcceptor>>>,
}

/// What may be exchanged while the address is listened on: who may ask, and what is shown to who asks.
pub struct Exchange {
    access: Access,
    tls: Option<Arc<RwLock<TlsAcceptor>>>,
    /// In use now.
    token: Secret,
    identity: Option<Arc<Identity>>,
}

impl Exchange {
    /// Takes over token and certificate, and says so in the log. Connections go on with the certificate
    /// that they began with. An address cannot be exchanged.
    ///
    /// # Errors
    /// Why the certificate cannot be used: it goes on with the one before. The token is taken over all the same.
    pub fn apply(&mut self, options: &TcpOptions) -> io::Result<()> {
        if self.token != options.token {
            self.access.exchange(options.token.clone());
            self.token = options.token.clone();
            tracing::info!("api.token is exchanged, and the sessions of the page are over");
        }
        // Whether it speaks TLS at all is settled by the start.
        if let (Some(tls), Some(identity)) = (&self.tls, &options.identity)
            && self.identity.as_ref() != Some(identity)
        {
            let new = acceptor(identity)?;
            *tls.write().unwrap_or_else(PoisonError::into_inner) = new;
            self.identity = Some(Arc::clone(identity));
            tracing::info!("api.tls: the certificate is exchanged");
        }
        Ok(())
    }
}

impl Tcp {
    /// Listens on the address, with what says who may ask, and what exchanges it. `hosts` are other names that it has.
    ///
    /// # Errors
    /// Why it does not, with what to do.
    pub async fn bind(options: &TcpOptions, hosts: &[String]) -> io::Result<(Self, Access, Exchange)> {
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
        let tls = tls.map(|tls| Arc::new(RwLock::new(tls)));
        let access = Access::remote(listener.local_addr()?, options.token.clone(), hosts);
        let (token, identity) = (options.token.clone(), options.identity.clone());
        let exchange = Exchange { access: access.clone(), tls: tls.clone(), token, identity };
        Ok((Self { listener, tls }, access, exchange))
    }

    /// Where it listens: with the port that the system chose, if it was to.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What speaks TLS with who connects now; none, if nothing does.
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.as_ref().map(|tls| tls.read().unwrap_or_else(PoisonError::into_inner).clone())
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
    let certified = SingleCertAndKey::from(identity.certified().map_err(unusable)?);
    let mut config = builder.map_err(unusable)?.with_no_client_auth().with_cert_resolver(Arc::new(certified));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
