//! A client as plain as can be: it follows the rules of the API and forgives nothing.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::Crc;
use flate2::read::{DeflateDecoder, GzDecoder};
use mimecast_simulator::{Credentials, Mark, Millis, Request, Response, Settings, Simulator, Tenant, signature};
use serde_json::{Value, json};

pub const MINUTE: Millis = 60_000;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

pub const TYPES: [&str; 10] = [
    "receipt",
    "process",
    "delivery",
    "journal",
    "spam",
    "av",
    "attachment protect",
    "url protect",
    "impersonation protect",
    "internal email protect",
];

/// A simulator of one tenant `one`, its clock, and the token of the moment.
pub struct World {
    pub simulator: Simulator,
    pub now: Millis,
    token: Option<String>,
    token_from: Millis,
    requests: u64,
}

/// A page of the SIEM batch.
pub struct Page {
    pub urls: Vec<String>,
    pub next: Option<String>,
    pub caught_up: bool,
}

impl World {
    pub fn new(settings: Settings) -> Self {
        let now = settings.start_ms;
        Self { simulator: Simulator::new(settings).unwrap(), now, token: None, token_from: 0, requests: 0 }
    }

    /// One tenant of API 2.0 with two days of backlog and a quota that does not get in the way.
    pub fn v2(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            tenants: vec![Tenant::v2("one", 2_000)],
            backlog_ms: 2 * DAY,
            quota_factor: 100_000,
            ..Settings::default()
        };
        change(&mut settings);
        Self::new(settings)
    }

    /// The same of API 1.0.
    pub fn v1(change: impl FnOnce(&mut Settings)) -> Self {
        Self::v2(|settings| {
            settings.tenants = vec![Tenant::v1("one", 2_000)];
            change(settings);
        })
    }

    pub fn send(&mut self, request: &Request) -> Response {
        // Quota windows are short in most tests: each request comes after the last one's.
        self.now += 20;
        self.simulator.handle(request, self.now)
    }

    pub fn token(&mut self) -> Response {
        let tenant = &self.simulator.settings().tenants[0];
        let Credentials::V2 { client_id, client_secret } = tenant.credentials.clone() else { panic!("not 2.0") };
        let form = format!("client_id={client_id}&client_secret={client_secret}&grant_type=client_credentials");
        let request = Request::post("/oauth/token", form).header("Content-Type", "application/x-www-form-urlencoded");
        let response = self.send(&request);
        self.token_from = self.now;
        self.token = response.body_json()["access_token"].as_str().map(str::to_owned);
        response
    }

    pub fn bearer(&mut self, request: Request) -> Request {
        if self.token.is_none() || self.now - self.token_from > 25 * MINUTE {
            assert_eq!(self.token().status, 200);
        }
        request.header("Authorization", format!("Bearer {}", self.token.clone().unwrap_or_default()))
    }

    /// A request of the SIEM batch, as it is answered.
    pub fn list(&mut self, query: &str) -> Response {
        let request = self.bearer(Request::get(&format!("/siem/v1/batch/events/cg?{query}")));
        self.send(&request)
    }

    pub fn page(&mut self, kind: &str, cursor: Option<&str>) -> Page {
        let kind = kind.replace(' ', "+");
        let response = match cursor {
            None => self.list(&format!("type={kind}&pageSize=100&dateRangeStartsAt=2025-05-01")),
            Some(cursor) => self.list(&format!("type={kind}&pageSize=100&nextPage={}", escape(cursor))),
        };
        assert_eq!(response.status, 200, "{:?}", response.body);
        page_of(&response)
    }

    pub fn fetch(&mut self, url: &str) -> Response {
        self.send(&Request::get(url))
    }

    /// All lines of a type from a cursor on, following `isCaughtUp`; and the cursor to go on from.
    pub fn collect(&mut self, kind: &str, mut cursor: Option<String>) -> (Vec<String>, Option<String>) {
        let mut lines = Vec::new();
        for _ in 0..500 {
            let page = self.page(kind, cursor.as_deref());
            for url in page.urls {
                let response = self.fetch(&url);
                assert_eq!(response.status, 200, "{url}");
                lines.extend(gunzip(&response.body).lines().map(str::to_owned));
            }
            cursor = page.next.or(cursor);
            if page.caught_up {
                return (lines, cursor);
            }
        }
        panic!("never caught up");
    }

    /// A signed request of API 1.0.
    pub fn sign(&mut self, path: &str, body: &Value) -> Request {
        let tenant = &self.simulator.settings().tenants[0];
        let Credentials::V1 { app_id, app_key, access_key, secret_key, .. } = tenant.credentials.clone() else {
            panic!("not 1.0")
        };
        self.requests += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.requests);
        let date = date(self.now);
        let sum = signature(&secret_key, &date, &id, path, &app_key).unwrap();
        Request::post(path, body.to_string())
            .header("Authorization", format!("MC {access_key}:{sum}"))
            .header("x-mc-app-id", app_id)
            .header("x-mc-date", date)
            .header("x-mc-req-id", id)
            .header("Content-Type", "application/json")
    }

    pub fn siem_logs(&mut self, compress: bool, format: &str, token: Option<&str>) -> Response {
        let mut data = json!({"type": "MTA", "compress": compress, "fileFormat": format});
        if let Some(token) = token {
            data["token"] = token.into();
        }
        let request = self.sign("/api/audit/get-siem-logs", &json!({"data": [data]}));
        self.send(&request)
    }

    /// All files of API 1.0 from a token on: names and contents.
    pub fn collect_logs(&mut self, compress: bool, format: &str) -> Vec<(String, Vec<u8>)> {
        let (mut files, mut token): (Vec<(String, Vec<u8>)>, Option<String>) = (Vec::new(), None);
        for _ in 0..5_000 {
            let response = self.siem_logs(compress, format, token.as_deref());
            assert_eq!(response.status, 200);
            if response.header_value("content-type") == Some("application/json") {
                assert_eq!(response.body_json()["meta"]["isLastToken"], true, "{:?}", response.body);
                return files;
            }
            let name = file_name(&response);
            if compress {
                files.extend(unzip(&response.body).unwrap());
            } else {
                files.push((name, response.body.to_vec()));
            }
            token = response.header_value("mc-siem-token").map(str::to_owned).or(token);
        }
        panic!("never the last token");
    }

    /// A page of audit events.
    pub fn audit(&mut self, begin: Millis, end: Millis, size: usize, token: Option<&str>) -> Response {
        let mut pagination = json!({"pageSize": size});
        if let Some(token) = token {
            pagination["pageToken"] = token.into();
        }
        let body = json!({"meta": {"pagination": pagination},
            "data": [{"startDateTime": iso(begin), "endDateTime": iso(end)}]});
        let path = "/api/audit/get-audit-events";
        let request = if matches!(self.simulator.settings().tenants[0].credentials, Credentials::V1 { .. }) {
            self.sign(path, &body)
        } else {
            self.bearer(Request::post(path, body.to_string()))
        };
        self.send(&request)
    }

    /// All audit events of a window, as records.
    pub fn collect_audit(&mut self, begin: Millis, end: Millis, size: usize) -> Vec<Value> {
        let (mut rows, mut token): (Vec<Value>, Option<String>) = (Vec::new(), None);
        loop {
            let answer = self.audit(begin, end, size, token.as_deref()).body_json();
            assert_eq!(answer["fail"], json!([]), "{answer}");
            rows.extend(answer["data"].as_array().unwrap().iter().cloned());
            token = answer["meta"]["pagination"]["next"].as_str().map(str::to_owned);
            if token.is_none() {
                return rows;
            }
        }
    }

    /// What there is of a stream now: each mark with its count.
    pub fn truth(&self, stream: &str) -> BTreeMap<Mark, u32> {
        let issued = self.simulator.truth("one", self.now);
        issued.filter(|it| it.stream == stream && !it.lost).map(|it| (it.mark, it.count)).collect()
    }
}

