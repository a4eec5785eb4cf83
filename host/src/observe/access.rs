//! Who may ask what of a running host.
//!
//! Whoever reaches the Unix socket is the host's own user, or was let in by that user, such as through `ssh -L`: a browser
//! may be at the other end. So names and origins are looked at there too, and over TCP also who asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use sha2::{Digest, Sha256};

use super::Repeats;
use super::page;
use super::server::{Answer, refusal};
use super::sessions::{Key, Sessions, Since};
use crate::config::{Secret, canonical_host};

/// How long a wrong token waits for its answer, so that a slip in a loop is no storm. It is no bound for who guesses: his next
/// connection takes the place of the one that waits. That there are too many tokens to guess is one: they have 16 bytes or
/// more.
const WRONG_TOKEN_TIME: Duration = Duration::from_millis(250);

/// How often wrong tokens are a line in the log.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What a probe may read without showing anything, for it cannot hold a secret: no more than yes or no is said there.
const PROBES: [&str; 2] = ["/health", "/ready"];

/// Names that stand for this machine alone, whatever the port.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who may ask what over one transport.
#[derive(Clone)]
pub struct Access(Arc<Rules>);

struct Rules {
    /// Names that `Host` may have beside [`LOCAL`].
    hosts: Vec<String>,
    /// Any IP address is as good as a name: nobody can make a name of another site's look like one.
    any_address: bool,
    /// What must be shown; without it, whoever gets here may do all.
    token: Option<RwLock<Secret>>,
    /// Browsers that have shown it.
    sessions: Sessions,
    /// The name of the cookie that they show.
    cookie: String,
    wrong: Repeats,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The host's own user, through its socket.
    Local,
    /// Whoever has shown the token.
    Token,
    /// A browser that has shown it before.
    Session(Key),
    /// Anybody. Of what is open to all only.
    Anyone,
}

impl Access {
    /// That of the Unix socket: its file is its user's alone, so nothing has to be shown.
    pub fn local(hosts: &[String]) -> Self {
        Self::new(hosts.to_vec(), false, None, 0)
    }

    /// That of a TCP address, with the port that is listened on.
    pub fn remote(address: SocketAddr, token: Secret, hosts: &[String]) -> Self {
        let own = match address.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let hosts = hosts.iter().cloned().chain([own]).collect();
        let any_address = address.ip().is_unspecified();
        Self::new(hosts, any_address, Some(token), address.port())
    }

    fn new(hosts: Vec<String>, any_address: bool, token: Option<Secret>, port: u16) -> Self {
        let (sessions, wrong) = Default::default();
        let cookie = page::cookie(port);
        let token = token.map(RwLock::new);
        Self(Arc::new(Rules { hosts, any_address, token, sessions, cookie, wrong }))
    }

    /// The name of the cookie that a browser with a session shows.
    pub fn cookie(&self) -> &str {
        &self.0.cookie
    }

    /// Says who asks, or why it is refused. It takes its time for a wrong token.
    pub async fn admit(&self, head: &Parts) -> Result<Caller, Refused> {
        let from_page = self.same_site(head)?;
        let (method, path) = (&head.method, head.uri.path());
        // A probe is not kept waiting, so what it shows is not looked at: its answer would say whether it is right.
        if self.0.token.is_some() && reads(method) && PROBES.contains(&path) {
            return Ok(Caller::Anyone);
        }
        match self.proves(&head.headers) {
            // A browser shows its session whoever makes it ask, so it has to be said who does.
            Proof::Good(Caller::Session(_)) if !reads(method) && !from_page => Err(no_origin()),
            Proof::Good(caller) => Ok(caller),
            // Before all else that is open: who sees by an answer whether a token is right can try them.
            Proof::Wrong => {
                self.note_wrong().await;
                let hint = "It is api.token of the configuration that the host runs with";
                Err(unauthorized("this is not the token", hint))
            }
            Proof::None if reads(method) && page::is_path(path) => Ok(Caller::Anyone),
            Proof::None if page::signs_in(method, path) && !from_page => Err(no_origin()),
            Proof::None if page::signs_in(method, path) => Ok(Caller::Anyone),
            Proof::None => Err(unauthorized("a token is needed", "Send `Authorization: Bearer TOKEN` with api.token")),
        }
    }

    /// A wrong token takes its time, and is worth a word in the log now and then.
    async fn note_wrong(&self) {
        if let Some(more) = self.0.wrong.admit_every(TOLD_EVERY, "wrong") {
            tracing::warn!(more, "a request to the API showed a wrong token");
        }
        tokio::time::sleep(WRONG_TOKEN_TIME).await;
    }

