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
pub(super) use self::standing::Standing;
use super::access::Caller;
use super::api::Api;
use super::server::{Answer, Asked, DONE, READ, not_allowed};

const SIGN_IN: &str = "/sign-in";

/// Whether a page is at this path.
pub fn is_path(path: &str) -> bool {
    path == "/" || path == SIGN_IN || path.starts_with("/sources/") || frame::file(path).is_some()
}

/// Whether this is an attempt to sign in, which shows the token in its body.
pub fn signs_in(method: &Method, path: &str) -> bool {
    *method == Method::POST && path == SIGN_IN
}

/// The name of the cookie of a host that listens on this port. A browser shows its cookies to all ports of a machine, so two
/// hosts there need names of their own: else each would end the other's sessions.
pub fn cookie(port: u16) -> String {
    format!("tributary_session_{port}")
}

/// The sessions that a browser shows by the cookie of this name.
pub fn cookies<'a>(headers: &'a HeaderMap, cookie: &'a str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(name, _)| *name == cookie).map(|(_, value)| value)
}

/// The answer, if it is the page that is asked for. `api` is `None` while the host starts.
pub async fn answer(api: Option<&Api>, asked: &Asked) -> Option<Answer> {
    let path: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
    let (gets, posts) = (asked.method == Method::GET, asked.method == Method::POST);
    match path.as_slice() {
        ["sign-in"] if posts => return Some(sign_in::sign_in(asked).await),
        ["sign-in"] if gets => return Some(frame::see_other("/")),
        ["sign-out"] if posts => return Some(sign_in::sign_out(asked)),
        [""] | ["sources", _] if gets => {}
        ["sources", _, "check" | "restart"] if gets || posts => {}
        [""] | ["sources", _] => return Some(not_allowed(READ)),
        ["sources", _, "check" | "restart"] | ["sign-in"] => return Some(not_allowed("GET, HEAD, POST")),
        ["sign-out"] => return Some(not_allowed(DONE)),
        _ => return frame::file(&asked.path).map(|file| if gets { file } else { not_allowed(READ) }),
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
