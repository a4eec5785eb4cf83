//! What the tests of all presets share: a client that reaches nobody; and what each status means.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::client::Reply;
use super::*;
use crate::config::{BatchOptions, Compression, Credentials, Endpoint, Secret};
use crate::outside::Outside;
use crate::sinks::{Concurrency, Retry};

/// Of a sink `far`, with a token from this key.
pub fn client(address_key: &'static str, token_key: Option<&'static str>) -> Client {
    let value = Secret::new("Splunk hunter22");
    let auth = token_key.map(|key| Credentials { header: header::AUTHORIZATION, value, key });
    client_of("http://far.test:1/secret-path", address_key, auth)
}

fn client_of(address: &str, address_key: &'static str, auth: Option<Credentials>) -> Client {
    let options = ClientOptions {
        endpoints: vec![Endpoint::parse(address.into()).unwrap()],
        address_key,
        auth,
        secret_address: false,
        headers: Vec::new(),
        compression: Compression::None,
        batch: BatchOptions { max_bytes: 1_000, max_events: 10, max_age: Default::default() },
        concurrency: Concurrency::Fixed(1),
        healthcheck: true,
        network: Default::default(),
    };
    Client::new("far", &options, &Outside::system()).unwrap()
}

pub fn origin_of(client: &Client) -> &str {
    &client.options().endpoints[0].origin
}

pub fn reply(status: u16, said: &str) -> Reply {
    let (status, body) = (StatusCode::from_u16(status).unwrap(), Ok(Bytes::copy_from_slice(said.as_bytes())));
    Reply { status, headers: HeaderMap::new(), body, endpoint: 0 }
}

#[test]
fn what_a_status_means() {
    let client = client("uri", Some("auth.token"));
    for status in [200, 201, 202, 204] {
        assert_eq!(client.judge(&reply(status, "")), Ok(()));
    }
    for (status, retry, hint) in [
        (301, Retry::Later, "`sinks.far.uri`"),
        (400, Retry::Smaller, ""),
        (401, Retry::Later, "`sinks.far.auth.token`"),
        (403, Retry::Later, "`sinks.far.auth.token`"),
        (404, Retry::Later, "`sinks.far.uri`"),
        (407, Retry::Later, "`sinks.far.proxy`"),
        (408, Retry::Later, ""),
        (413, Retry::Smaller, "`sinks.far.batch.max_bytes`"),
        (422, Retry::Smaller, ""),
        (429, Retry::Later, ""),
        (500, Retry::Later, ""),
        (501, Retry::Later, ""),
        (503, Retry::Later, ""),
    ] {
        let error = client.judge(&reply(status, "no")).unwrap_err();
        assert_eq!(error.retry, retry, "{status}");
        assert!(error.message.starts_with(&format!("http://far.test:1 answers {status}")), "{error}");
        assert!(error.message.ends_with(": no") && error.to_string().contains(hint), "{error}");
    }
    let mut wait = reply(503, "");
    wait.headers.insert(header::RETRY_AFTER, "17".parse().unwrap());
    assert_eq!(client.judge(&wait).unwrap_err().retry, Retry::After(std::time::Duration::from_secs(17)));
}

#[test]
fn no_secret_is_said() {
    let client = client("uri", Some("auth.token"));
    let said = "no Splunk hunter22, at hunter22 http://far.test:1/secret-path or /secret-path";
    let error = client.judge(&reply(401, said)).unwrap_err();
    let shown = format!("{error:?} {error} {:?}", client.options());
    assert!(!shown.contains("hunter22") && !shown.contains("secret-path"), "{shown}");
    assert!(error.message.contains("[hidden]"), "{error}");
}

#[test]
fn a_part_of_a_secret_is_not_said_either() {
    // "me:hunter2hunter", as Basic has it.
    let value = Secret::new("Basic bWU6aHVudGVyMmh1bnRlcg==");
    let auth = Credentials { header: header::AUTHORIZATION, value, key: "auth.password" };
    let client = client_of("https://far.test/services/in/topsecret%2b1234?x=1&key=alsosecret5", "uri", Some(auth));
    let said =
        "no such token: topsecret+1234 (key alsosecret5), user me password hunter2hunter, bWU6aHVudGVyMmh1bnRlcg";
    let error = client.judge(&reply(401, said)).unwrap_err();
    let shown = "no such token: [hidden] (key [hidden]), user me password [hidden], [hidden]";
    assert!(error.message.ends_with(shown), "{error}");
    // What the documentation has is no secret.
    assert!(client.judge(&reply(404, "no services here")).unwrap_err().message.ends_with("no services here"));
    // Decoded in whatever order, though each piece alone is short.
    let client = client_of("https://far.test/in/AbCdEf%2F12345xyz?sig=abc%3Dde%26f+gh", "uri", None);
    for said in [
        "AbCdEf/12345xyz",
        "AbCdEf%2F12345xyz",
        "12345xyz",
        "abc=de&f+gh",
        "abc=de&f gh",
        "abc%3Dde%26f+gh",
        "in/AbCdEf/12345xyz?sig=abc=de&f+gh",
        "https://far.test/in/AbCdEf/12345xyz?sig=abc=de&f+gh",
    ] {
        let error = client.judge(&reply(401, &format!("no such token: {said}"))).unwrap_err();
        assert!(error.message.ends_with(": no such token: [hidden]"), "{said}: {error}");
    }
    // What is in any text stays.
    assert!(client.judge(&reply(404, "AbCdEf in sig abc=de")).unwrap_err().message.ends_with(": AbCdEf in sig abc=de"));
    let value = Secret::new("Token token=\"hunter2hunter\", id=7");
    let auth = Credentials { header: header::AUTHORIZATION, value, key: "auth.value" };
    let client = client_of("https://far.test", "uri", Some(auth));
    let error = client.judge(&reply(401, "hunter2hunter is not known")).unwrap_err();
    assert!(error.message.ends_with(": [hidden] is not known"), "{error}");
}
