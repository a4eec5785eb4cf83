//! `tls`, named as Vector names it.

use std::cell::RefCell;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use zeroize::{Zeroize, Zeroizing};

use super::Reader;
use crate::config::declaration::{Group, Table, choice, flag, text, texts};
use crate::config::section::Section;

/// How a source speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificate authorities beside the system's.
    pub authorities: Option<Arc<Authorities>>,
    /// What it shows to servers that ask who it is.
    pub identity: Option<Arc<Identity>>,
    pub verify_certificate: bool,
    pub verify_hostname: bool,
    /// What it offers, the preferred first.
    pub protocols: Vec<Protocol>,
    pub min_version: TlsVersion,
}

impl Default for TlsSettings {
    /// TLS 1.2 or newer, HTTP/2 where the server speaks it.
    fn default() -> Self {
        Self {
            authorities: None,
            identity: None,
            verify_certificate: true,
            verify_hostname: true,
            protocols: vec![Protocol::Http2, Protocol::Http1],
            min_version: TlsVersion::V12,
        }
    }
}

/// The protocols that TLS negotiates (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    #[default]
    V12,
    V13,
}

/// Certificates of authorities, in DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(pub Vec<CertificateDer<'static>>);

/// A certificate with those that vouch for it, and its private key. The key is wiped with it, and so are its file's text and
/// all that was made of it on the way. What rustls and ring make of the key to sign with cannot be wiped: a copy of its
/// numbers lies in memory that they have given back, after the source's connections are gone.
#[derive(PartialEq, Eq)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    /// A secret.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// What rustls signs with. It takes a copy of the key otherwise, and drops that as it is.
    ///
    /// # Errors
    /// When the certificate or the key is none that can be used, or they do not belong together.
    pub fn certified(&self) -> Result<CertifiedKey, Error> {
        let certified = CertifiedKey::new(self.chain.clone(), any_supported_type(&self.key)?);
        match certified.keys_match() {
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(hidden)")
    }
}

pub static SERVER_TLS: Table = Table::new(
    "api.tls",
    "What the host shows to whoever asks over TCP, so that it speaks TLS.",
    &[&Group::of(&[
        text("crt_file", "PEM file of its certificate."),
        text("key_file", "PEM file of that certificate's private key, not encrypted."),
    ])],
);

pub static TLS: Table = Table::new(
    "tls",
    "How TLS is spoken. At the top for all, and under a source or a sink for that one.",
    &[&Group::of(&[
        text("ca_file", "PEM file of certificate authorities that are trusted beside the system's."),
        text("crt_file", "PEM file of the certificate that is shown to servers that ask who we are."),
        text("key_file", "PEM file of that certificate's private key, not encrypted."),
        flag("verify_certificate", true, "Whether the server's certificate is checked."),
        flag("verify_hostname", true, "Whether the server's certificate must be for its name."),
        texts("alpn_protocols", "`h2` and `http/1.1`, the preferred first. Both, if absent."),
        choice("min_tls_version", &["1.2", "1.3"], Some("1.2"), "The oldest version of TLS that is spoken."),
    ])],
);

/// What reads and judges the files. One that is wrong is said.
pub(super) fn read(mut section: Section<'_>, reader: &RefCell<Reader>) -> TlsSettings {
    let default = TlsSettings::default();
    let (ca, certificate, key) = (section.text("ca_file"), section.text("crt_file"), section.text("key_file"));
    let authorities = ca.and_then(|path| authorities(Path::new(&path), &mut section, reader));
    let identity = identity(certificate, key, &mut section, reader);
    let verify_certificate = section.flag("verify_certificate");
    let verify_hostname = section.flag("verify_hostname");
    let hint = "Name the authority that signed it with `tls.ca_file` instead";
    if !verify_certificate {
        let message = "anyone between here and the vendor can read the credentials and change the records";
        reader.borrow_mut().warn(&section, "verify_certificate", message, hint);
    } else if !verify_hostname {
        let message = "whoever has a certificate for any name can pass for the vendor";
        reader.borrow_mut().warn(&section, "verify_hostname", message, hint);
    }
    let protocols = protocols(&mut section).unwrap_or(default.protocols);
    let versions = [("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)];
    let min_version = section.choice("min_tls_version", &versions);
    section.close();
    TlsSettings { authorities, identity, verify_certificate, verify_hostname, protocols, min_version }
}

/// What a server says that it is: both files are required.
pub(super) fn server(mut section: Section<'_>, reader: &RefCell<Reader>) -> Option<Arc<Identity>> {
    let (certificate, key) = (section.text("crt_file"), section.text("key_file"));
    if certificate.is_none() && key.is_none() {
        section.fault("crt_file", "is required", Some("Name the files of the server's certificate and key".into()));
    }
    let identity = identity(certificate, key, &mut section, reader);
    section.close();
    identity
}

/// A certificate and its key, which come together and belong together. What does not is said here, where it is the
/// configuration that is wrong, and not where a connection is made or an address listened on.
fn identity(
    certificate: Option<String>,
    key: Option<String>,
    section: &mut Section<'_>,
    reader: &RefCell<Reader>,
) -> Option<Arc<Identity>> {
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(Path::new(&certificate), "crt_file", section, reader);
            let key = private_key(Path::new(&key), section, reader);
            let identity = chain.zip(key).map(|(chain, key)| Identity { chain, key });
            identity.filter(|identity| is_whole(identity, section)).map(Arc::new)
        }
        (Some(_), None) => {
            section.fault("key_file", "is required with `crt_file`", Some("Name the file with its private key".into()));
            None
        }
        (None, Some(_)) => {
            section.fault("crt_file", "is required with `key_file`", Some("Name the file with its certificate".into()));
            None
        }
        (None, None) => None,
    };
    let hint = "Decrypt it: openssl pkey -in KEY_FILE -out NEW_FILE, and let only this user read it (chmod 600)";
    section.refuse("key_pass", "is not supported: the key must not be encrypted", hint);
    identity
}

