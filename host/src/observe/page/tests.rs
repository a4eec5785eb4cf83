//! Who sees what of the page, and how it guards itself. A host that runs is in the end-to-end tests.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt;

use crate::config::Secret;
use crate::observe::access::{Access, Caller};
use crate::observe::api::Front;
use crate::observe::server::{Answer, Asked, Service};

const TOKEN: &str = "0123456789abcdef";
const OWN: (&str, &str) = ("origin", "http://localhost:8686");

fn remote() -> Access {
    on_port(8686)
}

fn on_port(port: u16) -> Access {
    Access::remote(([127, 0, 0, 1], port).into(), Secret::new(TOKEN), &[])
}

/// What a host that starts answers, after the same judgement as over a socket.
async fn ask(access: &Access, line: (&str, &str), headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(line.0).uri(line.1).header("host", "localhost:8686");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let caller = match access.admit(&head).await {
        Ok(caller) => caller,
        Err(refused) => return *refused,
    };
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().map(str::to_owned));
    let (method, headers, body) = (head.method, head.headers, Bytes::copy_from_slice(body.as_bytes()));
    Front::default().answer(Asked { caller, access: access.clone(), method, path, query, headers, body }).await
}

async fn text(answer: Answer) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The cookie that an answer sets, as a browser shows it.
fn cookie(answer: &Answer) -> String {
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    set.split_once(';').unwrap().0.to_owned()
}

#[tokio::test(start_paused = true)]
async fn who_has_not_signed_in_sees_where_to_and_no_more() {
    let access = remote();
    for path in ["/", "/?q=a", "/sources/acme", "/sources/acme/check"] {
        let answer = ask(&access, ("GET", path), &[], "").await;
        assert_eq!(answer.status(), 401, "{path}");
        let text = text(answer).await;
        assert!(text.contains("name=\"token\"") && !text.contains("starting"), "{text}");
        assert!(!text.contains(env!("CARGO_PKG_VERSION")), "which release it is, is nobody's business: {text}");
        assert!(text.contains(&format!("name=\"next\" value=\"{path}\"")), "{text}");
    }
    for path in ["/style.css", "/script.js", "/icon.svg"] {
        assert_eq!(ask(&access, ("GET", path), &[], "").await.status(), 200);
    }
    assert_eq!(ask(&access, ("POST", "/sources/acme/check"), &[OWN], "").await.status(), 401);
    assert_eq!(ask(&access, ("POST", "/sign-out"), &[OWN], "").await.status(), 401);
    // Through the socket nobody signs in.
    let local = Access::local(&[]);
    assert_eq!(ask(&local, ("GET", "/"), &[], "").await.status(), 503);
    assert_eq!(ask(&local, ("POST", "/sign-in"), &[], "token=x").await.status(), 303);
}

