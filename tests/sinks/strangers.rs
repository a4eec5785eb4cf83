//! Far sides that answer as they should not: something else speaks in their place, or a path does not lead to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tributary_host::config::{self, Format};
use tributary_host::deliver::{Batch, Origin};
use tributary_host::outside::Outside;
use tributary_host::sinks::{self, Sink};

use crate::dialects::{Dialect, Lines, Splunk};
use crate::far::{Far, Received, Said, State};
use crate::feed;

fn sink(keys: &str) -> Box<dyn Sink> {
    let text = format!("[sources.acme]\ntype = \"mimecast\"\n[sinks.far]\ninputs = [\"*\"]\n{keys}\n");
    let loaded = config::parse(&text, Format::Toml, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    sinks::build(&loaded.config.sinks["far"], &Outside::system()).unwrap_or_else(|error| panic!("{error}"))
}

fn events(numbers: std::ops::Range<u64>) -> [Arc<Batch>; 1] {
    let (bodies, events) = feed::lines(numbers, false);
    let origin = Origin { source: "acme".into(), tenant: "Acme".into(), stream: "log".into() };
    [Arc::new(Batch { origin, bodies, events })]
}

/// A proxy that wants people to sign in, and says so with a status of success.
struct SignIn;

impl Dialect for SignIn {
    fn take(&self, _: &Received, _: &mut State, _: bool) -> Said {
        self.asked()
    }

    fn asked(&self) -> Said {
        Said { headers: vec![("content-type", "text/html".into())], ..Said::new(200, "<html>Sign in</html>") }
    }
}

#[tokio::test]
async fn a_page_for_people_stores_nothing() {
    let far = Far::start(Arc::new(SignIn), false).await;
    let address = format!("endpoint = \"http://127.0.0.1:{}\"", far.port);
    for keys in ["type = \"splunk_hec\"\ndefault_token = \"hunter22\"", "type = \"otlp\""] {
        let sink = sink(&format!("{keys}\n{address}"));
        for error in [sink.check().await.unwrap_err(), sink.deliver(&events(0..3)).await.unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("Sign in") && error.contains("`sinks.far.endpoint`"), "{error}");
        }
    }
    // Elsewhere nobody has said what stands in a body.
    let far = Far::start(Arc::new(Lines { content_type: "application/x-ndjson", headers: &[] }), false).await;
    let sink = sink(&format!("type = \"http\"\nuri = \"http://127.0.0.1:{}\"", far.port));
    assert_eq!(sink.deliver(&events(0..3)).await, Ok(Vec::new()));
    assert_eq!(far.state().stored.len(), 3);
}

/// A Splunk behind something that lets questions about what is indexed through only if it is told to.
struct Gateway(Arc<AtomicBool>);

impl Dialect for Gateway {
    fn take(&self, received: &Received, state: &mut State, half: bool) -> Said {
        Splunk.take(received, state, half)
    }

    fn aside(&self, received: &Received, state: &mut State) -> Option<Said> {
        let said = Splunk.aside(received, state)?;
        Some(if self.0.load(Ordering::Relaxed) { said } else { Said::new(404, "no such page") })
    }
}

#[tokio::test]
async fn what_splunk_has_taken_is_not_sent_again_while_nobody_can_ask_after_it() {
    let open = Arc::<AtomicBool>::default();
    let far = Far::start(Arc::new(Gateway(Arc::clone(&open))), false).await;
    // With the path of events, which is not that of questions.
    let sink = sink(&format!(
        "type = \"splunk_hec\"\ndefault_token = \"hunter22\"\nendpoint = \"http://127.0.0.1:{}/services/collector/event\"",
        far.port
    ));
    for _ in 0..2 {
        let error = sink.deliver(&events(0..10)).await.unwrap_err().to_string();
        assert!(error.contains("404") && error.contains("`sinks.far.acknowledgements.indexer`"), "{error}");
    }
    assert_eq!(far.state().deliveries.len(), 1, "it is held");
    open.store(true, Ordering::Relaxed);
    assert_eq!(sink.deliver(&events(0..10)).await, Ok(Vec::new()));
    assert_eq!(far.state().deliveries.len(), 1, "it was there");
    assert_eq!(sink.deliver(&events(10..15)).await, Ok(Vec::new()));
    let state = far.state();
    assert!(state.stored.len() == 15 && state.stored.values().all(|times| *times == 1), "{:?}", state.stored);
    assert_eq!(state.violations, [""; 0]);
}
