//! Signing for API 1.0, tokens for API 2.0, and the session that both leave with the host.

pub mod discovery;
pub mod signature;
pub mod token;

use serde::{Deserialize, Serialize};

use crate::chunk::{Fault, FaultClass};
use crate::code::Code;
use crate::config::{Base, Config, Keys};
use crate::describe::Session;
use crate::effects::Effects;
use crate::kind::Generation;

/// Proves the credentials to the vendor.
///
/// API 2.0: fetches a token, which is the session. API 1.0: finds the base URL if it must, and makes one signed call; the
/// session is the base URL.
///
/// # Errors
/// Those of [`Config::parse`]; `credentials` if the vendor refuses; what the way to it gives.
pub fn authenticate(config: &str, effects: &mut dyn Effects) -> Result<Session, Fault> {
    let config = Config::parse(config)?;
    match config.generation() {
        Generation::V1 => discovery::authenticate(&config, effects),
        Generation::V2 => token::authenticate(&config, effects),
    }
}

/// The host authenticates by itself: an operator sees this only if that goes wrong.
const NO_SESSION: &str =
    "Wait: the host authenticates anew. If it stays, run `tributary restart` with the source's name";

/// A session's bytes. One form for both generations, so that a mix-up is noticed.
#[derive(Default, Serialize, Deserialize)]
struct Secret {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    base_url: Option<String>,
}

impl Secret {
    fn bytes(&self) -> Vec<u8> {
        // Two optional texts: serializing them cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The right to call the API, from a session.
pub struct Access {
    pub base: Base,
    token: Option<String>,
}

impl Access {
    /// # Errors
    /// `session-expired` if the bytes are no session of this configuration.
    pub fn new(config: &Config, session: &[u8]) -> Result<Access, Fault> {
        let none =
            || Fault::new(FaultClass::SessionExpired, Code::NoSession, "there is no usable session").hint(NO_SESSION);
        let secret: Secret = serde_json::from_slice(session).map_err(|_| none())?;
        let found = secret.base_url.as_deref().and_then(Base::trusted);
        let base = config.base.clone().or(found).ok_or_else(none)?;
        let token = match config.generation() {
            Generation::V1 => None,
            Generation::V2 => Some(secret.token.ok_or_else(none)?),
        };
        Ok(Access { base, token })
    }

    /// The headers that authorize a request to a path of the API. Never to another host (quirk Q53).
    pub fn headers(
        &self,
        config: &Config,
        path: &str,
        effects: &mut dyn Effects,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        match (&config.keys, &self.token) {
            (Keys::V2 { .. }, Some(token)) => Ok(vec![("authorization", format!("Bearer {token}"))]),
            (Keys::V1 { app_id, app_key, access_key, secret_key, .. }, _) => {
                let date = signature::date(effects.now());
                let id = signature::request_id(effects.random());
                let signed = signature::sign(&secret_key.0, &date, &id, path, &app_key.0);
                Ok(vec![
                    ("authorization", format!("MC {}:{signed}", access_key.0)),
                    ("x-mc-app-id", app_id.clone()),
                    ("x-mc-date", date),
                    ("x-mc-req-id", id),
                ])
            }
            (Keys::V2 { .. }, None) => {
                Err(Fault::new(FaultClass::SessionExpired, Code::NoSession, "there is no usable session")
                    .hint(NO_SESSION))
            }
        }
    }
}

#[cfg(test)]
mod tests;
