//! `auth`: who we are at the far side, named as Vector names it.

use http::{HeaderName, HeaderValue, header};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::shared::Secret;
use crate::config::declaration::{Group, Table, choice, secret, text, text_or};
use crate::config::section::Section;

/// The header that says who we are, if one does.
pub type Auth = Option<Credentials>;

/// A header that is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub header: HeaderName,
    pub value: Secret,
    /// The key that it comes from, for whoever has to mend it.
    pub key: &'static str,
}

#[derive(Clone, Copy, Default)]
enum Strategy {
    #[default]
    None,
    Basic,
    Bearer,
    ApiKey,
    Custom,
}

const STRATEGIES: [(&str, Strategy); 5] = [
    ("none", Strategy::None),
    ("basic", Strategy::Basic),
    ("bearer", Strategy::Bearer),
    ("api_key", Strategy::ApiKey),
    ("custom", Strategy::Custom),
];

pub static AUTH: Table = Table::new(
    "auth",
    "Who we are at the far side.",
    &[&Group::of(&[
        choice(
            "strategy",
            &["none", "basic", "bearer", "api_key", "custom"],
            None,
            "Which of the other keys say it: `user` and `password`, `token`, `api_key`, or `value` and `header`.",
        )
        .required(),
        text("user", "Of `basic`."),
        secret("password", "Of `basic`."),
        secret("token", "Of `bearer`."),
        secret("api_key", "Of `api_key`: Elastic's, encoded."),
        secret("value", "Of `custom`: the header as a whole."),
        text_or("header", "authorization", "Of `custom`: the name of the header."),
    ])],
);

/// `auth = { strategy = "basic", user, password }`, `{ strategy = "bearer", token }`, `{ strategy = "api_key", api_key }`
/// (Elastic's, encoded), or `{ strategy = "custom", value, header }` for a header that is written out, `Authorization`
/// unless it is named.
pub fn read(section: &mut Section<'_>) -> Auth {
    let mut table = section.table("auth")?;
    if table.peek("strategy").is_none() {
        table.fault(
            "strategy",
            "is required",
            Some("Such as \"basic\" with user and password, or \"bearer\" with token".into()),
        );
    }
    let secret = |table: &mut Section<'_>, key: &'static str| {
        let text = table.text(key);
        if text.is_none() {
            table.fault(
                key,
                "is required by this strategy",
                Some(format!("Set `auth.{key}`, or choose another strategy")),
            );
        }
        Secret::new(text.unwrap_or_default())
    };
    let (header, value, key) = match table.choice("strategy", &STRATEGIES) {
        Strategy::None => {
            table.close();
            return None;
        }
        Strategy::Basic => {
            let user = table.text("user").unwrap_or_default();
            let password = secret(&mut table, "password");
            let both = Secret::new(format!("{user}:{}", password.expose()));
            (header::AUTHORIZATION, Secret::new(format!("Basic {}", STANDARD.encode(both.expose()))), "auth.password")
        }
        Strategy::Bearer => {
            let token = secret(&mut table, "token");
            (header::AUTHORIZATION, Secret::new(format!("Bearer {}", token.expose())), "auth.token")
        }
        Strategy::ApiKey => {
            let api_key = secret(&mut table, "api_key");
            (header::AUTHORIZATION, Secret::new(format!("ApiKey {}", api_key.expose())), "auth.api_key")
        }
        Strategy::Custom => {
            let header = match table.text("header").map(|name| name.parse()) {
                None => header::AUTHORIZATION,
                Some(Ok(header)) => header,
                Some(Err(_)) => {
                    table.fault("header", "is no name of a header", Some("Write a name such as \"X-Api-Key\"".into()));
                    header::AUTHORIZATION
                }
            };
            (header, secret(&mut table, "value"), "auth.value")
        }
    };
    if HeaderValue::from_str(value.expose()).is_err() {
        let hint = "Write it again without a line feed or other control characters";
        table.fault(key.trim_start_matches("auth."), "has characters that a header cannot hold", Some(hint.into()));
    }
    table.close();
    Some(Credentials { header, value, key })
}