    /// Begins a session for a browser that shows the token, and gives what it is to show from then on. `None`, after some
    /// time, if that is not the token.
    pub async fn sign_in(&self, token: &[u8]) -> Option<String> {
        let begun = {
            // Held until the session is there, so that it ends with the token that began it.
            let right = self.token();
            right.filter(|right| is_same(token, right.expose().as_bytes())).map(|_right| self.0.sessions.begin())
        };
        match begun {
            Some(session) => session,
            None => {
                self.note_wrong().await;
                None
            }
        }
    }

    /// From now on this token must be shown. Sessions that an older one has begun are over, and so is what is watched by it.
    pub fn exchange(&self, token: Secret) {
        if let Some(known) = &self.0.token {
            let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
            *known = token;
            self.0.sessions.end_all();
        }
    }

    fn token(&self) -> Option<RwLockReadGuard<'_, Secret>> {
        self.0.token.as_ref().map(|token| token.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The moment before who asks is judged.
    pub fn since(&self) -> Since {
        self.0.sessions.since()
    }

    /// Comes back once what `caller` has shown after `since` does not hold any more: the token is another, or the session is
    /// over.
    pub async fn over(&self, caller: Caller, since: Since) {
        match caller {
            Caller::Local | Caller::Anyone => std::future::pending().await,
            Caller::Token => self.0.sessions.over(None, since).await,
            Caller::Session(key) => self.0.sessions.over(Some(key), since).await,
        }
    }

    /// Ends a session.
    pub fn sign_out(&self, session: Key) {
        self.0.sessions.end(session);
    }

    /// Who the headers prove to be asking.
    fn proves(&self, headers: &HeaderMap) -> Proof {
        let Some(token) = self.token() else { return Proof::Good(Caller::Local) };
        match headers.get(header::AUTHORIZATION) {
            None => match page::cookies(headers, self.cookie()).find_map(|shown| self.0.sessions.find(shown)) {
                Some(session) => Proof::Good(Caller::Session(session)),
                None => Proof::None,
            },
            Some(shown) if bearer(shown).is_some_and(|shown| is_same(shown, token.expose().as_bytes())) => {
                Proof::Good(Caller::Token)
            }
            Some(_) => Proof::Wrong,
        }
    }

    /// A page of another site may make a browser ask here: by its own name, pointed at this address, or by ours. The first
    /// is seen by `Host`, the second by `Origin`. Gives whether a page of ours is known to have asked.
    fn same_site(&self, head: &Parts) -> Result<bool, Refused> {
        let host = self.host(head)?;
        let Some(origin) = one(&head.headers, header::ORIGIN)? else { return Ok(false) };
        if is_of(origin, host) {
            return Ok(true);
        }
        let hint = "A page of another site made the browser ask. Open this host's own page, or ask without a browser";
        Err(Box::new(refusal(StatusCode::FORBIDDEN, format!("{origin:?} is not of {host:?}"), Some(hint))))
    }

    fn host<'a>(&self, head: &'a Parts) -> Result<&'a str, Refused> {
        let refused = |host: &str| {
            let hint = "Ask by localhost or by the address, or add the name to api.hosts";
            refusal(StatusCode::FORBIDDEN, format!("this host does not answer by the name {host:?}"), Some(hint))
        };
        let host = one(&head.headers, header::HOST)?.unwrap_or_default();
        // Who names another in the request's line means that.
        let named = head.uri.authority().map(|authority| authority.as_str());
        match [Some(host), named].into_iter().flatten().find(|name| !self.answers(name)) {
            Some(wrong) => Err(Box::new(refused(wrong))),
            None => Ok(host),
        }
    }

    /// Whether it answers by this name, with or without a port.
    fn answers(&self, host: &str) -> bool {
        let Some((name, _)) = name_and_port(host) else { return false };
        // One IPv6 address is written in many ways.
        let Some(name) = canonical_host(name) else { return false };
        let known = LOCAL.into_iter().chain(self.0.hosts.iter().map(String::as_str));
        let is_address = || name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        known.into_iter().any(|known| known == name) || (self.0.any_address && is_address())
    }
}

/// Why a request is not answered.
pub type Refused = Box<Answer>;

