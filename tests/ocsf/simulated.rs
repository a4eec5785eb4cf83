//! The judge over what the core makes of the simulator's records: every stream of both generations.

use std::collections::BTreeMap;

use mimecast_simulator as sim;
use mimecast_source::{
    auth,
    chunk::{Budget, Next, Start, Timestamp},
    describe::plan_for,
    effects::{Body, Effects, Method, Request, Response, TransportError},
    kind::Kind,
    streams::Reader,
};
use serde_json::json;
use tributary_tests::guest;

use crate::{events, judge};

/// The simulator as the core's outside. Each request is a while after the last, so that quotas do not get in the way.
struct Outside {
    simulator: sim::Simulator,
    now_ms: u64,
}

struct Whole(Option<Vec<u8>>);

impl Body for Whole {
    fn next(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        Ok(self.0.take().filter(|bytes| !bytes.is_empty()))
    }
}

impl Effects for Outside {
    fn now(&mut self) -> Timestamp {
        self.now_ms * 1_000_000
    }

    fn monotonic_ms(&mut self) -> u64 {
        0
    }

    fn random(&mut self) -> [u8; 16] {
        self.now_ms.to_be_bytes().repeat(2).try_into().expect("sixteen bytes")
    }

    fn send(&mut self, request: Request) -> Result<Response, TransportError> {
        self.now_ms += 50;
        let mut sent = match request.method {
            Method::Get => sim::Request::get(&request.url),
            Method::Post => sim::Request::post(&request.url, request.body),
        };
        for (name, value) in request.headers {
            sent = sent.header(name, value);
        }
        let answer = self.simulator.handle(&sent, self.now_ms);
        let headers =
            answer.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes()));
        let body = Box::new(Whole(Some(answer.body.to_vec())));
        Ok(Response { status: answer.status, headers: headers.collect(), body })
    }
}

const HOUR: u64 = 3_600_000;

#[test]
fn every_record_of_the_simulator_is_valid() {
    let Some(shared) = judge::shared() else { return };
    let tenants = [sim::Tenant::v2("acme", 1_500), sim::Tenant::v1("initech", 2_500)];
    let mut kinds: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut unmapped: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for tenant in tenants.map(sim::Tenant::with_every_stream) {
        let settings =
            sim::Settings { backlog_ms: 3 * 24 * HOUR, quota_factor: 100_000, ..guest::settings(vec![tenant.clone()]) };
        let mut configuration = guest::configuration(&tenant);
        configuration["labels"] = json!(["elastic", "sumo", "stellar"]);
        let configuration = configuration.to_string();
        let mut outside =
            Outside { now_ms: settings.start_ms, simulator: sim::Simulator::new(settings).expect("settings") };
        let secret = auth::authenticate(&configuration, &mut outside).expect("good credentials").secret;
        for stream in plan_for(&configuration).expect("a good configuration").streams {
            let mut reader =
                Reader::open(&configuration, &stream.name, Start::Configured).expect("a stream of the plan");
            let mut rest = 1_000;
            loop {
                let budget = Budget { events: 5_000, bytes: 4 << 20, time_ms: 5_000, requests: 100, verbatim: false };
                let chunk = reader.pull(&mut outside, &secret, &budget).expect("no fault");
                assert_eq!(chunk.malformed, []);
                for (head, body) in events(&chunk) {
                    let kind = Kind::ALL[head.kind as usize];
                    assert_ne!(kind, Kind::SiemOther, "{body:#}");
                    let complaints = judge::complaints(&shared, &body);
                    assert!(complaints.is_empty(), "{complaints:#?}\n{body:#}");
                    // A release may lack its time, and says so.
                    let timed = body["metadata"]["original_time"].is_string();
                    let told = body["metadata"]["tags"][0]["name"] == "time_source";
                    assert!(timed != told && (timed || kind == Kind::HeldRelease), "{kind:?}: {body:#}");
                    for name in body["unmapped"].as_object().into_iter().flat_map(|left| left.keys()) {
                        *unmapped.entry(kind.name()).or_default().entry(name.clone()).or_default() += 1;
                    }
                    *kinds.entry((tenant.name.clone(), kind.name())).or_default() += 1;
                }
                match chunk.next {
                    Next::CaughtUp => break,
                    Next::More => {}
                    Next::Pause(ms) => outside.now_ms += u64::from(ms),
                }
                rest -= 1;
                assert!(rest > 0, "{} never ends", stream.name);
            }
        }
    }
    println!("{kinds:?}\n{unmapped:#?}");
    // All kinds but the unknown; API 1.0 has neither Cloud Integrated nor releases and rejections.
    let count = |tenant: &str| kinds.keys().filter(|(of, _)| of == tenant).count();
    assert_eq!((count("acme"), count("initech")), (Kind::ALL.len() - 1, Kind::ALL.len() - 6), "{kinds:?}");
}
