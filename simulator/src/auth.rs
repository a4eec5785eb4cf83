//! Who is asking: access tokens of API 2.0, signatures of API 1.0.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::{Request, Response, form_value};
use crate::fault::Fault;
use crate::kind::Generation;
use crate::random::{Random, combine};
use crate::settings::Credentials;
use crate::simulator::Simulator;
use crate::time::{Millis, SECOND, parse_signed_date};

/// Access tokens, each with its tenant and its end.
#[derive(Default)]
pub struct Tokens {
    issued: u64,
    live: BTreeMap<String, (usize, Millis)>,
}

/// Counts only: a secret never appears in debug output.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("issued", &self.issued).field("live", &self.live.len()).finish()
    }
}

impl Tokens {
    fn issue(&mut self, seed: u64, tenant: usize, life: Millis, now: Millis) -> String {
        self.live.retain(|_, (_, end)| *end > now);
        self.issued += 1;
        let token = Random::new(combine(&[seed, 9, self.issued])).base64url(60);
        self.live.insert(token.clone(), (tenant, now + life));
        token
    }

    fn revoke(&mut self, tenant: usize) {
        self.live.retain(|_, (owner, _)| *owner != tenant);
    }
}

/// The signature of API 1.0 (section 1.2): base64 of HMAC-SHA1 over `date:request id:path:application key`, keyed with
/// the decoded secret. `None` if the secret is not standard base64.
pub fn signature(secret_key: &str, date: &str, request_id: &str, path: &str, app_key: &str) -> Option<String> {
    let key = STANDARD.decode(secret_key).ok()?;
    let mut mac = Hmac::<Sha1>::new_from_slice(&key).ok()?;
    mac.update(format!("{date}:{request_id}:{path}:{app_key}").as_bytes());
    Some(STANDARD.encode(mac.finalize().into_bytes()))
}

impl Simulator {
    /// `POST /oauth/token`: form encoded only; old tokens stay valid until their own end.
    pub(crate) fn token(&mut self, request: &Request, now: Millis) -> (Option<usize>, Response) {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let is_form = request
            .header_value("content-type")
            .is_some_and(|kind| kind.trim().starts_with("application/x-www-form-urlencoded"));
        if !is_form || form_value(&form, "grant_type").as_deref() != Some("client_credentials") {
            return (
                None,
                errors::gateway(400, "invalid_request", "A form with grant_type client_credentials is needed"),
            );
        }
        let (id, secret) = (form_value(&form, "client_id"), form_value(&form, "client_secret"));
        let tenant = self.tenants.iter().position(|state| {
            matches!(&state.tenant.credentials, Credentials::V2 { client_id, .. } if Some(client_id) == id.as_ref())
        });
        let known = tenant.filter(|tenant| {
            matches!(&self.tenants[*tenant].tenant.credentials,
                Credentials::V2 { client_secret, .. } if Some(client_secret) == secret.as_ref())
        });
        let Some(tenant) = known else {
            return (tenant, errors::gateway(401, "InvalidClientIdentifier", "Client credentials are invalid."));
        };
        if let Some(response) = self.general_fault(tenant, Endpoint::Token, false, now) {
            return (Some(tenant), response);
        }
        let faults = &mut self.tenants[tenant].faults;
        let life = match faults.fire(|fault| matches!(fault, Fault::ShortToken { .. })) {
            Some(Fault::ShortToken { seconds }) => seconds * SECOND,
            _ => self.settings.token_life_ms,
        };
        let silent = faults.fires(&Fault::ExpiresInMissing);
        let token = self.tokens.issue(self.settings.seed, tenant, life, now);
        self.handed.note(tenant, &token);
        let mut body = json!({"access_token": token, "token_type": "Bearer", "expires_in": life / SECOND, "scope": ""});
        if silent && let Some(object) = body.as_object_mut() {
            object.remove("expires_in");
        }
        (Some(tenant), Response::json(200, &body))
    }

    /// Whose bearer token the request carries; or whose it was, and the 401 that says why it does not count.
    pub(crate) fn bearer(
        &mut self,
        request: &Request,
        at: Endpoint,
        now: Millis,
    ) -> Result<usize, (Option<usize>, Response)> {
        let header = request.header_value("authorization").unwrap_or_default();
        let token = header.strip_prefix("Bearer ").or_else(|| header.strip_prefix("bearer "));
        let Some(token) = token.map(str::trim) else {
            return Err((None, errors::gateway(401, "unauthorized", "Unauthorized Request")));
        };
        let expired = || errors::gateway(401, "token_expired", "Token expired");
        let Some((tenant, end)) = self.tokens.live.get(token).copied() else { return Err((None, expired())) };
        if self.tenants[tenant].faults.fires(&Fault::TokenExpiresNow { at }) {
            self.tokens.revoke(tenant);
            return Err((Some(tenant), expired()));
        }
        if end > now { Ok(tenant) } else { Err((Some(tenant), expired())) }
    }

    /// Who signed the request, or the answer that says why it does not count. The body is not looked at, as in the
    /// original: it is not signed.
    pub(crate) fn signed(&mut self, request: &Request, now: Millis) -> Result<usize, Response> {
        let invalid = || errors::envelope(401, "err_xdk_invalid_signature", "0004 Invalid Signature");
        let header = |name| request.header_value(name).unwrap_or_default();
        let authorization = header("authorization").strip_prefix("MC ").and_then(|rest| rest.split_once(':'));
        let Some((key, sent)) = authorization else { return Err(invalid()) };
        let tenant = self.tenants.iter().position(
            |state| matches!(&state.tenant.credentials, Credentials::V1 { access_key, .. } if access_key == key.trim()),
        );
        let Some(tenant) = tenant else { return Err(invalid()) };
        let Credentials::V1 { app_id, app_key, secret_key, .. } = &self.tenants[tenant].tenant.credentials else {
            return Err(invalid());
        };
        if header("x-mc-app-id") != app_id {
            let message = format!("App ID is invalid: {}", header("x-mc-app-id"));
            return Err(errors::envelope(200, "err_developer_key", &message));
        }
        let (date, id) = (header("x-mc-date"), header("x-mc-req-id"));
        let wanted = signature(secret_key, date, id, &request.path, app_key);
        let timely = parse_signed_date(date, self.settings.lenient)
            .is_some_and(|date| date.abs_diff(now) <= self.settings.date_tolerance_ms);
        // The answer to a skewed clock is not public; a client sees the same as for a wrong key.
        if id.is_empty() || wanted.as_deref() != Some(sent.trim()) || !timely {
            return Err(invalid());
        }
        let signature = sent.trim().to_owned();
        self.handed.note(tenant, &signature);
        Ok(tenant)
    }

    /// The generation whose credentials a request seems to carry.
    pub(crate) fn presented(request: &Request) -> Generation {
        if request.header_value("authorization").is_some_and(|value| value.starts_with("MC ")) {
            Generation::V1
        } else {
            Generation::V2
        }
    }
}
