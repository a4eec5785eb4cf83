//! Records as the simulated Mimecast serves them.

use std::io::Read as _;

use mimecast_simulator as sim;
use mimecast_source::{
    kind::{Generation, Kind},
    normalize::{Form, Source},
};
use serde_json::Value;

use crate::{agreement, arrival, event_of, judge, lists, siem};

const API: &str = "https://api.example";
const STORAGE: &str = "https://storage.example";

struct Client {
    simulator: sim::Simulator,
    now: sim::Millis,
    token: String,
}

impl Client {
    fn new() -> Self {
        let mut tenant = sim::Tenant::v2("acme", 20_000);
        tenant.rates.cloud = 5_000;
        let sim::Credentials::V2 { client_id, client_secret } = &tenant.credentials else {
            unreachable!("a tenant of API 2.0 has such credentials")
        };
        let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
        let settings = sim::Settings {
            tenants: vec![tenant.clone()],
            api_url: API.to_owned(),
            storage_url: STORAGE.to_owned(),
            ..sim::Settings::default()
        };
        let now = settings.start_ms;
        let simulator = sim::Simulator::new(settings).expect("the settings are good");
        let mut client = Self { simulator, now, token: String::new() };
        let login = sim::Request::post(&format!("{API}/oauth/token"), form)
            .header("content-type", "application/x-www-form-urlencoded");
        client.token = json(&client.ask(&login))["access_token"].as_str().expect("a token").to_owned();
        client
    }

    fn ask(&mut self, request: &sim::Request) -> Vec<u8> {
        let answer = self.simulator.handle(request, self.now);
        assert_eq!(answer.status, 200, "{request:?}");
        answer.body.to_vec()
    }

    fn get(&mut self, url: &str) -> Vec<u8> {
        let authorization = format!("Bearer {}", self.token);
        self.ask(&sim::Request::get(url).header("authorization", authorization))
    }

    /// The lines of the first files of a type.
    fn batch(&mut self, endpoint: &str, kind: &str) -> Vec<Vec<u8>> {
        let kind = kind.replace(' ', "%20");
        let query =
            format!("{API}/siem/v1/batch/events/{endpoint}?type={kind}&pageSize=5&dateRangeStartsAt=2025-05-27");
        let page = json(&self.get(&query));
        let mut lines = Vec::new();
        for file in page["value"].as_array().expect("files") {
            let body = self.ask(&sim::Request::get(file["url"].as_str().expect("an address")));
            let mut text = Vec::new();
            flate2::read::MultiGzDecoder::new(&body[..]).read_to_end(&mut text).expect("gzip");
            lines.extend(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
        }
        lines
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn simulated_records_are_valid_and_whole_and_their_forms_agree() {
    let mut client = Client::new();
    for kind in Kind::ALL {
        let Some(name) = kind.api2_type() else { continue };
        let endpoint = if kind < Kind::SiemOther { "cg" } else { "ci" };
        let lines = client.batch(endpoint, name);
        assert!(!lines.is_empty(), "{kind:?}");
        for line in lines.iter().take(150) {
            let (head, body) = event_of(Form::Ecs, Generation::V2, &siem(None), line);
            assert_eq!(head.kind, kind as u32);
            let complaints = judge::complaints(&body).unwrap_or_default();
            assert!(complaints.is_empty(), "{complaints:#?} {body:#}");
            // Odd records hold odd bytes; those are not compared as values.
            if let Ok(record) = serde_json::from_slice(line) {
                agreement::agree(Generation::V2, &siem(None), &record);
                arrival::check(Generation::V2, &siem(None), &record);
            }
        }
    }
}

/// With every field that is known of each list.
#[test]
fn records_of_lists_are_valid_and_whole_and_their_forms_agree() {
    for (generation, kind, record) in lists::records() {
        let origin = lists::origin(kind);
        assert!(origin.source == Source::List || kind.api2_type().is_some());
        let record = Value::Object(record);
        let (_, body) = crate::event(Form::Ecs, generation, &origin, &record);
        let complaints = judge::complaints(&body).unwrap_or_default();
        assert!(complaints.is_empty(), "{complaints:#?} {body:#}");
        agreement::agree(generation, &origin, &record);
        arrival::check(generation, &origin, &record);
    }
}
