use std::fs;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tributary_tests::certificates::certificates;
use tributary_tests::process::{command, output, until};

use crate::BINARY;
use crate::site::{Answer, MINUTE, RIGHT, Site, TOKEN, exchange};

/// Asks over TLS, and trusts the tests' authority alone.
fn ask(site: &Site, line: &str, headers: &[(&str, &str)]) -> Result<Answer, std::io::Error> {
    let mut authorities = RootCertStore::empty();
    authorities.add(CertificateDer::from_pem_file(site.folder.path().join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(authorities).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut stream = site.connect();
    connection.complete_io(&mut stream)?;
    Ok(exchange(StreamOwned::new(connection, stream), line, headers))
}

/// With a certificate in its folder.
fn site() -> Site {
    let site = Site::new("");
    certificates(site.folder.path());
    let at = site.folder.path().display();
    site.configure(&format!("tls.crt_file = \"{at}/server.pem\"\ntls.key_file = \"{at}/server.key\"\n"));
    site
}

fn is_ready(site: &Site) -> bool {
    until(MINUTE, || ask(site, "GET /ready", &RIGHT[..1]).is_ok_and(|answer| answer.status == 200))
}

#[test]
fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let site = site();
    let process = site.begin();
    assert!(is_ready(&site), "{}", process.log());

    assert_eq!(ask(&site, "GET /v1/sources", &RIGHT[..1]).unwrap().status, 401);
    let answer = ask(&site, "GET /v1/sources", &RIGHT).unwrap();
    assert_eq!((answer.status, &answer.json()["sources"][0]["id"]), (200, &"acme".into()));

    // Who speaks without it gets no word of HTTP, and does not disturb the others.
    let mut plain = site.connect();
    std::io::Write::write_all(&mut plain, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut heard = Vec::new();
    // That it is reset is as good an answer.
    let _ = std::io::Read::read_to_end(&mut plain, &mut heard);
    assert!(!String::from_utf8_lossy(&heard).contains("HTTP"), "{heard:?}");
    assert_eq!(ask(&site, "GET /health", &RIGHT[..1]).unwrap().status, 200);
}

#[test]
fn a_handshake_that_never_ends_delays_no_stop() {
    let site = site();
    let process = site.begin();
    assert!(is_ready(&site), "{}", process.log());
    let silent = site.connect();
    // The host takes connections in their order, so it has that one.
    assert!(is_ready(&site));
    process.signal("TERM");
    let begun = Instant::now();
    let (status, log) = process.wait(MINUTE);
    assert_eq!(status.code(), Some(0), "{log}");
    // A handshake may take ten seconds.
    assert!(begun.elapsed().as_secs() < 8, "{log}");
    drop(silent);
}

#[test]
fn a_key_of_another_certificate_is_a_wrong_configuration() {
    let site = site();
    let (at, file) = (site.folder.path(), site.file());
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let exchange = |name| fs::copy(other.path().join(name), at.join(name)).unwrap();
    exchange("server.key");
    for verb in [&["validate", "--no-environment"][..], &["run"]] {
        let line = [&["--config", file.to_str().unwrap()], verb].concat();
        output(&mut command(BINARY, &line)).expect(78, &["api.tls.key_file", "is not the key of the certificate"]);
    }

    // While it runs, it goes on with what it has.
    certificates(at);
    let process = site.begin();
    assert!(is_ready(&site), "{}", process.log());
    let reloaded = |well: bool| {
        let line = format!("\ntributary_config_last_reload_successful {}\n", u8::from(well));
        until(MINUTE, || ask(&site, "GET /metrics", &RIGHT).is_ok_and(|answer| answer.body.contains(&line)))
    };
    assert!(reloaded(true), "{}", process.log());
    exchange("server.key");
    process.signal("HUP");
    assert!(reloaded(false), "{}", process.log());
    assert!(process.log().contains("is not the key of the certificate"), "{}", process.log());
    assert_eq!(ask(&site, "GET /v1/sources", &RIGHT).unwrap().status, 200);
    // With its certificate and authority it is lawful again.
    exchange("server.pem");
    exchange("ca.pem");
    process.signal("HUP");
    assert!(reloaded(true), "{}", process.log());
    drop(process);
}

#[test]
fn another_token_and_another_certificate_need_no_restart() {
    let site = site();
    let at = site.folder.path();
    fs::write(at.join("token"), TOKEN).unwrap();
    let text = fs::read_to_string(site.file()).unwrap();
    let text = text.replace(&format!("token = \"{TOKEN}\""), "token = \"SECRET[vault.token]\"");
    let text = text + &format!("[secret.vault]\ntype = \"directory\"\npath = \"{}\"\n", at.display());
    fs::write(site.file(), &text).unwrap();
    let process = site.begin();
    assert!(is_ready(&site), "{}", process.log());
    assert_eq!(ask(&site, "GET /v1/sources", &RIGHT).unwrap().status, 200);

    let old = at.join("old");
    fs::create_dir(&old).unwrap();
    fs::copy(at.join("ca.pem"), old.join("ca.pem")).unwrap();
    let new = "an0ther-token-0123456789abcdef";
    fs::write(at.join("token"), new).unwrap();
    certificates(at);
    process.signal("HUP");
    let right = format!("Bearer {new}");
    let right = [("Host", "localhost"), ("Authorization", right.as_str())];
    let is_new = || ask(&site, "GET /v1/sources", &right).is_ok_and(|answer| answer.status == 200);
    assert!(until(MINUTE, is_new), "{}", process.log());
    assert_eq!(ask(&site, "GET /v1/sources", &RIGHT).unwrap().status, 401);
    // Who trusts the old authority alone meets a stranger.
    fs::copy(old.join("ca.pem"), at.join("ca.pem")).unwrap();
    assert!(ask(&site, "GET /health", &right).is_err());

    // What needs a restart is said, each time that it changes.
    let told = "for this change to take effect: sinks.files";
    for (times, more) in [(1, "compression = \"gzip\""), (2, "compression = \"zstd\"")] {
        fs::write(site.file(), text.replace("[sinks.files]\n", &format!("[sinks.files]\n{more}\n"))).unwrap();
        process.signal("HUP");
        assert!(until(MINUTE, || process.log().matches(told).count() == times), "{}", process.log());
    }
    let log = process.kill();
    assert!(!log.contains("take effect: api") && !log.contains(new) && !log.contains(TOKEN), "{log}");
}
