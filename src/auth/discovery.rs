//! API 1.0: the base URL by the account's address (section 1.5), and a call that proves the keys (section 6.12).

use serde::Deserialize;

use super::{Access, Secret, signature};
use crate::api::{Call, Content, Endpoint, Left, exchange, send};
use crate::chunk::{Fault, FaultClass};
use crate::code::Code;
use crate::config::{Base, Config, DISCOVERY, Keys};
use crate::describe::Session;
use crate::effects::{Effects, Method, Request};

static DISCOVER: Endpoint = Endpoint { path: "/api/login/discover-authentication", product: "any", permission: "any" };
static ACCOUNT: Endpoint = Endpoint {
    path: "/api/account/get-account",
    product: "accountmanagement",
    permission: "Account | Dashboard | Read",
};

pub fn authenticate(config: &Config, effects: &mut dyn Effects) -> Result<Session, Fault> {
    let base = match &config.base {
        Some(base) => base.clone(),
        None => discover(config, effects)?,
    };
    let secret = Secret { token: None, base_url: Some(base.url) }.bytes();
    let access = Access::new(config, &secret)?;
    prove(config, &access, effects)?;
    Ok(Session { secret, expires_at: None })
}

/// One signed call. A 403 proves the keys as well: the signature was good, only the right is missing.
fn prove(config: &Config, access: &Access, effects: &mut dyn Effects) -> Result<(), Fault> {
    let call = Call { endpoint: &ACCOUNT, content: Content::Json(r#"{"data":[]}"#.to_owned()) };
    for last in [false, true] {
        let result = exchange(effects, config, access, &call, &mut Left::default())
            .and_then(|answer| answer.json(config, &ACCOUNT, effects));
        match result {
            Ok(_) => return Ok(()),
            Err(failure) if failure.fault.class == FaultClass::NotEntitled => return Ok(()),
            // It also occurs by chance with the right application id (quirk Q2).
            Err(failure) if failure.has("err_developer_key") && !last => {}
            Err(failure) => return Err(failure.fault),
        }
    }
    Ok(())
}

fn discover(config: &Config, effects: &mut dyn Effects) -> Result<Base, Fault> {
    let Keys::V1 { administrator_email: Some(email), app_id, .. } = &config.keys else {
        return Err(Fault::new(FaultClass::Configuration, Code::MissingKey, "`administrator_email` is missing")
            .hint("Set `region`, or `administrator_email` so that Mimecast is asked for it"));
    };
    let request = Request {
        method: Method::Post,
        url: format!("{DISCOVERY}{}", DISCOVER.path),
        // Not signed (section 1.4).
        headers: vec![
            ("x-mc-app-id", app_id.clone()),
            ("x-mc-date", signature::date(effects.now())),
            ("x-mc-req-id", signature::request_id(effects.random())),
            ("accept", "application/json".to_owned()),
            ("content-type", "application/json".to_owned()),
        ],
        body: serde_json::json!({ "data": [{ "emailAddress": email }] }).to_string().into_bytes(),
    };
    let answer = send(effects, config, request, &DISCOVER, &mut Left::default())?;
    let text = answer.json(config, &DISCOVER, effects)?;

    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        data: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        region: Option<Region>,
    }
    #[derive(Deserialize)]
    struct Region {
        api: String,
    }
    let region = serde_json::from_slice::<Answer>(&text).ok().and_then(|answer| answer.data.into_iter().next()?.region);
    let Some(region) = region else {
        // An address that Mimecast does not know has no region.
        return Err(Fault::new(
            FaultClass::Configuration,
            Code::UnknownAddress,
            "Mimecast knows no account of `administrator_email`",
        )
        .status(200)
        .hint("Correct `administrator_email`: it is the address of an administrator of the account. Or set `region`"));
    };
    Base::discovered(&region.api).ok_or_else(|| {
        Fault::new(FaultClass::Protocol, Code::BadRegion, "Mimecast named a base URL that is not its own")
            .status(200)
            .hint("Set `region` to the account's own, so that Mimecast is not asked")
    })
}