enum Proof {
    Good(Caller),
    None,
    Wrong,
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn no_origin() -> Refused {
    let hint = "A script sends `Authorization: Bearer TOKEN` instead of a cookie";
    let message = "a browser's request must say by `Origin` which page makes it";
    Box::new(refusal(StatusCode::FORBIDDEN, message, Some(hint)))
}

fn unauthorized(message: &str, hint: &str) -> Refused {
    let mut answer = refusal(StatusCode::UNAUTHORIZED, message, Some(hint));
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Box::new(answer)
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Compares digests: how long that takes says nothing of the texts, not even how long they are.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter().zip(&b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// The value of a header that may come once.
fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refused> {
    let wrong =
        || Box::new(refusal(StatusCode::BAD_REQUEST, format!("the header {name} must come once, as text"), None));
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| wrong()),
        (Some(_), Some(_)) => Err(wrong()),
    }
}

/// `name`, `name:port` or `[address]:port`; the name as it stands.
fn name_and_port(host: &str) -> Option<(&str, Option<u16>)> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, rest) = host.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if rest.is_empty() => None,
        None => return None,
    };
    (!name.is_empty()).then_some((name, port))
}

/// Whether an origin is that of the host whose `Host` this is. The scheme is not known: a proxy may speak TLS in front.
fn is_of(origin: &str, host: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let usual = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let theirs = uri.authority().and_then(|authority| name_and_port(authority.as_str()));
    let (Some((theirs, their_port)), Some((ours, our_port))) = (theirs, name_and_port(host)) else { return false };
    theirs.eq_ignore_ascii_case(ours) && their_port.unwrap_or(usual) == our_port.unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    async fn asked(access: &Access, line: (&str, &str), headers: &[(&str, &str)]) -> Result<Caller, u16> {
        let mut request = Request::builder().method(line.0).uri(line.1);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        access.admit(&head).await.map_err(|answer| answer.status().as_u16())
    }

    fn remote(address: &str) -> Access {
        let address = SocketAddr::new(address.parse().unwrap(), 8686);
        Access::remote(address, Secret::new(TOKEN), &["logs.example.com".into(), "[fd00::1]".into()])
    }

    #[tokio::test(start_paused = true)]
    async fn over_tcp_all_but_probes_need_the_token() {
        let access = remote("127.0.0.1");
        let get = |path, authorization| {
            let access = access.clone();
            async move { asked(&access, ("GET", path), &[("host", "localhost:1"), ("authorization", authorization)]).await }
        };
        assert_eq!(get("/v1/sources", "Bearer 0123456789abcdef").await, Ok(Caller::Token));
        assert_eq!(get("/v1/sources", "bearer  0123456789abcdef").await, Ok(Caller::Token));
        for wrong in ["Bearer 0123456789abcdeF", "Bearer ", "Bearer", "Basic 0123456789abcdef", "0123456789abcdef"] {
            assert_eq!(get("/v1/sources", wrong).await, Err(401), "{wrong}");
            assert_eq!(get("/health", wrong).await, Ok(Caller::Anyone), "{wrong}");
            // What is open to all says as little of a guess as what is not.
            for open in ["/", "/sources/x", "/style.css"] {
                assert_eq!(get(open, wrong).await, Err(401), "{wrong} {open}");
            }
        }
        assert_eq!(get("/", "Bearer 0123456789abcdef").await, Ok(Caller::Token));
        assert_eq!(get("/health", "Bearer 0123456789abcdef").await, Ok(Caller::Anyone), "as with a wrong one");
        let none = |line| {
            let access = access.clone();
            async move { asked(&access, line, &[("host", "localhost")]).await }
        };
        assert_eq!(none(("GET", "/v1/sources")).await, Err(401));
        assert_eq!(none(("GET", "/sources/x")).await, Ok(Caller::Anyone));
        assert_eq!(none(("GET", "/ready")).await, Ok(Caller::Anyone));
        assert_eq!(none(("POST", "/ready")).await, Err(401));
        assert_eq!(none(("GET", "/health/")).await, Err(401));
        assert!(access.sign_in(TOKEN.as_bytes()).await.is_some() && access.sign_in(b"").await.is_none());
        assert!(Access::local(&[]).sign_in(b"").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn another_token_ends_what_the_old_one_began() {
        let access = remote("127.0.0.1");
        let session = access.sign_in(TOKEN.as_bytes()).await.unwrap();
        let cookie = format!("{}={session}", access.cookie());
        let by = |name: &'static str, value: &str| {
            let (access, value) = (access.clone(), value.to_owned());
            async move { asked(&access, ("GET", "/v1/sources"), &[("host", "localhost"), (name, &value)]).await.is_ok() }
        };
        let new = "fedcba9876543210";
        let (old_bearer, new_bearer) = (format!("Bearer {TOKEN}"), format!("Bearer {new}"));
        assert!(by("cookie", &cookie).await && by("authorization", &old_bearer).await);
        access.exchange(Secret::new(new));
        assert!(!by("cookie", &cookie).await && !by("authorization", &old_bearer).await);
        assert!(by("authorization", &new_bearer).await);
        let session = access.sign_in(new.as_bytes()).await.unwrap();
        assert!(by("cookie", &format!("{}={session}", access.cookie())).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_token_costs_time_and_says_how_to_prove_oneself() {
        let access = remote("127.0.0.1");
        for path in ["/v1/sources", "/", "/sources/x"] {
            let begun = tokio::time::Instant::now();
            let request = Request::get(path).header("host", "localhost").header("authorization", "Bearer no");
            let (head, ()) = request.body(()).unwrap().into_parts();
            let answer = access.admit(&head).await.unwrap_err();
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            assert_eq!(begun.elapsed(), WRONG_TOKEN_TIME, "{path}");
        }
    }

    #[tokio::test]
    async fn only_names_of_this_host_are_answered() {
        let local = Access::local(&["logs.example.com".into()]);
        let by = |access: &Access, host: &'static str| {
            let access = access.clone();
            let authorization = format!("Bearer {TOKEN}");
            async move {
                let headers = [("host", host), ("authorization", authorization.as_str())];
                asked(&access, ("GET", "/v1/sources"), &headers).await.is_ok()
            }
        };
        for host in ["localhost", "LocalHost:9000", "127.0.0.1:80", "[::1]", "[::1]:8686", "logs.example.com:443"] {
            assert!(by(&local, host).await, "{host}");
            assert!(by(&remote("127.0.0.1"), host).await, "{host}");
        }
        for host in ["", "x", "localhost.evil.example", "evil.example:8686", "10.0.0.1", "[::1", "localhost:x", "::1"] {
            assert!(!by(&local, host).await, "{host}");
            assert!(!by(&remote("127.0.0.1"), host).await, "{host}");
        }
        assert!(by(&remote("10.0.0.1"), "10.0.0.1:8686").await && !by(&remote("10.0.0.1"), "10.0.0.2").await);
        let all = remote("0.0.0.0");
        assert!(by(&all, "10.0.0.1:8686").await && by(&all, "[fe80::1]:8686").await);
        assert!(!by(&all, "evil.example").await);
        // An address is the same however it is written, and another is not.
        let v6 = remote("fd00::2");
        for host in ["[fd00::1]", "[FD00:0::1]:8686", "[fd00::2]:8686", "[fd00:0:0::2]"] {
            assert!(by(&v6, host).await, "{host}");
        }
        assert!(!by(&v6, "[fd00::3]").await && !by(&v6, "fd00::1").await && !by(&v6, "[logs.example.com]").await);
        // None, two, and one in the request's line.
        assert_eq!(asked(&local, ("GET", "/health"), &[]).await, Err(403));
        assert_eq!(asked(&local, ("GET", "/health"), &[("host", "localhost"), ("host", "localhost")]).await, Err(400));
        assert_eq!(asked(&local, ("GET", "http://evil.example/"), &[("host", "localhost")]).await, Err(403));
        assert_eq!(asked(&local, ("GET", "http://localhost/"), &[("host", "localhost")]).await, Ok(Caller::Local));
    }

    #[tokio::test]
    async fn a_browser_asks_for_this_hosts_own_page_alone() {
        let local = Access::local(&["logs.example.com".into()]);
        let from = |host: &'static str, origin: &'static str| {
            let local = local.clone();
            async move { asked(&local, ("POST", "/v1/replays"), &[("host", host), ("origin", origin)]).await }
        };
        for (host, origin) in [
            ("localhost:9000", "http://localhost:9000"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("[::1]:9000", "http://[::1]:9000"),
            ("logs.example.com", "https://Logs.Example.com"),
            ("logs.example.com:443", "https://logs.example.com"),
        ] {
            assert_eq!(from(host, origin).await, Ok(Caller::Local), "{host} {origin}");
        }
        for (host, origin) in [
            ("localhost:9000", "http://localhost:3000"),
            ("localhost:9000", "http://localhost"),
            ("localhost:9000", "http://evil.example"),
            ("localhost:9000", "http://evil.example:9000"),
            ("localhost", "null"),
            ("localhost", ""),
            ("localhost", "localhost"),
            ("localhost", "file://localhost"),
            ("127.0.0.1:9000", "http://localhost:9000"),
        ] {
            assert_eq!(from(host, origin).await, Err(403), "{host} {origin}");
        }
    }
}
