//! Everything that the host writes, logs, answers and keeps, while everything goes wrong that can, is searched for everything
//! that is secret.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use mimecast_simulator as sim;
use mimecast_simulator::{Endpoint, Fault, Reset, When};
use tributary_tests::process::until;

use crate::site::Site;

const TWO_MINUTES: Duration = Duration::from_secs(120);

/// Killed when it is dropped.
struct Running(Child);

impl Running {
    fn start(site: &Site, arguments: &str, log: &str) -> Self {
        let file = |name: &str| fs::File::create(site.outputs().join(name)).unwrap();
        let mut command = site.command(arguments);
        Self(command.stdout(file(&format!("{log}.out"))).stderr(file(log)).spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = std::process::Command::new("kill").args([&format!("-{name}"), &id]).stdin(Stdio::null()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn two() -> Vec<Fault> {
    use Endpoint::{Audit, SiemBatch, Storage, Token};
    vec![
        Fault::Status { at: Token, status: 503 },
        Fault::ExpiresInMissing,
        Fault::Status { at: Audit, status: 500 },
        Fault::TokenExpiresNow { at: Audit },
        Fault::InvalidClientIdentifier { at: Audit },
        Fault::TooManyRequests { at: Audit, reset: Reset::RetryAfter(1) },
        Fault::Unauthorized { at: SiemBatch },
        Fault::TokenVerificationFailed { at: SiemBatch },
        Fault::HtmlError { at: SiemBatch },
        Fault::DuplicateUrl,
        Fault::BadLine { at: Storage },
        Fault::ConnectionCut { at: Storage, after: 50 },
        Fault::UrlExpired,
        Fault::UrlGone,
        Fault::UrlGoneForever,
        Fault::TruncatedGzip,
        Fault::WrongContentLength,
    ]
}

fn one() -> Vec<Fault> {
    use Endpoint::{Audit, SiemLogs};
    vec![
        Fault::Status { at: Audit, status: 500 },
        Fault::FailWith200 { at: Audit },
        Fault::TooManyRequests { at: Audit, reset: Reset::RetryAfter(1) },
        Fault::HtmlError { at: SiemLogs },
        Fault::BadLine { at: SiemLogs },
        Fault::BrokenMember,
        Fault::ConnectionCut { at: SiemLogs, after: 50 },
        Fault::SiemTokenHeaderMissing,
        Fault::UnknownPrefix,
    ]
}

/// Faults after which a stream stands still until the operator does something.
fn grave(tenant: &sim::Tenant) -> Vec<Fault> {
    match tenant.generation() {
        sim::Generation::V2 => vec![Fault::Forbidden { at: Endpoint::Audit, kind: None }],
        sim::Generation::V1 => {
            vec![Fault::BindingExpired { at: Endpoint::SiemLogs }, Fault::DeveloperKey { at: Endpoint::Audit }]
        }
    }
}

fn scan(tenant: sim::Tenant, faults: &[Fault], format: &str) {
    let mut site = Site::new(tenant);
    let name = site.tenant.name.clone();
    let inject = |site: &Site, faults: &[Fault]| {
        for fault in faults {
            site.server.simulator().inject(&name, fault.clone(), When::First(1)).unwrap();
        }
    };
    let unfired = |site: &Site| -> Vec<String> {
        let fired = site.server.simulator().fired(&name);
        fired.iter().filter(|(_, count)| *count == 0).map(|(fault, _)| fault.name()).collect()
    };
    // Before anything is fetched: what was given out once does not break any more.
    inject(&site, faults);
    for verb in ["validate", "check"] {
        let said = site.call(verb);
        assert!(said.stdout.contains(&name), "{verb}: {said:?}");
    }
    let mut process = Running::start(&site, &format!("--log-format {format} run"), "log");
    let letters = site.state().join("dead-letters").join(format!("{name}.ndjson"));
    let done = || {
        letters.exists()
            && unfired(&site).is_empty()
            && tributary_tests::delivered::Delivered::read(&site.outputs().join("events"), &name).total() > 50
    };
    assert!(until(TWO_MINUTES, done), "{:?} never showed; {}", unfired(&site), tail(&site.outputs().join("log")));
    inject(&site, &grave(&site.tenant));
    site.call(&format!("restart {name}"));
    assert!(until(TWO_MINUTES, || unfired(&site).is_empty()), "{:?} never showed", unfired(&site));

    // The wrong credentials were refused, each source's for itself.
    let states = site.call("status --json").stdout;
    assert!(states.contains("\"refused\"") && states.contains("\"refused-too\""), "{states}");
    let replay = format!("replay --source {name} --stream audit --from 1h --json");
    for line in
        ["status", "audit --json", "audit --gaps", "state show", "state show --health --json", "state export", &replay]
    {
        let said = site.call(line);
        assert!(said.code == Some(0) && !said.stdout.is_empty(), "{line}: {said:?}");
    }
    site.learn();
    let [one, check] = [format!("GET /v1/sources/{name}"), "POST /v1/sources/refused/check".into()];
    let healthy = format!("GET /v1/health/events?source={name}");
    let page = format!("GET /sources/{name}?events=all");
    for request in [
        "GET /",
        "GET /?by=streams",
        "GET /sources/refused?did=check",
        &page,
        "GET /v1/sources",
        &one,
        &check,
        &healthy,
        "GET /v1/health/events",
        "GET /v1/sinks",
        "GET /ready",
        "GET /v1/state",
        "GET /v1/state/health",
        "GET /v1/state/export",
        "POST /v1/replays",
        "GET /none",
    ] {
        for answer in site.ask(request) {
            assert!(answer.starts_with(b"HTTP/1.1 ") && answer.len() > 100, "{request}");
            site.needles.none_in(request, &answer);
        }
    }

    // Another configuration, which is wrong, then one that cannot be read; and again the right one.
    let good = fs::read_to_string(site.file()).unwrap();
    for text in [
        good.replace("client_secret = \"S", "client_secret = \"$S").replace("app_key = \"S", "app_key = \"${S"),
        good.replacen('"', "", 1),
        good.clone(),
    ] {
        fs::write(site.file(), text).unwrap();
        process.signal("HUP");
        std::thread::sleep(Duration::from_millis(1_500));
    }
    fs::write(site.file(), good.replacen("\"\n", "\n", 4)).unwrap();
    assert_eq!(site.call("validate").code, Some(78));
    fs::write(site.file(), &good).unwrap();
    assert!(process.0.try_wait().unwrap().is_none(), "{}", tail(&site.outputs().join("log")));
    process.signal("TERM");
    assert!(until(TWO_MINUTES, || process.0.try_wait().unwrap().is_some()));

    // The same again without a host.
    for line in ["audit", "state show --health", "state check", "dead-letters list", "dead-letters list --json"] {
        let said = site.call(line);
        assert!(said.code == Some(0) && !said.stdout.is_empty(), "{line}: {said:?}");
    }
    let export = site.outputs().join("export");
    assert_eq!(site.call(&format!("state export -o {}", export.display())).code, Some(0));
    let list = site.call("dead-letters list --json").stdout;
    let id = list.split("\"id\":").nth(1).and_then(|rest| rest.split('"').nth(1)).unwrap_or_else(|| panic!("{list}"));
    for line in [format!("dead-letters show {id}"), format!("dead-letters show {id} --raw"), "describe".to_owned()] {
        assert_eq!(site.call(&line).code, Some(0), "{line}");
    }

    // At the end everything is known that was secret, and everything is written.
    let (handed, forms) = (site.learn(), site.needles.len());
    let bytes = site.needles.none_below(&site.outputs());
    assert!(handed > 20 && bytes > 1_000_000, "{handed} secrets went over the wire, and {bytes} bytes were written");
    println!("{name}: {bytes} bytes searched for {forms} forms of secrets, of which {handed} went over the wire");
    let log = fs::read_to_string(site.outputs().join("log")).unwrap();
    for words in ["refused", "DEBUG", "SIGHUP"] {
        assert!(log.contains(words), "{words} is not in the log");
    }
    // The search finds what is there.
    let found = site.needles.found(&site.planted());
    assert!(found.len() > 9, "{found:?}");
}

fn tail(path: &Path) -> String {
    let log = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&log[log.len().saturating_sub(4_000)..]).into_owned()
}

#[test]
fn nothing_of_api_2_is_told() {
    scan(sim::Tenant::v2("acme", 6_000), &two(), "text");
}

#[test]
fn nothing_of_api_1_is_told() {
    scan(sim::Tenant::v1("initech", 6_000), &one(), "json");
}
