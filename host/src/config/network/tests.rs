use std::fs;
use std::path::Path;

use super::*;
use crate::config::{Format, Loaded, parse};
use crate::sandbox::{Egress as Policy, EgressMode, Refusal};

/// A configuration with these keys at the top and in its only source.
fn loaded(top: &str, source: &str) -> Result<Loaded, Vec<String>> {
    let text = format!(
        "data_dir = '/d'\n{top}\n[sources.a]\ntype = 'mimecast'\nclient_id = 'x'\n{source}\n\
         [sinks.s]\ntype = 'stdout'\ninputs = ['a']\n"
    );
    let parsed = parse(&text, Format::Toml, "t", &|_| None);
    parsed.map_err(|error| error.problems.iter().map(ToString::to_string).collect())
}

fn network(top: &str, source: &str) -> NetworkSettings {
    loaded(top, source).unwrap_or_else(|problems| panic!("{problems:#?}")).config.sources["a"].network.clone()
}

fn warnings(top: &str, source: &str) -> Vec<String> {
    loaded(top, source).unwrap().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn without_keys_the_defaults_hold_and_the_component_sees_none_of_them() {
    assert_eq!(network("", ""), NetworkSettings::default());
    let keys = "egress.hosts = ['https://a.example']\negress_mode = 'report'\ntls.verify_hostname = false\nproxy.enabled = false";
    let config = loaded("", keys).unwrap().config;
    let settings = config.sources["a"].settings.as_json();
    assert!(settings.contains("client_id") && !settings.contains("egress") && !settings.contains("tls"), "{settings}");
}

#[test]
fn egress_at_the_top_has_the_last_word() {
    let settings = network(
        "egress.hosts = ['https://*.vendor.com']\negress.allow_private = '10.0.0.0/8'\negress_mode = 'report'",
        "egress.extra_hosts = ['https://mirror.org', 'https://b.vendor.com']\negress.allow_private = ['fd00::/8', '127.0.0.1']\n\
         egress_mode = 'enforce'",
    );
    let egress = Policy::new(["https://a.vendor.com", "https://10.1.2.3", "https://[fd00::1]"]).unwrap();
    let egress = egress.with(settings.egress);
    assert_eq!(egress.mode(), EgressMode::Enforce);
    let judge = |uri: &str| egress.judge(&uri.parse().unwrap());
    assert_eq!(judge("https://a.vendor.com/"), Ok(()));
    assert_eq!(judge("https://b.vendor.com/"), Ok(()));
    assert!(matches!(judge("https://mirror.org/"), Err(Refusal::Host { narrowed: true, .. })));
    for (address, passes) in [("10.9.9.9", true), ("fd01::1", true), ("127.0.0.1", true), ("127.0.0.2", false)] {
        assert_eq!(egress.judge_address("x", address.parse().unwrap()).is_ok(), passes, "{address}");
    }
    assert_eq!(network("egress_mode = 'report'", "").egress.mode, EgressMode::Report);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (top, source, place, hint) in [
        (
            "",
            "egress.hosts = ['a.example']",
            "sources.a.egress.hosts[0]: is no host pattern",
            "https://api.example.com",
        ),
        ("egress.extra_hosts = ['https://*']", "", "egress.extra_hosts[0]: ", "scheme://"),
        (
            "",
            "egress.allow_private = ['10.0.0.0/40']",
            "sources.a.egress.allow_private[0]: is no network",
            "10.0.0.0/8",
        ),
        ("", "egress.allow_private = ['::ffff:10.0.0.0/104']", "sources.a.egress.allow_private[0]: ", "10.0.0.0/8"),
        ("", "egress.allow = ['10.0.0.0/8']", "sources.a.egress.allow: unknown key", "allow_private"),
        ("", "egress = 'https://a'", "sources.a.egress: must be a table", ""),
        ("", "egress_mode = 'audit'", "sources.a.egress_mode: must be one of `enforce`, `report`", ""),
        ("", "tls.ca_file = '/nowhere/ca.pem'", "sources.a.tls.ca_file: cannot read /nowhere/ca.pem", "may read"),
        ("", "tls.ca_file = '/dev/null'", "sources.a.tls.ca_file: there is no certificate", "PEM"),
        ("", "tls.crt_file = '/dev/null'", "sources.a.tls.key_file: is required", "private key"),
        ("", "tls.key_file = '/dev/null'", "sources.a.tls.crt_file: is required", "certificate"),
        ("", "tls.key_pass = 'x'", "sources.a.tls.key_pass: is not supported", "openssl"),
        ("", "tls.alpn_protocols = ['h3']", "sources.a.tls.alpn_protocols: must be", ""),
        ("", "tls.min_tls_version = '1.1'", "sources.a.tls.min_tls_version: must be one of `1.2`, `1.3`", ""),
        ("proxy.https = 'socks5://h:1'", "", "proxy.https: is no proxy that speaks HTTP", "http://host:port"),
        ("", "proxy.https = 'https://h:1'", "sources.a.proxy.https: is reached by TLS", "http://host:port"),
        ("", "proxy.http = 'http://h:1/x'", "sources.a.proxy.http: has something after", "http://host:port"),
        ("", "proxy.no_proxy = ['a b']", "sources.a.proxy.no_proxy[0]: is no host", "network"),
        ("", "timeouts.first_byte_secs = 0", "sources.a.timeouts.first_byte_secs: must be a whole number", "60"),
        ("timeouts.idle_secs = '1m'", "", "timeouts.idle_secs: must be a whole number from 1 to 3600", "60"),
        ("", "timeouts.connect = 5", "sources.a.timeouts.connect: unknown key", "connect_secs"),
        ("", "proxy.all = 'http://h:1'", "sources.a.proxy.all: unknown key", "`https`"),
    ] {
        let problems = loaded(top, source).err().unwrap_or_else(|| panic!("{top}{source} passed"));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(place) && problems[0].contains(hint), "{}", problems[0]);
    }
}