pub fn page_of(response: &Response) -> Page {
    let body = response.body_json();
    let value = body["value"].as_array().unwrap();
    Page {
        urls: value.iter().map(|file| file["url"].as_str().unwrap().to_owned()).collect(),
        next: body["@nextPage"].as_str().map(str::to_owned),
        caught_up: body["isCaughtUp"].as_bool().unwrap(),
    }
}

/// Each mark in these texts, with how often it stands there.
pub fn marks<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> BTreeMap<Mark, u32> {
    let mut found = BTreeMap::new();
    for text in texts {
        for mark in Mark::find_all(text.as_ref()) {
            *found.entry(mark).or_default() += 1;
        }
    }
    found
}

pub fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// The members of an archive by its central directory, sizes and checksums compared; or what is wrong with it.
pub fn unzip(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]) as usize;
    let long = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let end = bytes.len() - 22;
    assert_eq!(&bytes[end..end + 4], b"PK\x05\x06");
    let mut members = Vec::new();
    let mut at = long(end + 16);
    for _ in 0..short(end + 10) {
        assert_eq!(&bytes[at..at + 4], b"PK\x01\x02");
        let (method, crc, packed, size) = (short(at + 10), long(at + 16), long(at + 20), long(at + 24));
        let (name_length, local) = (short(at + 28), long(at + 42));
        let name = String::from_utf8(bytes[at + 46..at + 46 + name_length].to_vec()).unwrap();
        at += 46 + name_length + short(at + 30) + short(at + 32);
        assert_eq!(&bytes[local..local + 4], b"PK\x03\x04");
        let begin = local + 30 + short(local + 26) + short(local + 28);
        let data = &bytes[begin..begin + packed];
        let behind = short(local + 6) & 8 != 0;
        let told = if behind { begin + packed + 4 } else { local + 14 };
        assert_eq!((long(told), long(told + 4), long(told + 8)), (crc, packed, size), "{name}");
        let mut plain = Vec::new();
        match method {
            0 => plain.extend_from_slice(data),
            _ => {
                DeflateDecoder::new(data).read_to_end(&mut plain).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        let mut sum = Crc::new();
        sum.update(&plain);
        if sum.sum() as usize != crc || plain.len() != size {
            return Err(format!("{name}: checksum"));
        }
        members.push((name, plain));
    }
    Ok(members)
}

pub fn file_name(response: &Response) -> String {
    let header = response.header_value("content-disposition").unwrap();
    header.strip_prefix("attachment; filename=\"").unwrap().trim_end_matches('"').to_owned()
}

pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

pub fn iso(time: Millis) -> String {
    chrono(time).format("%Y-%m-%dT%H:%M:%S+0000").to_string()
}

pub fn date(time: Millis) -> String {
    chrono(time).format("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

fn chrono(time: Millis) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(time as i64).unwrap()
}

/// The code of an error, in whichever shape it comes.
pub fn code(response: &Response) -> String {
    let body = response.body_json();
    let fail = &body["fail"][0];
    let code = [&fail["errors"][0]["code"], &fail["code"], &body["error"]["code"]];
    code.iter().find_map(|code| code.as_str()).unwrap_or_default().to_owned()
}

/// Path, stream, names of the window's ends, the list's name in `data[0]` if it stands there, and the field of the time.
pub type List = (&'static str, &'static str, [&'static str; 2], Option<&'static str>, &'static str);

const FROM: [&str; 2] = ["from", "to"];
const START: [&str; 2] = ["start", "end"];

/// Every list of `/api/...` but audit.
pub const LISTS: [List; 10] = [
    ("/api/dlp/get-logs", "dlp", FROM, Some("dlpLogs"), "eventTime"),
    ("/api/gateway/get-hold-message-list", "held/messages", START, None, "dateReceived"),
    ("/api/gateway/get-held-release-logs", "held/releases", START, Some("heldReleaseLogs"), "released"),
    ("/api/gateway/get-rejections", "rejections", START, None, "created"),
    ("/api/ttp/url/get-logs", "ttp/url", FROM, Some("clickLogs"), "date"),
    ("/api/ttp/attachment/get-logs", "ttp/attachment", FROM, Some("attachmentLogs"), "date"),
    ("/api/ttp/impersonation/get-logs", "ttp/impersonation", FROM, Some("impersonationLogs"), "eventTime"),
    ("/api/archive/get-archive-search-logs", "archive/search", START, Some("logs"), "createTime"),
    ("/api/archive/get-search-logs", "archive/user-search", START, Some("logs"), "createTime"),
    ("/api/archive/get-view-logs", "archive/view", START, None, "viewed"),
];

pub fn list(stream: &str) -> List {
    *LISTS.iter().find(|list| list.1 == stream).unwrap()
}

impl World {
    /// A tenant with records in every stream.
    pub fn full(v1: bool, change: impl FnOnce(&mut Settings)) -> Self {
        Self::v2(|settings| {
            let tenant = if v1 { Tenant::v1("one", 3_000) } else { Tenant::v2("one", 3_000) };
            settings.tenants = vec![tenant.with_every_stream()];
            change(settings);
        })
    }

    pub fn is_v1(&self) -> bool {
        matches!(self.simulator.settings().tenants[0].credentials, Credentials::V1 { .. })
    }

    /// A request of `/api/...` in the tenant's generation.
    pub fn api(&mut self, path: &str, body: &Value) -> Response {
        let request =
            if self.is_v1() { self.sign(path, body) } else { self.bearer(Request::post(path, body.to_string())) };
        self.send(&request)
    }

    /// One page of a list.
    pub fn rows(&mut self, list: &List, data: &Value, size: usize, token: Option<&str>) -> Response {
        let mut pagination = json!({"pageSize": size});
        if let Some(token) = token {
            pagination["pageToken"] = token.into();
        }
        self.api(list.0, &json!({"meta": {"pagination": pagination}, "data": [data]}))
    }

    /// The first request's `data[0]` for a window.
    pub fn window(list: &List, begin: Millis, end: Millis) -> Value {
        let mut data = json!({list.2[0]: iso(begin), list.2[1]: iso(end)});
        if list.1 == "held/messages" {
            data["admin"] = true.into();
        }
        data
    }

    /// All rows of a window.
    pub fn collect_rows(&mut self, list: &List, data: &Value, size: usize) -> Vec<Value> {
        let (mut rows, mut token): (Vec<Value>, Option<String>) = (Vec::new(), None);
        for _ in 0..2_000 {
            let answer = self.rows(list, data, size, token.as_deref()).body_json();
            assert_eq!(answer["fail"], json!([]), "{answer}");
            rows.extend(rows_of(&answer));
            let next = &answer["meta"]["pagination"]["next"];
            token = next["pageToken"].as_str().or(next.as_str()).map(str::to_owned);
            if token.is_none() {
                return rows;
            }
        }
        panic!("pages for ever");
    }
}

/// The rows of an answer, in whichever shape they stand.
pub fn rows_of(answer: &Value) -> Vec<Value> {
    let data = answer["data"].as_array().cloned().unwrap_or_default();
    let inner = data.first().and_then(|first| {
        let lists = first
            .as_object()?
            .iter()
            .filter(|(name, value)| value.is_array() && (name.ends_with("ogs") || name.ends_with("Messages")));
        lists.map(|(_, value)| value.as_array().cloned().unwrap_or_default()).next()
    });
    inner.unwrap_or(data)
}

pub fn texts(rows: &[Value]) -> Vec<String> {
    rows.iter().map(Value::to_string).collect()
}
