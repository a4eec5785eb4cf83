//! placeholder
#[test]
fn show() {
    let Some(shared) = crate::judge::shared() else { return };
    for (_, record) in crate::records::api2(&shared).into_iter().take(20) {
        let (_, body) =
            crate::event(mimecast_source::kind::Generation::V2, &crate::siem(None), &serde_json::Value::Object(record));
        println!("{body:#}");
    }
    for record in crate::records::audit().into_iter().step_by(3) {
        let (_, body) =
            crate::event(mimecast_source::kind::Generation::V2, &crate::audit(), &serde_json::Value::Object(record));
        println!("{body}");
    }
}
