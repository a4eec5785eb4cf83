//! Signing in with the token, and out.

use http::{HeaderValue, StatusCode, header};

use super::SIGN_IN;
use super::frame::{Page, see_other};
use super::html::{Html, put};
use crate::observe::access::Caller;
use crate::observe::server::{Answer, Asked};

/// Where to sign in; from there it goes on to `next`, or to what was asked for.
pub fn form(asked: &Asked, next: Option<&str>) -> Answer {
    let wrong = next.is_some();
    let here = match &asked.query {
        Some(query) => format!("{}?{query}", asked.path),
        None => asked.path.clone(),
    };
    let mut main = Html::default();
    put!(
        main,
        "<form class=\"card narrow\" method=\"post\" action=\"",
        (SIGN_IN),
        "\"><h1>Sign in</h1><label for=\"token\">Token of this host</label>",
        "<input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" spellcheck=\"false\" ",
        "autocapitalize=\"off\" required autofocus aria-describedby=\"token-help\""
    );
    if wrong {
        put!(main, " aria-invalid=\"true\"");
    }
    put!(main, "><p id=\"token-help\" class=\"note\">It is <code>api.token</code> of the host's configuration.</p>");
    if wrong {
        put!(
            main,
            "<p class=\"alert\" role=\"alert\"><strong>This is not the token.</strong> ",
            "It is the one of the configuration that the host runs with.</p>"
        );
    }
    put!(
        main,
        "<input type=\"hidden\" name=\"next\" value=\"",
        (next.unwrap_or(&here)),
        "\"><button>Sign in</button></form>"
    );
    let (status, title) = (StatusCode::UNAUTHORIZED, "Sign in");
    let mut answer = Page { status, title, caller: Caller::Anyone, main, outcome: None, live: false }.answer();
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

/// Takes the token out of a form that was sent.
pub async fn sign_in(asked: &Asked) -> Answer {
    let (mut token, mut next) = (String::new(), "/".to_owned());
    for (key, value) in form_urlencoded::parse(&asked.body) {
        match &*key {
            "token" => token = value.into_owned(),
            "next" if is_own(&value) => next = value.into_owned(),
            _ => {}
        }
    }
    let local = asked.caller == Caller::Local;
    let session = if local { None } else { asked.access.sign_in(token.trim().as_bytes()).await };
    // Whoever uses the socket needs none.
    let Some(session) = session else {
        return if local { see_other(&next) } else { form(asked, Some(&next)) };
    };
    // Only the browser knows whether it speaks TLS with us or with a proxy in front.
    let origin = asked.headers.get(header::ORIGIN).map(HeaderValue::as_bytes).unwrap_or_default();
    let secure = if origin.starts_with(b"https:") { "; Secure" } else { "" };
    let cookie = asked.access.cookie();
    set_cookie(see_other(&next), &format!("{cookie}={session}; Path=/; HttpOnly; SameSite=Strict{secure}"))
}

/// Ends the session that asks.
pub fn sign_out(asked: &Asked) -> Answer {
    if let Caller::Session(session) = asked.caller {
        asked.access.sign_out(session);
    }
    let cookie = asked.access.cookie();
    set_cookie(see_other("/"), &format!("{cookie}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))
}

fn set_cookie(mut answer: Answer, cookie: &str) -> Answer {
    // Letters, digits and signs that a header holds.
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// Whether this leads to a page of this host: `//host` and `/\host` would not.
fn is_own(next: &str) -> bool {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && next.starts_with('/') && !next.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn signing_in_leads_to_no_other_host() {
        for own in ["/", "/sources/a?events=all", "/?q=%3Cb%3E&state=failed"] {
            assert!(is_own(own), "{own}");
        }
        for other in ["", "sources", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "/ü"] {
            assert!(!is_own(other), "{other}");
        }
    }
}
