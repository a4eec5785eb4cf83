use super::*;
use crate::effects::Request;
use crate::streams::testing::*;

fn body(request: &Request) -> String {
    String::from_utf8(request.body.clone()).unwrap()
}

fn header(request: &Request, name: &str) -> Option<String> {
    request.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
}

const TOKEN: &str = r#"{"access_token":"mAdEuP.-_~+/=","token_type":"bearer","expires_in":1799,"scope":""}"#;

#[test]
fn a_token_is_fetched_with_a_form() {
    let config = V2.replace("made-up-secret", "made+up/secret=&");
    let mut effects = Fake::new(|_: &Request| ok(TOKEN));
    let session = authenticate(&config, &mut effects).unwrap();
    let request = &effects.requests[0];
    assert_eq!(request.url, "https://api.services.mimecast.com/oauth/token");
    assert_eq!(header(request, "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(
        body(request),
        "client_id=made-up-id&client_secret=made%2Bup%2Fsecret%3D%26&grant_type=client_credentials"
    );
    assert_eq!(session.expires_at, Some(NOW + 1_799 * 1_000_000_000));
    assert!(!format!("{session:?}").contains("mAdEuP"));

    let access = Access::new(&Config::parse(&config).unwrap(), &session.secret).unwrap();
    let headers = access.headers(&Config::parse(&config).unwrap(), "/x", &mut effects).unwrap();
    assert_eq!(headers, [("authorization", "Bearer mAdEuP.-_~+/=".to_owned())]);
}

#[test]
fn lifetimes() {
    for (answer, seconds) in [
        (r#","expires_in":2"#, 2),
        (r#","expires_in":0"#, 1_799),
        ("", 1_799),
        (r#","expires_in":"60""#, 60),
        (r#","expires_in":null"#, 1_799),
    ] {
        let mut effects = Fake::new(move |_: &Request| ok(format!(r#"{{"access_token":"t"{answer}}}"#)));
        assert_eq!(authenticate(V2, &mut effects).unwrap().expires_at, Some(NOW + seconds * 1_000_000_000), "{answer}");
    }
}

#[test]
fn refusals_of_the_token() {
    let refused = r#"{"fail":[{"code":"InvalidClientIdentifier","message":"Client credentials are invalid"}]}"#;
    let long = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(20_000));
    for (reply, class, code) in [
        ((401, refused), FaultClass::Credentials, "bad-client"),
        ((400, r#"{"error":"invalid_client"}"#), FaultClass::Credentials, "bad-client"),
        ((403, ""), FaultClass::Credentials, "bad-client"),
        ((200, refused), FaultClass::Credentials, "bad-client"),
        ((404, "<html>"), FaultClass::Configuration, "http-404"),
        ((429, ""), FaultClass::Throttled(60_000), "http-429"),
        ((503, ""), FaultClass::Unavailable, "http-503"),
        ((302, ""), FaultClass::Protocol, "http-302"),
        ((200, "<html>hello</html>"), FaultClass::Protocol, "not-json"),
        ((200, "{}"), FaultClass::Protocol, "no-token"),
        ((200, long.as_str()), FaultClass::Protocol, "no-token"),
        ((200, r#"{"access_token":"a\r\nb"}"#), FaultClass::Protocol, "no-token"),
    ] {
        let mut effects = Fake::new(|_: &Request| status(reply.0, reply.1));
        let fault = authenticate(V2, &mut effects).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str(), fault.status), (class, code, Some(reply.0)), "{reply:?}");
        assert!(fault.hint.is_some() && !fault.to_string().contains("made-up-secret"));
    }
    let fault = authenticate(V2, &mut Fake::new(|_: &Request| Reply::Fail("dns"))).unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Unavailable, "dns"));
    let fault = authenticate(V2, &mut Fake::new(|_: &Request| Reply::Fail("denied"))).unwrap_err();
    assert_eq!(fault.class, FaultClass::Configuration);
    let fault = authenticate(V2, &mut Fake::new(|_: &Request| Reply::Fail("address-denied"))).unwrap_err();
    assert_eq!(fault.class, FaultClass::Unavailable, "names may lead elsewhere tomorrow");
}

#[test]
fn the_first_generation_proves_its_keys_with_one_call() {
    let mut effects =
        Fake::new(|_: &Request| ok(r#"{"meta":{"status":200},"data":[{"accountCode":"C0EX1"}],"fail":[]}"#));
    let session = authenticate(V1, &mut effects).unwrap();
    assert_eq!((session.secret.as_slice(), session.expires_at), (SESSION_V1, None));
    let request = &effects.requests[0];
    assert_eq!(
        (request.url.as_str(), body(request).as_str()),
        ("https://eu-api.mimecast.com/api/account/get-account", r#"{"data":[]}"#)
    );
    let id = header(request, "x-mc-req-id").unwrap();
    let signed = signature::sign(
        b"made-up",
        "Sun, 08 Mar 2026 12:00:00 UTC",
        &id,
        "/api/account/get-account",
        "made-up-app-key",
    );
    assert_eq!(header(request, "authorization").unwrap(), format!("MC made-up-access:{signed}"));
    assert_eq!(header(request, "x-mc-app-id").as_deref(), Some("made-up-app"));

    // The right to this call is not what is proved.
    assert!(authenticate(V1, &mut Fake::new(|_: &Request| status(403, ""))).is_ok());
    let developer =
        r#"{"fail":[{"errors":[{"code":"err_developer_key","message":"App ID is invalid: made-up-app"}]}]}"#;
    let mut answers = vec![ok(r#"{"data":[]}"#), ok(developer)];
    assert!(authenticate(V1, &mut Fake::new(|_: &Request| answers.pop().unwrap())).is_ok(), "once by chance");
    for (reply, class, code) in [
        ((200, developer), FaultClass::Configuration, "wrong-app-id"),
        (
            (401, r#"{"fail":[{"errors":[{"code":"err_xdk_invalid_signature","message":"0004 Invalid Signature"}]}]}"#),
            FaultClass::Credentials,
            "bad-signature",
        ),
        ((418, ""), FaultClass::Credentials, "keys-expired"),
        ((500, ""), FaultClass::Unavailable, "http-500"),
    ] {
        let fault = authenticate(V1, &mut Fake::new(|_: &Request| status(reply.0, reply.1))).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (class, code));
    }
}

#[test]
fn the_region_is_discovered_without_a_signature() {
    let config = V1.replace(r#""region":"eu""#, r#""administrator_email":"svc@example.com""#);
    let region = |api: &str| {
        format!(
            r#"{{"meta":{{"status":200}},"data":[{{"emailAddress":"svc@example.com","region":{{"code":"de","api":"{api}"}}}}],"fail":[]}}"#
        )
    };
    let mut effects = Fake::new(|request: &Request| {
        if request.url.ends_with("discover-authentication") {
            ok(region("https://de-api.mimecast.com"))
        } else {
            ok(r#"{"data":[]}"#)
        }
    });
    let session = authenticate(&config, &mut effects).unwrap();
    assert_eq!(session.secret, br#"{"base_url":"https://de-api.mimecast.com"}"#);
    assert_eq!(effects.requests[0].url, "https://api.mimecast.com/api/login/discover-authentication");
    assert_eq!(header(&effects.requests[0], "authorization"), None);
    assert_eq!(body(&effects.requests[0]), r#"{"data":[{"emailAddress":"svc@example.com"}]}"#);
    assert!(effects.requests[1].url.starts_with("https://de-api.mimecast.com/api/account/"));
    let parsed = Config::parse(&config).unwrap();
    assert_eq!(Access::new(&parsed, &session.secret).unwrap().base.url, "https://de-api.mimecast.com");
    assert!(Access::new(&parsed, b"{}").is_err(), "a session without its region is none");

    for (answer, class, code) in [
        (r#"{"data":[{"emailAddress":"svc@example.com"}]}"#.to_owned(), FaultClass::Configuration, "unknown-address"),
        (r#"{"data":[]}"#.to_owned(), FaultClass::Configuration, "unknown-address"),
        (region("https://evil.example.com"), FaultClass::Protocol, "bad-region"),
    ] {
        let fault = authenticate(&config, &mut Fake::new(|_: &Request| ok(answer.clone()))).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (class, code));
    }
    let throttled = |_: &Request| Reply::Status(429, vec![("x-ratelimit-reset", "5000".into())], Vec::new());
    assert_eq!(authenticate(&config, &mut Fake::new(throttled)).unwrap_err().class, FaultClass::Throttled(5_000));
}

#[test]
fn sessions_of_the_other_generation_are_no_sessions() {
    let (v1, v2) = (Config::parse(V1).unwrap(), Config::parse(V2).unwrap());
    assert!(Access::new(&v2, SESSION).is_ok() && Access::new(&v1, SESSION_V1).is_ok());
    for session in [SESSION_V1, b"", b"token", b"[]"] {
        let fault = Access::new(&v2, session).err().unwrap();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::SessionExpired, "no-session"));
    }
}
