//! What all pages have: head and foot, what a browser may do with them, and what they are made of beside HTML.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::html::{Html, put};
use crate::observe::access::Caller;
use crate::observe::server::{Answer, whole};

/// Nothing from elsewhere, no script in the page itself, nobody's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Under `no-referrer` a browser would say `Origin: null` of its own page's forms, and would be refused.
const GUARDS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Paths of what is the same for everybody.
const FILES: [(&str, &str, &str); 3] = [
    ("/style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("/script.js", "text/javascript; charset=utf-8", include_str!("script.js")),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// A file that pages ask for.
pub fn file(path: &str) -> Option<Answer> {
    let (_, form, text) = FILES.into_iter().find(|(file, ..)| *file == path)?;
    Some(guarded(whole(StatusCode::OK, HeaderValue::from_static(form), Bytes::from_static(text.as_bytes()))))
}

/// A whole page. `main` is what the script renews; `outcome` says what came of what was just asked for.
pub struct Page<'a> {
    pub status: StatusCode,
    pub title: &'a str,
    pub caller: Caller,
    pub main: Html,
    pub outcome: Option<String>,
    /// Whether it says what is now, so that the script renews it.
    pub live: bool,
}

impl Page<'_> {
    pub fn answer(self) -> Answer {
        let mut page = Html::default();
        put!(
            page,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta name=\"color-scheme\" content=\"light dark\">\n",
            "<title>",
            (self.title),
            " · Tributary</title>\n<link rel=\"icon\" href=\"/icon.svg\">\n",
            "<link rel=\"stylesheet\" href=\"/style.css\">\n"
        );
        if self.live {
            put!(page, "<script src=\"/script.js\" defer></script>\n");
        }
        put!(
            page,
            "</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to content</a>\n<header class=\"bar\">",
            "<a class=\"brand\" href=\"/\"><img src=\"/icon.svg\" alt=\"\" width=\"22\" height=\"22\">Tributary</a>"
        );
        // Which release it is tells a stranger which holes to try.
        if self.caller != Caller::Anyone {
            put!(page, "<span class=\"version\">", (env!("CARGO_PKG_VERSION")), "</span>");
        }
        put!(page, "<span class=\"space\"></span>");
        if self.live {
            put!(page, "<span id=\"link\" role=\"status\"></span>");
        }
        if matches!(self.caller, Caller::Session(_)) {
            put!(page, "<form method=\"post\" action=\"/sign-out\"><button class=\"quiet\">Sign out</button></form>");
        }
        put!(page, "</header>\n<div id=\"outcome\" role=\"status\">", (self.outcome.unwrap_or_default()), "</div>\n");
        put!(page, "<main id=\"main\" tabindex=\"-1\">\n");
        page.add(&self.main);
        put!(page, "\n</main>\n</body>\n</html>\n");
        let form = HeaderValue::from_static("text/html; charset=utf-8");
        guarded(whole(self.status, form, page.into_string().into()))
    }
}

/// Sends the browser to another page of this host.
pub fn see_other(to: &str) -> Answer {
    let mut answer = whole(StatusCode::SEE_OTHER, HeaderValue::from_static("text/plain"), Bytes::new());
    // What is sent to is made of parts that were written for an address.
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    answer.headers_mut().insert(header::LOCATION, to);
    guarded(answer)
}

fn guarded(mut answer: Answer) -> Answer {
    for (name, value) in GUARDS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
