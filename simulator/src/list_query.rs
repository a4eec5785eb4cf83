//! What a request for a list asks for: its window, its filters, its page, its token (sections 3.2 and 6.1 of the API
//! reference).

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::read::ZlibDecoder;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::errors;
use crate::exchange::Response;
use crate::random::{combine, of_text};
use crate::records::audit::opaque;
use crate::simulator::{Simulator, refused_cursor};
use crate::time::{DAY, Millis, parse_request, with_offset};

/// One page of a list.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// `data[0]` of the request with its window filled in. The token carries it.
    pub filter: Value,
    /// Both included.
    pub window: (Millis, Millis),
    /// Rows before this page.
    pub offset: usize,
    pub size: usize,
    /// When the token behind it was given out; zero where tokens live for ever, so that they do not change with time.
    made: Millis,
}

impl Page {
    /// Another page of the same list.
    pub fn at(&self, offset: usize, now: Millis) -> Page {
        let made = if self.made == 0 { 0 } else { now };
        Page { offset, made, ..self.clone() }
    }
}

/// The names of a window's ends in the request.
const fn window_names(at: Endpoint) -> (&'static str, &'static str) {
    match at {
        Endpoint::Dlp | Endpoint::TtpUrl | Endpoint::TtpAttachment | Endpoint::TtpImpersonation => ("from", "to"),
        _ => ("start", "end"),
    }
}

impl Simulator {
    pub(crate) fn list_page(
        &self,
        tenant: usize,
        at: Endpoint,
        body: &Value,
        token: Option<&str>,
        now: Millis,
    ) -> Result<Page, Response> {
        let sent = body["data"].get(0).filter(|data| data.is_object()).cloned().unwrap_or_else(|| json!({}));
        let (begin, end) = window_names(at);
        if let Some(token) = token {
            let page = self.read_list_token(tenant, at, token, now).ok_or_else(|| refused_cursor(at))?;
            // A token goes on with its own filters; the request may repeat them but not change the window (Q16).
            let moved = |name: &str| sent[name].as_str().is_some_and(|text| Some(text) != page.filter[name].as_str());
            return if moved(begin) || moved(end) { Err(refused_cursor(at)) } else { Ok(page) };
        }
        let wanted = &body["meta"]["pagination"]["pageSize"];
        // A number as text works too (E-aud-h).
        let wanted = wanted.as_u64().or_else(|| wanted.as_str()?.parse().ok());
        let size = wanted.map_or(self.settings.audit_page_default, |size| size.max(1) as usize);
        let mut filter = sent;
        // Without a window: from the start of the current day until now (section 6.4).
        for (name, default) in [(begin, now / DAY * DAY), (end, now)] {
            if filter[name].as_str().is_none_or(str::is_empty) {
                filter[name] = with_offset(default, 0).into();
            }
        }
        let window = self.list_window(&filter, (begin, end), now)?;
        let made = if self.settings.page_token_life_ms.is_some() { now } else { 0 };
        Ok(Page { filter, window, offset: 0, size: size.min(self.settings.audit_page_limit), made })
    }

    fn list_window(&self, filter: &Value, names: (&str, &str), now: Millis) -> Result<(Millis, Millis), Response> {
        let invalid = |field: &str| {
            let error = ("err_validation_invalid_date", field, "Use yyyy-MM-dd'T'HH:mm:ssZ");
            errors::fields(400, filter, &[error])
        };
        let read = |name: &str| filter[name].as_str().and_then(parse_request).ok_or_else(|| invalid(name));
        let (begin, end) = (read(names.0)?, read(names.1)?);
        let end = if self.settings.inclusive_window_ends { end } else { end.saturating_sub(1) };
        let oldest = now.saturating_sub(self.settings.list_retention_ms);
        if begin < oldest && self.settings.refuse_old_windows {
            return Err(invalid(names.0));
        }
        Ok((begin.max(oldest), end))
    }

