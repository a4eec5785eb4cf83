//! What the sinks for files, objects, brokers and syslog take.

use std::path::Path;

use super::{Framing, SinkKind};
use crate::config::{self, Format};
use crate::template::Template;

/// The sink `x` with these lines, or what is wrong with it.
fn sink(lines: &str) -> Result<SinkKind, String> {
    let text = format!(
        "data_dir = \"/var/lib/t\"\n[sources.acme]\ntype = \"mimecast\"\n[sinks.x]\ninputs = [\"*\"]\n{lines}\n"
    );
    let read = config::parse(&text, Format::Toml, "test.toml", &|_| None);
    read.map(|mut loaded| loaded.config.sinks.remove("x").unwrap().kind).map_err(|error| error.to_string())
}

/// Says that the sink is refused, and why.
fn refused(lines: &str, why: &str) {
    let error = sink(lines).err().unwrap_or_else(|| panic!("accepted: {lines}"));
    assert!(error.contains(why), "{lines}: {error}");
}

#[test]
fn files_by_a_pattern() {
    let read = |path: &str| sink(&format!("type = \"file\"\npath = \"{path}\""));
    let file = |path: &str| match read(path) {
        Ok(SinkKind::File(options)) => (options.path, options.pattern),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(file("/out"), (Path::new("/out").into(), None));
    assert_eq!(file("/out/{{a}}"), (Path::new("/out/{a}").into(), None));
    let pattern = |text| Some(Template::parse(text).unwrap());
    assert_eq!(file("/out/{tenant}/{date}"), (Path::new("/out").into(), pattern("{tenant}/{date}")));
    assert_eq!(file("/out/a-{tenant}/..x"), (Path::new("/out").into(), pattern("a-{tenant}/..x")));
    for (path, why) in [
        ("{tenant}/x", "sinks.x.path: no folder stands before the first place"),
        ("logs-{tenant}", "no folder stands before the first place"),
        ("/{tenant}", "no folder stands before the first place"),
        ("/out/{tenant}/../../etc", "sinks.x.path: it leads out of /out with `..`"),
        ("/out/{tenant}//x", "`` between its slashes is no name of a folder"),
        ("/out/{tenant}/", "`` between its slashes is no name of a folder"),
        ("/out/{tenant}/./x", "`.` between its slashes is no name of a folder"),
        ("/out/{tenants}", "there is no {tenants}"),
        ("/out/{tenant", "stands alone"),
    ] {
        refused(&format!("type = \"file\"\npath = \"{path}\""), why);
    }
}

#[test]
fn syslog() {
    let read = |lines: &str| match sink(&format!("type = \"syslog\"\n{lines}")) {
        Ok(SinkKind::Syslog(options)) => options,
        other => panic!("{lines}: {other:?}"),
    };
    let options = read("endpoint = \"tls://logs.example\"");
    assert_eq!((options.tls, options.host.as_str(), options.port), (true, "logs.example", 6514));
    assert_eq!((options.facility, options.framing, options.bom), (1, Framing::OctetCounting, true));
    let options = read("endpoint = \"tcp://[::1]:1514\"\nframing = \"newline\"\nfacility = \"local4\"");
    assert_eq!((options.tls, options.host.as_str(), options.port), (false, "::1", 1514));
    assert_eq!((options.facility, options.framing), (20, Framing::Newline));
    assert_eq!(read("endpoint = \"tcp://h\"\nstructured_data_id = \"mine@99\"").structured_data_id, "mine@99");
    for (lines, why) in [
        ("", "sinks.x.endpoint: is required"),
        ("endpoint = \"udp://h:514\"", "is no endpoint for syslog. Write `tcp://host:514`"),
        ("endpoint = \"tcp://h:99999\"", "is no endpoint"),
        ("endpoint = \"tcp://h:0\"", "is no endpoint"),
        ("endpoint = \"tcp://user@h\"", "is no endpoint"),
        ("endpoint = \"tcp://h\"\nfacility = \"local9\"", "sinks.x.facility: must be one of"),
        ("endpoint = \"tcp://h\"\nhostname = \"{host}\"", "sinks.x.hostname: there is no {host}"),
        ("endpoint = \"tcp://h\"\nstructured_data_id = \"mine\"", "private enterprise number"),
        ("endpoint = \"tcp://h\"\nstructured_data_id = \"a]@1\"", "private enterprise number"),
        ("endpoint = \"tcp://h\"\nproxy.https = \"http://p:1\"", "sinks.x.proxy: is for HTTP"),
        ("endpoint = \"tcp://h\"\ntls.ca_file = \"/nowhere\"", "sinks.x.tls.ca_file: cannot read"),
    ] {
        refused(&format!("type = \"syslog\"\n{lines}"), why);
    }
}

/// The features that this was built with decide; the others are refused, with the one to add.
#[test]
fn what_was_not_built_in_is_refused_with_the_feature() {
    let types = [
        ("kafka", cfg!(feature = "kafka"), "bootstrap_servers = \"h:9092\""),
        ("nats", cfg!(feature = "nats"), "url = \"nats://h\""),
        ("object_store", cfg!(feature = "object_store"), "url = \"s3://bucket\""),
    ];
    for (kind, built, lines) in types {
        let lines = format!("type = \"{kind}\"\n{lines}");
        match built {
            true => {
                sink(&lines).unwrap();
            }
            false => refused(
                &lines,
                &format!(
                    "sinks.x.type: `{kind}` is not in this build. Build it in: cargo build --release --features {kind}"
                ),
            ),
        }
        // What else is wrong is said too.
        refused(&format!("{lines}\nnonsense = 1"), "sinks.x.nonsense: unknown key");
    }
}

#[test]
fn objects_brokers_and_what_is_wrong_with_them() {
    for (kind, lines, why) in [
        ("object_store", "", "sinks.x.url: is required"),
        ("object_store", "url = \"ftp://x\"", "names no store"),
        ("object_store", "url = \"s3://\"", "names no bucket"),
        ("object_store", "url = \"s3://bucket/a/../b\"", "`..` between its slashes"),
        ("object_store", "url = \"file://lake\"", "three slashes"),
        ("object_store", "url = \"az://container\"", "sinks.x.account: is required"),
        (
            "object_store",
            "url = \"s3://bucket\"\nkey_prefix = \"{tenant}/../\"",
            "sinks.x.key_prefix: has an empty name",
        ),
        ("object_store", "url = \"s3://bucket\"\nkey_prefix = \"/{tenant}\"", "sinks.x.key_prefix: has an empty name"),
        ("object_store", "url = \"s3://bucket\"\nendpoint = \"s3.example\"", "sinks.x.endpoint: is no URL"),
        (
            "object_store",
            "url = \"s3://bucket\"\nauth.access_key_id = \"a\"",
            "sinks.x.auth.secret_access_key: is required",
        ),
        ("nats", "", "sinks.x.url: is required"),
        ("nats", "url = \"nats://user:hunter2@h\"", "belong into `auth`"),
        ("nats", "url = \"nats://h\"\nsubject = \"a b\"", "sinks.x.subject: is no subject"),
        ("nats", "url = \"nats://h\"\nsubject = \"a.>\"", "sinks.x.subject: is no subject"),
        ("nats", "url = \"nats://h\"\nauth.token = \"t\"", "sinks.x.auth.strategy: is required"),
        ("nats", "url = \"nats://h\"\nauth = { strategy = \"nkey\" }", "sinks.x.auth.seed: is required"),
        ("kafka", "", "sinks.x.bootstrap_servers: is required"),
        ("kafka", "bootstrap_servers = \"h:x\"", "is no list of brokers"),
        ("kafka", "bootstrap_servers = \"h\"\ntopic = \"a b\"", "sinks.x.topic: is no name of a topic"),
        ("kafka", "bootstrap_servers = \"h\"\nsasl.username = \"u\"", "sinks.x.sasl.mechanism: is required"),
        (
            "kafka",
            "bootstrap_servers = \"h\"\nlibrdkafka_options.acks = 1",
            "sinks.x.librdkafka_options.acks: is set by the sink",
        ),
        ("kafka", "bootstrap_servers = \"h\"\ntls.ca_file = \"/nowhere\"", "sinks.x.tls.ca_file: cannot be read"),
    ] {
        refused(&format!("type = \"{kind}\"\n{lines}"), why);
        let error = sink(&format!("type = \"{kind}\"\n{lines}")).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
