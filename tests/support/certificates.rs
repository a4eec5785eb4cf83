//! Certificates for servers named localhost.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// `ca.pem`, `server.pem` and `server.key` in `folder`.
pub fn certificates(folder: &Path) {
    let (mut parameters, authority_key) = (CertificateParams::new(Vec::new()).unwrap(), KeyPair::generate().unwrap());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, "the tests' authority");
    fs::write(folder.join("ca.pem"), parameters.self_signed(&authority_key).unwrap().pem()).unwrap();
    let authority = Issuer::new(parameters, authority_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}