#[test]
fn dangerous_settings_are_warned_of() {
    for (top, source, place) in [
        ("", "tls.verify_certificate = false", "sources.a.tls.verify_certificate: anyone"),
        ("", "tls.verify_hostname = false", "sources.a.tls.verify_hostname: whoever"),
        ("tls.verify_certificate = false", "", "tls.verify_certificate: anyone"),
        ("", "egress_mode = 'report'", "sources.a.egress_mode: "),
        ("egress.allow_private = '0.0.0.0/0'", "", "egress.allow_private: "),
    ] {
        let warnings = warnings(top, source);
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        assert!(warnings[0].starts_with(place), "{}", warnings[0]);
    }
    let harmless = "tls.verify_certificate = true\negress_mode = 'enforce'\negress.allow_private = '10.0.0.0/8'";
    assert_eq!(warnings("", harmless), Vec::<String>::new());
}

#[test]
fn a_sources_keys_go_before_those_at_the_top() {
    let top = "tls.min_tls_version = '1.3'\ntls.alpn_protocols = ['http/1.1']\nproxy.https = 'http://all:1'\n\
               proxy.no_proxy = ['direct.example']";
    let inherited = network(top, "");
    assert_eq!((inherited.tls.min_version, inherited.tls.protocols), (TlsVersion::V13, vec![Protocol::Http1]));
    assert_eq!(inherited.proxy.proxy(true, "x", 443).unwrap().to_string(), "all:1");
    let own = network(top, "tls.min_tls_version = '1.2'\nproxy.https = 'http://own:2'");
    assert_eq!((own.tls.min_version, own.tls.protocols), (TlsVersion::V12, vec![Protocol::Http1]));
    assert_eq!(own.proxy.proxy(true, "x", 443).unwrap().to_string(), "own:2");
    assert_eq!(own.proxy.proxy(true, "a.direct.example", 443), None);
    assert_eq!(network(top, "proxy.enabled = false").proxy, ProxySettings::default());
}

#[test]
fn a_time_out_at_the_top_is_for_all_sources_and_a_sources_own_wins() {
    let secs = Duration::from_secs;
    let default = TimeoutSettings { connect: secs(10), first_byte: secs(60), idle: secs(60) };
    assert_eq!(network("", "").timeouts, default);
    let top = "timeouts = { connect_secs = 3, idle_secs = '90' }";
    assert_eq!(network(top, "").timeouts, TimeoutSettings { connect: secs(3), idle: secs(90), ..default });
    let own = network(top, "timeouts.connect_secs = 30\ntimeouts.first_byte_secs = 120").timeouts;
    assert_eq!(own, TimeoutSettings { connect: secs(30), first_byte: secs(120), idle: secs(90) });
    let settings = loaded("", "timeouts.connect_secs = 30").unwrap().config.sources["a"].settings.clone();
    assert!(!settings.as_json().contains("timeouts"), "they are the host's, not the component's");
}

