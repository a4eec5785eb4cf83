//! One event as one framed message.

use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::config::{Framing, SyslogOptions};
use crate::deliver::{Head, Origin};
use crate::template::Template;

/// Of UTF-8; RFC 5424 wants it before a message's text where that is UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// What RFC 5424 allows for each part of the header, in characters.
const HOSTNAME: usize = 255;
const APP_NAME: usize = 48;
const PROC_ID: usize = 128;
const MSG_ID: usize = 32;

/// Writes messages as the options want them.
pub struct Writer {
    options: SyslogOptions,
}

impl Writer {
    pub fn new(options: SyslogOptions) -> Self {
        Self { options }
    }

    /// Adds the message to `bytes`, or nothing and says why. `body` is one line, without its line feed.
    pub fn write(&self, origin: &Origin, event: &Head, body: &[u8], bytes: &mut Vec<u8>) -> Result<(), String> {
        let options = &self.options;
        let mut message = self.header(origin, event).into_bytes();
        if options.bom && !body.is_ascii() {
            message.extend_from_slice(BOM);
        }
        message.extend_from_slice(body);
        if message.len() > options.max_message_bytes {
            let (len, most) = (message.len(), options.max_message_bytes);
            return Err(format!("as a message it is {len} bytes long; the sink's `max_message_bytes` is {most}"));
        }
        match options.framing {
            Framing::OctetCounting => {
                // Writing to memory does not fail.
                let _ = write!(bytes, "{} ", message.len());
                bytes.append(&mut message);
            }
            Framing::Newline => {
                // Between the tokens of JSON a line feed means no more than a space, and inside of them there is none.
                message.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b' ');
                bytes.append(&mut message);
                bytes.push(b'\n');
            }
        }
        Ok(())
    }

    /// Up to the space before the text.
    fn header(&self, origin: &Origin, event: &Head) -> String {
        let options = &self.options;
        let part = |template: &Template, most| field(&template.render(origin, event, str::to_owned), most);
        format!(
            "<{}>1 {} {} {} {} {} [{} tenant=\"{}\" source=\"{}\" stream=\"{}\" id=\"{:032x}\"] ",
            options.facility * 8 + severity(event.severity),
            timestamp(event.time),
            part(&options.hostname, HOSTNAME),
            part(&options.app_name, APP_NAME),
            part(&options.proc_id, PROC_ID),
            part(&options.msg_id, MSG_ID),
            options.structured_data_id,
            value(&origin.tenant),
            value(&origin.source),
            value(&origin.stream),
            event.id,
        )
    }
}

/// Of an event's severity. Never 0, which many receivers write on every terminal of their machine.
fn severity(of_event: u8) -> u8 {
    match of_event {
        6 => 1,
        5 => 2,
        4 => 3,
        3 => 4,
        2 => 5,
        _ => 6,
    }
}

/// RFC 3339 with the six digits that RFC 5424 allows; `-` if it is not known.
fn timestamp(nanos: u64) -> String {
    let time = i64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(DateTime::<Utc>::from_timestamp_nanos);
    time.map_or_else(|| "-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

/// A part of the header: printable ASCII without spaces, not too long, and not empty.
fn field(text: &str, most: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if clean.is_empty() { "-".to_owned() } else { clean }
}

/// The value of a parameter of structured data.
fn value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' | ']' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push('_'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::syslog::tests::options;

    fn message(change: impl FnOnce(&mut SyslogOptions), body: &str) -> Result<String, String> {
        let mut options = options("tcp://localhost");
        change(&mut options);
        let origin =
            Origin { source: "acme-eu".into(), tenant: "A\"c\\m]e\nGmbH é".into(), stream: "siem/receipt".into() };
        // 2026-11-22T07:08:09.123456789Z
        let time = 1_795_331_289_123_456_789;
        let head = Head { id: 0xabc, time, kind: 0, class: 4009, severity: 4, alert_key: None, begin: 0, end: 0 };
        let mut bytes = Vec::new();
        let written = Writer::new(options).write(&origin, &head, body.as_bytes(), &mut bytes);
        assert_eq!(written.is_err(), bytes.is_empty());
        written.map(|()| String::from_utf8(bytes).unwrap())
    }

    const HEADER: &str = "1 2026-11-22T07:08:09.123456Z acme-eu tributary - siem/receipt [tributary@32473 tenant=\"A\\\"c\\\\m\\]e_GmbH é\" source=\"acme-eu\" stream=\"siem/receipt\" id=\"00000000000000000000000000000abc\"] ";

    #[test]
    fn framed_by_its_length_in_bytes() {
        let text = format!("<11>{HEADER}{{\"a\":1}}");
        assert_eq!(message(|_| {}, "{\"a\":1}").unwrap(), format!("{} {text}", text.len()));
        let text = format!("<11>{HEADER}\u{feff}{{\"a\":\"é\"}}");
        assert_eq!(message(|_| {}, "{\"a\":\"é\"}").unwrap(), format!("{} {text}", text.len()));
    }

    #[test]
    fn framed_by_line_feeds() {
        let lines = |options: &mut SyslogOptions| options.framing = Framing::Newline;
        assert_eq!(message(lines, "{\"a\":\n1}").unwrap(), format!("<11>{HEADER}{{\"a\": 1}}\n"));
    }

    #[test]
    fn the_header_by_options() {
        let change = |options: &mut SyslogOptions| {
            options.facility = 20;
            options.hostname = Template::parse("{tenant}").unwrap();
            options.app_name = Template::parse(&"x".repeat(60)).unwrap();
            options.proc_id = Template::parse("{class}").unwrap();
            options.msg_id = Template::default();
            options.structured_data_id = "mine@1".into();
            options.bom = false;
        };
        let text = message(change, "é").unwrap();
        let app = "x".repeat(48);
        let header = format!("<163>1 2026-11-22T07:08:09.123456Z A\"c\\m]e_GmbH__ {app} 4009 - [mine@1 tenant=");
        assert!(text.contains(&header), "{text}");
        assert!(text.ends_with("] é"), "{text}");
    }

    #[test]
    fn too_long_is_refused() {
        let len = format!("<11>{HEADER}{{}}").len();
        let most = |most| move |options: &mut SyslogOptions| options.max_message_bytes = most;
        message(most(len), "{}").unwrap();
        let reason = message(most(len - 1), "{}").unwrap_err();
        assert!(reason.contains("max_message_bytes"), "{reason}");
    }

    #[test]
    fn unknown_times_and_severities() {
        assert_eq!((timestamp(0).as_str(), timestamp(u64::MAX).as_str()), ("-", "-"));
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 99].map(severity), [6, 6, 5, 4, 3, 2, 1, 6]);
    }
}
