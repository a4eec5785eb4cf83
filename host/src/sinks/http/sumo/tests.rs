use super::super::tests::client;
use super::*;
use crate::sinks::tests::batch;

fn sink(name: &str, fields: &[(&str, &str)]) -> Sumo {
    let template = |text: &str| Template::parse(text).unwrap();
    let fields = fields.iter().map(|(name, text)| ((*name).to_owned(), template(text))).collect();
    let said = vec![(NAME, template(name)), (CATEGORY, template("security/mail"))];
    Sumo { client: client("endpoint", None), said, fields }
}

#[test]
fn what_the_lines_are_is_said_by_headers() {
    let sink = sink("{source}/{stream}", &[("_siemForward", "true"), ("customer", "{tenant}")]);
    let headers = sink.headers(&[batch("Acmé, Ltd\n", "siem/receipt", &["{1}"])]);
    assert_eq!(headers[NAME], "source/siem/receipt");
    assert_eq!(headers[CATEGORY], "security/mail");
    assert_eq!(headers[FIELDS].as_bytes(), "_siemForward=true,customer=Acmé_ Ltd_".as_bytes());
    assert_eq!(headers[CONTENT_TYPE], "application/x-ndjson");
}

#[test]
fn events_of_which_something_else_is_said_go_apart() {
    let one = batch("a", "s", &["{1}", "{2}"]);
    let other = batch("a", "t", &["{3}"]);
    let sink_of_streams = sink("{stream}", &[]);
    assert!(sink_of_streams.terms().groups);
    let group = |batch: &Arc<Batch>, event: usize| sink_of_streams.group(&batch.origin, &batch.events[event]);
    assert_eq!(group(&one, 0), group(&one, 1));
    assert_ne!(group(&one, 0), group(&other, 0));
    assert!(!sink("all", &[("_siemVendor", "Vendor")]).terms().groups, "nobody is asked");
}