#[test]
fn a_time_out_that_the_calls_own_time_comes_before_is_warned_of() {
    let found = warnings("", "timeouts.first_byte_secs = 301");
    assert!(found.len() == 1 && found[0].starts_with("sources.a.timeouts.first_byte_secs: "), "{found:?}");
    assert!(found[0].contains("300 s") && found[0].contains("limits.wall_secs"), "{found:?}");
    for lawful in ["timeouts.first_byte_secs = 300", "timeouts.first_byte_secs = 301\nlimits.wall_secs = 600"] {
        assert_eq!(warnings("", lawful), Vec::<String>::new());
    }
}

#[test]
fn the_scheme_chooses_the_proxy_and_no_proxy_goes_around_it() {
    let proxy = network(
        "",
        "proxy.http = 'http://plain:1'\nproxy.https = 'http://[fd00::1]'\n\
         proxy.no_proxy = ['internal.example', '.dot.example', '*.star.example', '10.0.0.0/8', '[::1]', 'port.example:8443']",
    )
    .proxy;
    assert_eq!(proxy.proxy(false, "a.example", 80).unwrap().to_string(), "plain:1");
    assert_eq!(proxy.proxy(true, "a.example", 443).unwrap().to_string(), "[fd00::1]:1080");
    for (host, port, direct) in [
        ("internal.example", 443, true),
        ("a.internal.example", 443, true),
        ("ainternal.example", 443, false),
        ("a.dot.example", 443, true),
        ("a.star.example", 443, true),
        ("10.9.8.7", 443, true),
        ("11.0.0.1", 443, false),
        ("::1", 443, true),
        ("::2", 443, false),
        ("port.example", 8443, true),
        ("port.example", 443, false),
    ] {
        assert_eq!(proxy.proxy(true, host, port).is_none(), direct, "{host}:{port}");
    }
    assert_eq!(network("", "proxy.https = 'http://p:1'\nproxy.no_proxy = '*'").proxy.proxy(true, "a", 443), None);
}

#[test]
fn a_proxys_password_is_sent_decoded_and_never_shown() {
    let proxy = network("", "proxy.https = 'http://us%40er:p%3Ass%20marked@p.example:3128'").proxy;
    let address = proxy.proxy(true, "a.example", 443).unwrap();
    // `us@er:p:ss marked`.
    assert_eq!(address.authorization(), Some("Basic dXNAZXI6cDpzcyBtYXJrZWQ="));
    for shown in [format!("{proxy:?}"), address.to_string(), format!("{:?}", network("", ""))] {
        assert!(!shown.contains("marked") && !shown.contains("dXNA") && !shown.contains("us%40er"), "{shown}");
    }
    let problems = loaded("", "proxy.https = 'https://user:marked@p.example'").unwrap_err();
    assert!(!problems[0].contains("marked"), "{problems:?}");
}

#[test]
fn certificates_are_watched_and_shared() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    // Text in base64 is what PEM wants; whether it is a certificate, whoever uses it finds out.
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let key = format!("tls.ca_file = '{}'", path.display());
    let first = loaded("", &key).unwrap();
    assert!(!first.files.is_empty() && !first.files.have_changed());
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nBBBBBBBB\n-----END CERTIFICATE-----\n").unwrap();
    assert!(first.files.have_changed());
    assert_ne!(first.config.sources["a"].network, network("", &key), "another certificate is another setting");
    let text = format!(
        "[sources.a]\ntype = 'mimecast'\n{key}\n[sources.b]\ntype = 'mimecast'\n{key}\n[sinks.s]\ntype = 'stdout'\ninputs = '*'\n"
    );
    let config = parse(&text, Format::Toml, "t", &|_| None).unwrap().config;
    let of = |id: &str| config.sources[id].network.tls.authorities.clone().unwrap();
    assert!(Arc::ptr_eq(&of("a"), &of("b")));
}

#[test]
fn a_password_that_is_written_out_is_found() {
    let found = |text: &str| password_written_out(&crate::config::tree::parse(text, Format::Toml, "t").unwrap());
    assert_eq!(found("proxy.https = 'http://u:p@h:1'").as_deref(), Some("proxy.https"));
    assert_eq!(found("[sources.a]\nproxy.http = 'http://u:p@h:1'").as_deref(), Some("sources.a.proxy.http"));
    for safe in
        ["proxy.https = 'http://h:1'", "proxy.https = 'http://${U}:${P}@h:1'", "proxy.https = 'SECRET[a.b]'", ""]
    {
        assert_eq!(found(safe), None, "{safe}");
    }
}