    pub(crate) fn list_token(&self, tenant: usize, at: Endpoint, page: &Page, nonce: u64) -> String {
        let mut token = json!({
            "pagesizeid": page.size, "recordstartid": page.offset, "isPrevious": false, "version": 1,
            "filter": page.filter, "begin": page.window.0, "end": page.window.1, "made": page.made, "nonce": nonce,
        });
        if at == Endpoint::HeldMessages {
            // One offset for each storage host, newest first (section 3.2).
            let inner = json!({
                "hostOffsets": {"term13-002.simulator.test": page.offset}, "pageDepth": page.size,
                "pageNo": page.offset / page.size + 1, "sorts": [{"field": "time", "ascending": false}],
            });
            token["tmtpagetoken"] = STANDARD.encode(inner.to_string()).into();
        }
        token["secureid"] = self.list_lock(tenant, at, &token).into();
        opaque(&token)
    }

    fn read_list_token(&self, tenant: usize, at: Endpoint, text: &str, now: Millis) -> Option<Page> {
        const LIMIT: u64 = 1 << 16;
        let packed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut plain = Vec::new();
        ZlibDecoder::new(packed.as_slice()).take(LIMIT).read_to_end(&mut plain).ok()?;
        let mut token: Value = serde_json::from_slice(&plain).ok()?;
        let lock = token.as_object_mut()?.remove("secureid")?;
        if lock.as_str()? != self.list_lock(tenant, at, &token) {
            return None;
        }
        let number = |key: &str| usize::try_from(token[key].as_u64()?).ok();
        let made = token["made"].as_u64()?;
        if self.settings.page_token_life_ms.is_some_and(|life| now >= made.saturating_add(life)) {
            return None;
        }
        Some(Page {
            window: (token["begin"].as_u64()?, token["end"].as_u64()?),
            offset: number("recordstartid")?,
            size: number("pagesizeid")?,
            made,
            filter: token["filter"].take(),
        })
    }

    /// Binds a token to its tenant, its list and all that it says.
    fn list_lock(&self, tenant: usize, at: Endpoint, token: &Value) -> String {
        let name = of_text(&self.tenants[tenant].tenant.name);
        format!("{:016x}", combine(&[self.settings.seed, 18, name, at as u64, of_text(&token.to_string())]))
    }
}

/// Whether a record falls under the filters of a request, whichever list it is of.
pub(crate) fn matches(record: &Value, filter: &Value) -> bool {
    let field = |name: &str| record[name].as_str().unwrap_or_default().to_lowercase();
    let is = |key: &str, name: &str| match filter[key].as_str() {
        None | Some("" | "all") => true,
        Some(wanted) => field(name) == wanted.to_lowercase(),
    };
    let among = |list: &Value, name: &str| {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        list.is_empty() || list.iter().any(|wanted| wanted.as_str().is_some_and(|it| it.to_lowercase() == field(name)))
    };
    let identifiers = filter["identifiers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_record = record["identifiers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let groups = filter["filterBy"].as_array().map(Vec::as_slice).unwrap_or_default();
    is("route", "route")
        && is("scanResult", "scanResult")
        && is("result", "result")
        && among(&filter["routes"], "route")
        && among(&filter["actions"], "action")
        && groups.iter().all(|group| among(&group["route"], "route"))
        && (identifiers.is_empty() || identifiers.iter().any(|wanted| of_record.contains(wanted)))
        && filter["taggedMalicious"].as_bool().is_none_or(|wanted| record["taggedMalicious"] == wanted)
        && contains(record, filter["searchField"].as_str(), filter["query"].as_str())
        && contains(record, filter["searchBy"]["fieldName"].as_str(), filter["searchBy"]["value"].as_str())
}

/// Whether a field, or any for `all`, contains a text in any case.
fn contains(record: &Value, field: Option<&str>, text: Option<&str>) -> bool {
    let Some(text) = text.filter(|text| !text.is_empty()).map(str::to_lowercase) else { return true };
    let field = match field {
        None | Some("" | "all") => None,
        Some("sender") => Some("from"),
        Some("recipient") => Some("to"),
        Some("reason_code") => Some("reasonCode"),
        other => other,
    };
    let found = |value: &Value| value.to_string().to_lowercase().contains(&text);
    match field {
        Some(name) => found(&record[name]),
        None => record.as_object().is_some_and(|record| record.values().any(found)),
    }
}
