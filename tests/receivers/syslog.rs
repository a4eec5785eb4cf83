use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::events::{deliver, id_in, ids, sink, some};
use crate::program::{Program, eventually, find, port};
use tributary_tests::certificates::certificates;

/// rsyslog with one TCP listener, writing the structured data and the text of each message. Its own messages stay out.
fn rsyslog(program: &Path, folder: &Path, port: u16, tls: bool) -> Program {
    let (global, driver) = match tls {
        true => (
            format!(
                "global(DefaultNetstreamDriver=\"gtls\" DefaultNetstreamDriverCAFile=\"{0}/ca.pem\" DefaultNetstreamDriverCertFile=\"{0}/server.pem\" DefaultNetstreamDriverKeyFile=\"{0}/server.key\")",
                folder.display()
            ),
            " StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.Authmode=\"anon\"",
        ),
        false => (String::new(), ""),
    };
    let text = format!(
        "global(workDirectory=\"{0}\" maxMessageSize=\"64k\")\n{global}\nmodule(load=\"imtcp\"{driver})\ntemplate(name=\"all\" type=\"string\" string=\"%pri% %app-name% %msgid% %structured-data%\\t%msg%\\n\")\nruleset(name=\"taken\") {{ action(type=\"omfile\" file=\"{0}/taken\" template=\"all\") }}\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\" ruleset=\"taken\")\n",
        folder.display()
    );
    let file = folder.join("rsyslog.conf");
    fs::write(&file, text).unwrap();
    let pid = folder.join("pid");
    Program::start(program, folder, &["-n", "-f", file.to_str().unwrap(), "-i", pid.to_str().unwrap()], &[port])
}

async fn taken(folder: &Path, count: usize) -> Vec<String> {
    eventually("all messages in rsyslog's file", async || {
        let text = fs::read_to_string(folder.join("taken")).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
    .await
}

#[tokio::test]
async fn rsyslog_takes_both_framings_and_tls() {
    let Some(program) = find("rsyslogd") else { return };
    for (framing, tls) in [("octet_counting", false), ("newline", false), ("octet_counting", true)] {
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path());
        let port = port();
        let server = rsyslog(&program, folder.path(), port, tls);
        let lines = match tls {
            true => format!(
                "endpoint = \"tls://localhost:{port}\"\ntls.ca_file = \"{}\"",
                folder.path().join("ca.pem").display()
            ),
            false => format!("endpoint = \"tcp://127.0.0.1:{port}\""),
        };
        let sink_of =
            |lines: &str| sink(&format!("type = \"syslog\"\nframing = \"{framing}\"\nfacility = \"local0\"\n{lines}"));
        let sink = sink_of(&lines);
        sink.check().await.unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
        let batches = some();
        assert_eq!(deliver(&*sink, &batches).await.unwrap(), (0, 0));
        sink.close().await.unwrap();
        let taken = taken(folder.path(), ids(&batches).len()).await;
        assert_eq!(taken.len(), ids(&batches).len(), "{framing} {tls}");
        let mut found = BTreeSet::new();
        for line in &taken {
            let (head, body) = line.split_once('\t').unwrap();
            // rsyslog may leave the mark in, and a space before the text.
            let body = body.trim_start().trim_start_matches('\u{feff}');
            let id = id_in(body.as_bytes());
            assert!(head.starts_with("131 tributary "), "local0 and error: {line}");
            assert!(head.contains("[tributary@32473 tenant=\"") && head.contains(&format!("id=\"{id}\"")), "{line}");
            found.insert(id);
        }
        assert_eq!(found, ids(&batches), "{framing} {tls}");
        if tls {
            // Without the authority nobody is believed.
            let error =
                sink_of(&format!("endpoint = \"tls://localhost:{port}\"")).check().await.unwrap_err().to_string();
            assert!(error.contains("`tls.ca_file`"), "{error}");
        }
    }
}
