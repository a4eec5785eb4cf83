//! The token of API 2.0: OAuth 2 client credentials (section 2.1 of the API reference).

use serde::Deserialize;

use super::Secret;
use crate::api::url::form;
use crate::api::{Endpoint, Left, send};
use crate::chunk::{Fault, FaultClass};
use crate::code::Code;
use crate::config::{Config, Keys, SECOND};
use crate::describe::Session;
use crate::effects::{Effects, Method, Request};

static TOKEN: Endpoint = Endpoint { path: "/oauth/token", product: "any", permission: "any" };

/// The lifetime if the answer does not tell it: what Mimecast's answers say.
const LIFETIME_S: u64 = 1_799;

/// A longer token fits into no header.
const TOKEN_LIMIT: usize = 16 << 10;

pub fn authenticate(config: &Config, effects: &mut dyn Effects) -> Result<Session, Fault> {
    let (Keys::V2 { client_id, client_secret }, Some(base)) = (&config.keys, &config.base) else {
        return Err(Fault::new(FaultClass::Configuration, Code::WrongGeneration, "these are no keys of API 2.0")
            .hint("Set `api` to \"1.0\", or give `client_id` and `client_secret`"));
    };
    let pairs = [
        ("client_id", client_id.0.as_str()),
        ("client_secret", client_secret.0.as_str()),
        ("grant_type", "client_credentials"),
    ];
    let request = Request {
        method: Method::Post,
        url: format!("{}{}", base.url, TOKEN.path),
        headers: vec![
            ("accept", "application/json".to_owned()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ],
        body: form(&pairs).into_bytes(),
    };
    let answer =
        send(effects, config, request, &TOKEN, &mut Left::default()).map_err(|failure| refused(failure.fault))?;
    let text = answer.json(config, &TOKEN, effects).map_err(|failure| refused(failure.fault))?;

    #[derive(Deserialize)]
    struct Token {
        access_token: String,
        #[serde(default)]
        expires_in: Option<serde_json::Value>,
    }
    let token: Token =
        serde_json::from_slice(&text).ok().filter(|token: &Token| usable(&token.access_token)).ok_or_else(|| {
            Fault::new(
                FaultClass::Protocol,
                Code::NoToken,
                format!("{}{} answered without a token", base.url, TOKEN.path),
            )
            .status(200)
            .hint("Check `base_url`, and whether a proxy answers instead of Mimecast; it is tried again")
        })?;
    // A number, or a number as text.
    let lifetime = token.expires_in.and_then(|value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()));
    // Zero is no lifetime: a session that has ended when it begins would be fetched again and again.
    let lifetime = lifetime.filter(|seconds| *seconds > 0).unwrap_or(LIFETIME_S).min(86_400);
    Ok(Session {
        secret: Secret { token: Some(token.access_token), base_url: None }.bytes(),
        expires_at: Some(effects.now().saturating_add(lifetime * SECOND)),
    })
}

/// It goes into a header as it is. Known ones have one or two thousand bytes.
fn usable(token: &str) -> bool {
    (1..=TOKEN_LIMIT).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic())
}

const CLIENT: &str = "Copy `client_id` and `client_secret` again, both of one API 2.0 application (Integrations | API and Platform \
                      Integrations). If they are right, check that the application is enabled, and leave `region` and \
                      `base_url` out. If the keys are of API 1.0 (application id, access key), set `api` to \"1.0\"";

/// At the token's own path every refusal is one of the credentials.
fn refused(mut fault: Fault) -> Fault {
    match fault.status {
        // 200 is a `fail` in the body; an answer that is no JSON stays a fault of the protocol.
        Some(400 | 401 | 403) => {}
        Some(200) if fault.code == "fail" => {}
        Some(404) => {
            fault.class = FaultClass::Configuration;
            fault.hint = Some("There is no API 2.0 at this `base_url`. Leave it out, or set `region`. For an account with keys of API 1.0, set `api` to \"1.0\"".into());
            return fault;
        }
        _ => return fault,
    }
    fault.class = FaultClass::Credentials;
    fault.code = Code::BadClient.text().into_owned();
    fault.hint = Some(CLIENT.into());
    fault
}