#[test]
fn a_private_key_that_everybody_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = pair(folder.path(), "own");
    let keys = format!("tls.crt_file = '{certificate}'\ntls.key_file = '{key}'");
    for (mode, warned) in [(0o644, 1), (0o600, 0)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let found = warnings("", &keys);
        assert_eq!(found.len(), warned, "{found:?}");
        assert!(found.iter().all(|text| text.contains("tls.key_file") && text.contains("chmod 600")), "{found:?}");
    }
    let secret = fs::read_to_string(&key).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!format!("{:?}", network("", &keys)).contains(&secret));
}

/// A certificate and its key, in two files.
fn pair(folder: &Path, name: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let path = |kind| folder.join(format!("{name}.{kind}")).display().to_string();
    fs::write(path("pem"), certificate.pem()).unwrap();
    fs::write(path("key"), key.serialize_pem()).unwrap();
    (path("pem"), path("key"))
}

/// Said where it is configured, whoever was to use it: nothing is left for the start.
#[test]
fn a_certificate_and_a_key_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let ((ours, our_key), (theirs, their_key)) = (pair(folder.path(), "ours"), pair(folder.path(), "theirs"));
    let broken = folder.path().join("broken.pem").display().to_string();
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let sink = "[sinks.far]\ntype = 'vector'\ninputs = ['a']\nuri = 'https://localhost:1'\n";
    for (wrong, certificate, key) in [("", &ours, &our_key), ("", &theirs, &their_key)].into_iter().chain([
        ("key_file: is not the key of the certificate in `crt_file`", &ours, &their_key),
        ("key_file: is not the key of the certificate in `crt_file`", &theirs, &our_key),
        ("crt_file: cannot be used: ", &broken, &our_key),
    ]) {
        let keys = format!("tls.crt_file = '{certificate}'\ntls.key_file = '{key}'");
        for (place, top, source) in [
            ("tls", keys.clone(), String::new()),
            ("sources.a.tls", String::new(), keys.clone()),
            ("sinks.far.tls", String::new(), format!("{sink}{keys}")),
        ] {
            match (loaded(&top, &source), wrong) {
                (Ok(_), "") => {}
                (Err(problems), wrong) if !wrong.is_empty() => {
                    assert!(problems[0].starts_with(&format!("{place}.{wrong}")), "{problems:#?}");
                    assert!(
                        problems.len() == 1 && problems[0].contains("one certificate and its key"),
                        "{problems:#?}"
                    );
                }
                (result, _) => panic!("{place}: {wrong:?}: {:?}", result.err()),
            }
        }
    }
}

#[test]
fn a_private_key_is_found_wherever_it_stands_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("crt.pem"), folder.path().join("key.pem"));
    let section = |label: &str, text: &str| format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
    let chain = section("CERTIFICATE", "AAAA");
    fs::write(&certificate, &chain).unwrap();
    let keys = format!("tls.crt_file = '{}'\ntls.key_file = '{}'", certificate.display(), key.display());
    let [pkcs8, pkcs1, sec1] = ["", "RSA ", "EC "].map(|kind| section(&format!("{kind}PRIVATE KEY"), "AQID\nBAUG"));
    let encrypted = section("ENCRYPTED PRIVATE KEY", "AAAA");
    for text in [
        pkcs8.clone(),
        pkcs1.clone(),
        sec1.clone(),
        format!("a word before\n{chain}{pkcs8}{chain}"),
        format!("{}{encrypted}{sec1}", section("EC PARAMETERS", "AAAA")),
        pkcs8.replace('\n', "\r\n"),
        pkcs8.trim_end().to_owned(),
    ] {
        assert_eq!(tls::first_key(text.as_bytes()).unwrap().secret_der(), [1, 2, 3, 4, 5, 6], "{text}");
    }
    for text in [String::new(), chain, encrypted, pkcs8.replace("AQID", "A*ID"), pkcs8.replace("-----END", "-----ENDE")]
    {
        fs::write(&key, &text).unwrap();
        let problems = loaded("", &keys).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains("there is no private key in"), "{problems:?}");
    }
}
