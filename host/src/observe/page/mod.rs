//! The web page: what runs and how it is, for whoever is on call. HTML is made here; a little script renews it.
//!
//! It works without the script, and asks nothing of another host. Over TCP a browser signs in with the token, and has a
//! session from then on; see [`crate::observe::access`].

mod figures;
mod frame;
mod history;
mod html;
mod ledger;
mod list;
mod query;
mod rows;
mod sign_in;
mod source;
mod standing;
#[cfg(test)]
mod tests;

use http::{HeaderMap, Method, StatusCode, header};

use self::frame::Page;
use self::html::{Html, put};
use super::access::Caller;
use super::api::Api;
use super::server::{Answer, Asked};

/// The cookie's name. Cookies are those of a host on all of its ports: another program's must not be taken for it.
const COOKIE: &str = "tributary_session";

const SIGN_IN: &str = "/sign-in";

/// Whether a page is at this path.
pub fn is_path(path: &str) -> bool {
    path == "/" || path == SIGN_IN || path.starts_with("/sources/") || frame::file(path).is_some()
}

/// Whether this is an attempt to sign in, which shows the token in its body.
pub fn signs_in(method: &Method, path: &str) -> bool {
    *method == Method::POST && path == SIGN_IN
}

/// The sessions that a browser shows.
pub fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// The answer, if it is the page that is asked for. `api` is `None` while the host starts.
pub async fn answer(api: Option<&Api>, asked: &Asked) -> Option<Answer> {
    let path: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    let posts = asked.method == Method::POST;
    match path.as_slice() {
        ["sign-in"] if posts => return Some(sign_in::sign_in(asked).await),
        ["sign-in"] => return Some(frame::see_other("/")),
        ["sign-out"] if posts => return Some(sign_in::sign_out(asked)),
        [""] | ["sources", _] | ["sources", _, "check" | "restart"] => {}
        _ => return frame::file(&asked.path).filter(|_| asked.method == Method::GET),
    }
    // Behind this line, who asks has proved who it is.
    if asked.caller == Caller::Anyone {
        return Some(sign_in::form(asked, None));
    }
    let Some(api) = api else { return Some(starting(asked.caller)) };
    Some(match (&asked.method, path.as_slice()) {
        (&Method::GET, [""]) => list::answer(api, asked),
        (&Method::GET, ["sources", id]) => source::answer(api, asked, id).await,
        (&Method::POST, ["sources", id, "check"]) => {
            api.control.check(id).await;
            frame::see_other(&format!("/sources/{}?did=check", html::part(id)))
        }
        (&Method::POST, ["sources", id, "restart"]) => {
            api.control.restart(id);
            frame::see_other(&format!("/sources/{}?did=restart", html::part(id)))
        }
        (&Method::GET, ["sources", id, _]) => frame::see_other(&format!("/sources/{}", html::part(id))),
        _ => return None,
    })
}

fn starting(caller: Caller) -> Answer {
    let mut main = Html::default();
    put!(
        main,
        "<section class=\"card narrow\"><h1>The host is starting</h1><p>This page goes on by itself.</p></section>"
    );
    let (status, title) = (StatusCode::SERVICE_UNAVAILABLE, "Starting");
    Page { status, title, caller, main, outcome: None, live: true }.answer()
}

/// A page that says that there is nothing.
fn nothing(caller: Caller, why: &str) -> Answer {
    let mut main = Html::default();
    put!(main, "<section class=\"card narrow\"><h1>Not here</h1><p>", (why));
    put!(main, "</p><p><a href=\"/\">All sources</a></p></section>");
    Page { status: StatusCode::NOT_FOUND, title: "Not here", caller, main, outcome: None, live: false }.answer()
}