#[tokio::test(start_paused = true)]
async fn the_token_opens_a_session_and_a_wrong_one_does_not() {
    let access = remote();
    let sign_in = |token: &'static str| {
        let access = access.clone();
        async move {
            let body = format!("token={token}&next=%2Fsources%2Facme");
            ask(&access, ("POST", "/sign-in"), &[OWN], &body).await
        }
    };
    for wrong in ["", "0123456789abcdeF", "%3Cscript%3E"] {
        let begun = tokio::time::Instant::now();
        let answer = sign_in(wrong).await;
        assert!(answer.status() == 401 && answer.headers().get(header::SET_COOKIE).is_none());
        assert!(begun.elapsed().as_millis() >= 250);
        let text = text(answer).await;
        assert!(text.contains("This is not the token") && !text.contains("<script"), "{text}");
    }
    let answer = sign_in(TOKEN).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["location"]), (303, &"/sources/acme".parse().unwrap()));
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Strict") && set.contains("; Path=/"), "{set}");
    assert!(!set.contains("Secure") && !set.contains(TOKEN));
    let cookie = cookie(&answer);
    let both = format!("other=1; {cookie}; tributary_session_8686=x");
    for shown in [cookie.as_str(), both.as_str()] {
        assert_eq!(ask(&access, ("GET", "/"), &[("cookie", shown)], "").await.status(), 503, "the host starts");
    }
    for wrong in ["tributary_session_8686=", "tributary_session_8686=x", "session=1", &cookie[..cookie.len() - 1]] {
        assert_eq!(ask(&access, ("GET", "/"), &[("cookie", wrong)], "").await.status(), 401, "{wrong}");
    }
    // Another host knows nothing of it.
    assert_eq!(ask(&remote(), ("GET", "/"), &[("cookie", &cookie)], "").await.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn two_hosts_on_one_machine_do_not_end_each_others_sessions() {
    let (one, two) = (remote(), on_port(8687));
    let mut shown = Vec::new();
    for access in [&one, &two] {
        let answer = ask(access, ("POST", "/sign-in"), &[OWN], &format!("token={TOKEN}")).await;
        let new = cookie(&answer);
        // As a browser does: the newest of each name.
        shown.retain(|old: &String| old.split('=').next() != new.split('=').next());
        shown.push(new);
    }
    let shown = shown.join("; ");
    for access in [&one, &two] {
        let answer = ask(access, ("GET", "/"), &[("cookie", &shown)], "").await;
        assert_eq!(answer.status(), 503, "the host starts");
        assert!(text(answer).await.contains(env!("CARGO_PKG_VERSION")));
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let local = Access::local(&[]);
    for (line, methods) in [
        (("POST", "/"), "GET, HEAD"),
        (("DELETE", "/sources/acme"), "GET, HEAD"),
        (("PUT", "/style.css"), "GET, HEAD"),
        (("DELETE", "/sources/acme/check"), "GET, HEAD, POST"),
        (("PUT", "/sign-in"), "GET, HEAD, POST"),
        (("GET", "/sign-out"), "POST"),
    ] {
        let answer = ask(&local, line, &[], "").await;
        assert_eq!((answer.status().as_u16(), answer.headers()["allow"].to_str().unwrap()), (405, methods), "{line:?}");
    }
    assert_eq!(ask(&local, ("GET", "/style.css"), &[], "").await.status(), 200);
    assert_eq!(ask(&local, ("GET", "/sign-in"), &[], "").await.status(), 303);
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_with_tls_the_cookie_is_for_tls_alone() {
    let access = Access::remote(([127, 0, 0, 1], 8686).into(), Secret::new(TOKEN), &["logs.example.com".into()]);
    let request = Request::post("/sign-in").header("host", "logs.example.com");
    let request = request.header("origin", "https://logs.example.com").body(()).unwrap();
    let (head, ()) = request.into_parts();
    let caller = access.admit(&head).await.unwrap_or_else(|_| panic!("refused"));
    assert_eq!(caller, Caller::Anyone);
    let (method, headers, path) = (Method::POST, head.headers, "/sign-in".to_owned());
    let body = Bytes::from(format!("token={TOKEN}&next=//evil.example"));
    let asked = Asked { caller, access, method, path, query: None, headers, body };
    let answer = Front::default().answer(asked).await;
    assert_eq!(answer.headers()["location"], "/");
    assert!(answer.headers()[header::SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
}

#[tokio::test(start_paused = true)]
async fn a_session_acts_for_its_own_page_alone() {
    let access = remote();
    let signed_in = ask(&access, ("POST", "/sign-in"), &[OWN], &format!("token={TOKEN}")).await;
    let cookie = cookie(&signed_in);
    let shown = ("cookie", cookie.as_str());
    let other = ("origin", "http://evil.example");
    for path in ["/v1/sources/acme/check", "/sources/acme/restart", "/sign-out"] {
        assert_eq!(ask(&access, ("POST", path), &[shown], "").await.status(), 403, "{path} without an origin");
        assert_eq!(ask(&access, ("POST", path), &[shown, other], "").await.status(), 403, "{path} of another");
        assert_eq!(ask(&access, ("POST", path), &[shown, ("origin", "null")], "").await.status(), 403, "{path}");
    }
    assert_eq!(ask(&access, ("POST", "/sources/acme/restart"), &[shown, OWN], "").await.status(), 503);
    // Signing in is guarded alike: nobody else signs a browser in.
    let body = format!("token={TOKEN}");
    assert_eq!(ask(&access, ("POST", "/sign-in"), &[], &body).await.status(), 403);
    assert_eq!(ask(&access, ("POST", "/sign-in"), &[other], &body).await.status(), 403);
    // The token in a header is shown by nobody but who means to.
    let bearer = ("authorization", "Bearer 0123456789abcdef");
    assert_eq!(ask(&access, ("POST", "/sources/acme/restart"), &[bearer], "").await.status(), 503);
    let out = ask(&access, ("POST", "/sign-out"), &[shown, OWN], "").await;
    assert!(out.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(ask(&access, ("GET", "/"), &[shown], "").await.status(), 401);
}

#[tokio::test]
async fn a_browser_loads_nothing_from_elsewhere() {
    let local = Access::local(&[]);
    for path in ["/", "/style.css", "/script.js"] {
        let answer = ask(&local, ("GET", path), &[], "").await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.split("; ").any(|said| said == part), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.headers()["referrer-policy"], "same-origin");
        let text = text(answer).await;
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains(" style="), "{text}");
        assert!(!text.contains("onclick") && !text.contains("url("), "{text}");
    }
}

#[test]
fn cookies_are_read_as_browsers_write_them() {
    let mut headers = HeaderMap::new();
    headers.append(
        header::COOKIE,
        "a=b; tributary_session_1=one;tributary_session_1=two; tributary_session_2=four".parse().unwrap(),
    );
    headers.append(header::COOKIE, "tributary_session_1=three; tributary_session=x; x".parse().unwrap());
    assert_eq!(super::cookies(&headers, &super::cookie(1)).collect::<Vec<_>>(), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_starts_is_healthy_and_not_ready() {
    let access = remote();
    for (path, status) in [("/health", 200), ("/ready", 503)] {
        assert_eq!(ask(&access, ("GET", path), &[], "").await.status(), status, "{path}");
    }
}
