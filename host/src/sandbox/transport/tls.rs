//! How TLS is spoken: whom to believe, and what to show.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::NetworkError;
use crate::config::network::{Authorities, Protocol, TlsSettings, TlsVersion};

/// Servers whose tickets are remembered for a source: the API, its region, a few of storage. Room is taken at once. rustls
/// counts eight tickets for each.
const TICKETS: usize = 4 * 8;

/// The system's certificate authorities, or Mozilla's where the system has none.
pub(super) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::debug!("a certificate authority of the system was not read: {error}");
    }
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        tracing::debug!("the system has no certificate authorities; Mozilla's are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// `roots`, and the operator's own.
pub(super) fn with_authorities(roots: &RootCertStore, own: &Authorities) -> Result<RootCertStore, NetworkError> {
    let mut roots = roots.clone();
    for certificate in &own.0 {
        roots
            .add(certificate.clone())
            .map_err(|error| NetworkError { setting: "tls.ca_file", reason: error.to_string() })?;
    }
    Ok(roots)
}

/// A configuration with a store of tickets of its own.
pub(super) fn client(roots: Arc<RootCertStore>, settings: &TlsSettings) -> Result<ClientConfig, NetworkError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match settings.min_version {
        TlsVersion::V12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    let wrong = |setting| move |error: rustls::Error| NetworkError { setting, reason: error.to_string() };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(wrong("tls.min_tls_version"))?;
    let builder = match (settings.verify_certificate, settings.verify_hostname) {
        (true, true) => builder.with_root_certificates(roots),
        (certificate, _) => {
            let roots = certificate.then_some(roots);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Lenient { roots, provider }))
        }
    };
    let mut config = match &settings.identity {
        Some(identity) => {
            let certified = identity.certified().map_err(wrong("tls.crt_file, tls.key_file"))?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(TICKETS);
    config.alpn_protocols = settings.protocols.iter().map(|protocol| wire_name(*protocol).to_vec()).collect();
    Ok(config)
}

/// For a sink that speaks no HTTP, and so negotiates no protocol.
pub fn plain_client(settings: &TlsSettings) -> Result<ClientConfig, NetworkError> {
    let roots = system_roots();
    let roots = match &settings.authorities {
        Some(own) => with_authorities(&roots, own)?,
        None => roots,
    };
    let mut config = client(Arc::new(roots), settings)?;
    config.alpn_protocols.clear();
    Ok(config)
}

fn wire_name(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http1 => b"http/1.1",
        Protocol::Http2 => b"h2",
    }
}

/// For operators who have switched off a part of the check.
#[derive(Debug)]
struct Lenient {
    /// Who must have signed the certificate, whatever name stands in it; `None` if any certificate will do.
    roots: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
