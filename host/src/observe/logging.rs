//! Log lines, as text or JSON, on standard error: standard output may belong to a sink.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::terminal::Beside;
use crate::config::problem::suggestion;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people: time, level, origin, message, key=value.
    #[default]
    Text,
    /// One JSON object a line, fields beside `message`.
    Json,
}

/// The crates whose lines are the host's own; the others' come from warnings on.
const OWN: [&str; 2] = ["tributary", "tributary_host"];

/// Starts logging for the whole process. `level` is `off`, `error`, `warn`, `info`, `debug` or `trace` for the host's own
/// lines, or directives such as `info,hyper=debug`. The error says what is wrong with it.
pub fn init_logging(level: &str, format: LogFormat) -> Result<(), String> {
    let filter = filter(level)?;
    // Colours for people only; https://no-color.org
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing::subscriber::set_global_default(subscriber(filter, format, colours, || Beside))
        .map_err(|_| "logging was started before".to_owned())
}

/// The levels, and what other programs call them.
const LEVELS: [(&str, &str); 7] = [
    ("off", "off"),
    ("error", "error"),
    ("warn", "warn"),
    ("warning", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
];

fn filter(level: &str) -> Result<Targets, String> {
    let level = level.trim().to_ascii_lowercase();
    if level.is_empty() {
        return filter("info");
    }
    // A word alone would be taken as the name of a module, and silence all others.
    let directives = level.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let directives = directives.map(|directive| match directive.split_once('=') {
        Some((module, level)) => Ok(format!("{module}={}", known(level)?)),
        None => Ok(known(directive)?.to_owned()),
    });
    let directives = match &directives.collect::<Result<Vec<_>, String>>()?[..] {
        [plain] if !plain.contains('=') && !["off", "error"].contains(&plain.as_str()) => {
            OWN.iter().fold("warn".to_owned(), |all, own| format!("{all},{own}={plain}"))
        }
        directives => directives.join(","),
    };
    directives.parse().map_err(|error| format!("the log level is not understood: {error}. {CHOICE}"))
}

const CHOICE: &str = "Use off, error, warn, info, debug or trace, or directives such as info,hyper=debug";

/// The level that `word` names.
fn known(word: &str) -> Result<&'static str, String> {
    if let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == word) {
        return Ok(level);
    }
    let known: Vec<&str> = LEVELS.iter().filter(|(name, level)| name == level).map(|(name, _)| *name).collect();
    let near = match word {
        "verbose" => Some("Did you mean `debug`?".to_owned()),
        _ => suggestion(word, &known),
    };
    let near = near.map_or_else(String::new, |near| format!(" {near}"));
    Err(format!("the log level is not understood: {word:?} is none.{near} {CHOICE}"))
}

fn subscriber<W>(
    filter: Targets,
    format: LogFormat,
    colours: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync + 'static>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => Box::new(Registry::default().with(lines.with_ansi(colours).with_filter(filter))),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
            Box::new(Registry::default().with(lines.with_filter(filter)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn logged(level: &str, format: LogFormat) -> String {
        let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
        let writer = bytes.clone();
        let subscriber = subscriber(filter(level).unwrap(), format, false, move || Shared(writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(source = "acme", events = 5, "collected");
            tracing::debug!("detail");
            tracing::info!(target: "hyper::client", "chatter");
            tracing::warn!(target: "hyper::client", "trouble");
        });
        let bytes = bytes.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text() {
        let text = logged("info", LogFormat::Text);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("INFO") && text.contains("collected source=\"acme\" events=5"), "{text}");
        assert!(text.contains("trouble"), "{text}");
        assert_eq!(logged("debug", LogFormat::Text).lines().count(), 3);
        assert_eq!(logged("error", LogFormat::Text), "");
        assert_eq!(logged("", LogFormat::Text).lines().count(), 2);
        assert_eq!(logged("off,hyper=info", LogFormat::Text).lines().count(), 2);
    }

    #[test]
    fn json() {
        let text = logged("INFO", LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"collected".into()));
        assert_eq!((&line["source"], &line["events"]), (&"acme".into(), &5.into()));
    }

    #[test]
    fn a_wrong_level_is_explained() {
        let error = filter("tributary=loud").unwrap_err();
        assert!(error.contains("Use off, error, warn, info"), "{error}");
        for (word, near) in [
            ("warns", "`warn`"),
            ("eror", "`error`"),
            ("verbose", "`debug`"),
            ("info,hyper", "\"hyper\" is none. Use"),
            ("nonsense", "\"nonsense\" is none. Use"),
            ("off,hyper=inof", "`info`"),
        ] {
            let error = filter(word).unwrap_err();
            assert!(error.contains(near), "{word}: {error}");
        }
    }

    #[test]
    fn warning_is_warn() {
        for level in ["warn", "Warning", "info,tributary_host=warning"] {
            let text = logged(level, LogFormat::Text);
            assert!(text.contains("trouble") && !text.contains("collected"), "{level}: {text}");
        }
    }
}
