//! Several endpoints of one far side.

use std::net::TcpListener;
use std::sync::Arc;

use tributary_host::config::{self, Format};
use tributary_host::deliver::{Batch, Origin};
use tributary_host::outside::Outside;
use tributary_host::sinks;

use crate::dialects::Elastic;
use crate::far::Far;
use crate::feed;

fn unused() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn the_next_one_is_used_when_one_is_in_trouble() {
    let far = Far::start(Arc::new(Elastic), false).await;
    let text = format!(
        "[sources.acme]\ntype = \"mimecast\"\n[sinks.far]\ninputs = [\"*\"]\ntype = \"elasticsearch\"\nbulk.index = \"mail-{{tenant}}\"\nendpoints = [\"http://127.0.0.1:{}\", \"http://127.0.0.1:{}\"]\n",
        unused(),
        far.port
    );
    let loaded = config::parse(&text, Format::Toml, "test", &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let sink = sinks::build(&loaded.config.sinks["far"], &Outside::system()).unwrap();
    let (bodies, events) = feed::lines(0..10, false);
    let origin = Origin { source: "acme".into(), tenant: "Acme".into(), stream: "log".into() };
    let batches = [Arc::new(Batch { origin, bodies, events })];
    let error = sink.deliver(&batches).await.unwrap_err().to_string();
    assert!(error.contains("the connection was refused") && error.contains("`sinks.far.endpoints`"), "{error}");
    assert_eq!(sink.deliver(&batches).await, Ok(Vec::new()));
    // It stays with that one.
    assert_eq!(sink.deliver(&batches).await.unwrap().len(), 10, "all are known");
    assert_eq!(far.state().stored.len(), 10);
    assert_eq!(far.state().violations, [""; 0]);
}
