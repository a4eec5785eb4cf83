//! Sends the event of one test on its way, and compares.

use std::sync::Arc;

use serde_json::Value;

use crate::config::unit_tests::{Expected, From, Input, Suite, UnitTest};
use crate::deliver::{Batch, Head, Origin};
use crate::rules::Rules;

/// What a sink gets of the event: its body, or why it gets nothing.
type Got = Result<String, String>;

/// Every expectation that is not met, with what came instead.
pub fn failures(suite: &Suite, test: &UnitTest) -> Vec<String> {
    let mut failures = Vec::new();
    let mut fail = |sink: &str, expected: &str, got: &Got| {
        let actual = match got {
            Ok(body) => body.clone(),
            Err(reason) => format!("nothing: {reason}"),
        };
        failures.push(format!("sinks.{sink}\n  expected {expected}\n  actual   {actual}"));
    };
    for output in &test.outputs {
        let got = got(suite, &test.input, &output.sink);
        match (&output.body, &got) {
            (Expected::Anything, Ok(_)) => {}
            (Expected::Text(expected), Ok(body)) if body == expected => {}
            (Expected::Json(expected), Ok(body))
                if serde_json::from_str::<Value>(body).is_ok_and(|it| it == *expected) => {}
            (Expected::Anything, _) => fail(&output.sink, "the event", &got),
            (Expected::Text(expected), _) => fail(&output.sink, expected, &got),
            (Expected::Json(expected), _) => fail(&output.sink, &expected.to_string(), &got),
        }
    }
    for sink in &test.no_outputs_from {
        let got = got(suite, &test.input, sink);
        if got.is_ok() {
            fail(sink, "nothing", &got);
        }
    }
    failures
}

fn got(suite: &Suite, input: &Input, sink: &str) -> Got {
    let Some(taker) = suite.sinks.get(sink) else { return Err("there is no such sink".to_owned()) };
    let mut batch = batch(input);
    match &input.from {
        From::Source(source) => {
            if !taker.takes(source) {
                return Err("the sink does not take the source".to_owned());
            }
            if let Some(rules) = suite.sources.get(source) {
                batch = pass(rules, &format!("sources.{source}"), input, &batch)?;
            }
            if taker.takes_alerts_alone(source) && input.alert_key.is_none() {
                return Err("the sink takes alerts alone, and it is of none".to_owned());
            }
            let route = taker.only.bind(&input.stream, &[&input.kind]);
            if !batch.events.iter().all(|head| route.takes(head)) {
                return Err(format!("`where` of sinks.{sink} leaves it out"));
            }
        }
        From::Sink(other) if other != sink => return Err(format!("the event is put in at sinks.{other}")),
        From::Sink(_) => {}
    }
    let batch = pass(&taker.rules, &format!("sinks.{sink}"), input, &batch)?;
    Ok(String::from_utf8_lossy(batch.bodies.strip_suffix(b"\n").unwrap_or(&batch.bodies)).into_owned())
}

/// The event behind the rules that stand at `place`.
fn pass(rules: &Rules, place: &str, input: &Input, batch: &Arc<Batch>) -> Result<Arc<Batch>, String> {
    let applied = rules.bind(&input.stream, &[&input.kind]).apply(batch);
    let name = |rule: usize| rules.names().nth(rule).unwrap_or_default();
    if let [(rule, _), ..] = applied.filtered.as_slice() {
        return Err(format!("rule `{}` of {place} left it out", name(*rule)));
    }
    if let [refused, ..] = applied.refused.as_slice() {
        let rule = name(refused.rule);
        return Err(format!(
            "rule `{rule}` of {place} could not be applied, and it goes to the dead letters: {}",
            refused.reason
        ));
    }
    Ok(applied.batch)
}

fn batch(input: &Input) -> Arc<Batch> {
    let bodies = format!("{}\n", input.body);
    let source = match &input.from {
        From::Source(id) | From::Sink(id) => id.as_str(),
    };
    let head = Head {
        id: 0,
        time: 0,
        kind: 0,
        class: input.class,
        severity: input.severity,
        // Of one event it says only that it is of an alert.
        alert_key: input.alert_key.as_ref().map(|_| 1),
        begin: 0,
        end: u32::try_from(bodies.len()).unwrap_or(u32::MAX),
    };
    let origin = Origin { source: source.into(), tenant: source.into(), stream: input.stream.as_str().into() };
    Arc::new(Batch { origin, bodies: bodies.into(), events: vec![head] })
}
