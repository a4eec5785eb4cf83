//! Object stores as subjects of the suite: a store that speaks as S3 does, and a folder.

use std::sync::Arc;

use http::Method;

use crate::conformance::{all, suite};
use crate::dialects::{Dialect, header, id_of};
use crate::far::{Received, Said, State};
use crate::local::Files;
use crate::remote::Kind;
use crate::subject::{Situation, Subject};

/// An object is there as a whole or not at all, and is never replaced.
struct Store;

/// As S3 tells errors.
fn error(status: u16, code: &str) -> Said {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>because</Message></Error>");
    Said { headers: vec![("content-type", "application/xml".into())], ..Said::new(status, body) }
}

impl Dialect for Store {
    fn take(&self, received: &Received, state: &mut State, _: bool) -> Said {
        let key = received.path.strip_prefix("/lake/mail/Acme/log/2026-11-22/4009-");
        let signed = header(received, "authorization").starts_with("AWS4-HMAC-SHA256 Credential=AK/");
        let hash = key.and_then(|key| key.strip_suffix(".ndjson"));
        if received.method != Method::PUT || !signed || hash.is_none_or(|hash| hash.len() != 32) {
            state.breach(format!("{} {} {:?}", received.method, received.path, received.headers));
        }
        let ids: Vec<u128> = std::str::from_utf8(&received.body).unwrap().lines().map(id_of).collect();
        let is_new = state.objects.insert(received.path.clone());
        if header(received, "if-none-match") == "*" && !is_new {
            state.known += ids.len() as u64;
            return error(412, "PreconditionFailed");
        }
        ids.iter().for_each(|id| state.store(*id));
        Said { headers: vec![("etag", "\"1\"".into())], ..Said::new(200, "") }
    }

    /// With 400, as Amazon does; others say 403.
    fn stranger(&self) -> Said {
        error(400, "ExpiredToken")
    }

    /// It has no object whose name says that it was never stored.
    fn asked(&self) -> Said {
        error(404, "NoSuchKey")
    }

    /// Too much at once is 503 here.
    fn not_now(&self, status: u16) -> Said {
        match status {
            429 | 503 => error(503, "SlowDown"),
            _ => error(status, "InternalError"),
        }
    }

    fn too_long(&self) -> Said {
        error(400, "EntityTooLarge")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn object_store() {
    suite(Kind {
        name: "object_store",
        keys: "type = \"object_store\"\nurl = \"s3://lake/mail\"\nendpoint = \"{url}\"\nregion = \"eu-central-1\"\ncompression = \"none\"\nauth = { access_key_id = \"AK\", secret_access_key = \"hunter22\", session_token = \"hunter23\" }",
        before_keys: "",
        address_key: "endpoint",
        credentials_key: "auth.session_token",
        dialect: Arc::new(Store),
        refuses_known: true,
        // A key is made of the events inside, which may come in other company then.
        doubles_after_restart: true,
        doubles_beside_refused: false,
        keeps_beside_refused: false,
        // Nothing of an object is there, or all of it; and a store does not look into it.
        lacks: &[Situation::Partial, Situation::Refusing, Situation::Mistaken],
        side_by_side: true,
        held_after: 0,
    })
    .await;
}

/// What a folder has no like of is said at [`Files`].
#[tokio::test(flavor = "multi_thread")]
async fn object_store_in_a_folder() {
    all("object_store, folder", async |situation| Box::new(Files::objects(situation)) as Box<dyn Subject>).await;
}