fn is_whole(identity: &Identity, section: &mut Section<'_>) -> bool {
    let Err(error) = identity.certified() else { return true };
    let (file, message) = match error {
        Error::InconsistentKeys(_) => ("key_file", "is not the key of the certificate in `crt_file`".to_owned()),
        Error::InvalidCertificate(_) => ("crt_file", format!("cannot be used: {error}")),
        _ => ("key_file", format!("cannot be used: {error}")),
    };
    section.fault(file, message, Some("Name the two files of one certificate and its key".into()));
    false
}

fn protocols(section: &mut Section<'_>) -> Option<Vec<Protocol>> {
    let names = section.texts("alpn_protocols")?;
    let known = |name: &String| match name.as_str() {
        "h2" => Some(Protocol::Http2),
        "http/1.1" => Some(Protocol::Http1),
        _ => None,
    };
    match names.iter().map(known).collect::<Option<Vec<_>>>().filter(|names| !names.is_empty()) {
        Some(protocols) => Some(protocols),
        None => {
            let hint = "Write alpn_protocols = [\"h2\", \"http/1.1\"], one of the two, or remove it";
            section.fault("alpn_protocols", "must be a list of `h2` and `http/1.1`", Some(hint.into()));
            None
        }
    }
}

/// Read once, however many sources name the file.
fn authorities(path: &Path, section: &mut Section<'_>, reader: &RefCell<Reader>) -> Option<Arc<Authorities>> {
    if let Some(known) = reader.borrow().authorities.get(path) {
        return Some(Arc::clone(known));
    }
    let read = Arc::new(Authorities(certificates(path, "ca_file", section, reader)?));
    reader.borrow_mut().authorities.insert(PathBuf::from(path), Arc::clone(&read));
    Some(read)
}

fn certificates(
    path: &Path,
    key: &str,
    section: &mut Section<'_>,
    reader: &RefCell<Reader>,
) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = bytes(path, key, section, reader)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        _ => {
            let hint = "It must be PEM text, with -----BEGIN CERTIFICATE-----";
            section.fault(key, format!("there is no certificate in {}", path.display()), Some(hint.into()));
            None
        }
    }
}

fn private_key(path: &Path, section: &mut Section<'_>, reader: &RefCell<Reader>) -> Option<PrivateKeyDer<'static>> {
    let bytes = bytes(path, "key_file", section, reader)?;
    let mode = fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777);
    if mode & 0o007 != 0 {
        let message = format!("a private key lies in a file that everybody may read (mode {mode:04o})");
        reader.borrow_mut().warn(section, "key_file", message, &format!("Run: chmod 600 {}", path.display()));
    }
    match first_key(&bytes) {
        Some(key) => Some(key),
        None => {
            let hint = "It must be PEM text that is not encrypted, with -----BEGIN PRIVATE KEY-----";
            section.fault("key_file", format!("there is no private key in {}", path.display()), Some(hint.into()));
            None
        }
    }
}

/// The first private key of a PEM file. The parser of rustls would leave a copy of the text behind.
pub(super) fn first_key(pem: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let mut lines = pem.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    loop {
        let Some(label) = marked(lines.next()?, b"-----BEGIN ") else { continue };
        // As long as it will be at most: what grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(pem.len()));
        loop {
            let line = lines.next()?;
            if marked(line, b"-----END ") == Some(label) {
                break;
            }
            text.extend_from_slice(line);
        }
        let Ok(kind) = SectionKind::try_from(label) else { continue };
        let mut der = Zeroizing::new(vec![0; text.len()]);
        let Ok(length) = STANDARD.decode_slice(&*text, &mut der) else { continue };
        if let Some(key) = PrivateKeyDer::from_pem(kind, der[..length].to_vec()) {
            return Some(key);
        }
    }
}

/// What stands between `begin` and five dashes.
fn marked<'a>(line: &'a [u8], begin: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(begin)?.strip_suffix(b"-----")
}

/// Wiped in the end: it may be a key.
fn bytes(path: &Path, key: &str, section: &mut Section<'_>, reader: &RefCell<Reader>) -> Option<Zeroizing<Vec<u8>>> {
    reader.borrow_mut().files.note(path);
    match fs::read(path) {
        Ok(bytes) => Some(Zeroizing::new(bytes)),
        Err(error) => {
            let hint = "Name a file that this user may read";
            section.fault(key, format!("cannot read {}: {error}", path.display()), Some(hint.into()));
            None
        }
    }
}
