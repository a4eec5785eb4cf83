//! `source`, `destination`, `tls` and `url`.

use super::{EventWriter, url::Parts};
use crate::{
    normalize::shared::written_ip,
    record::{Field, Value, scan::Shape, value::address},
};

impl<'a> EventWriter<'_, 'a> {
    pub fn source(&mut self) {
        let mark = self.json.open("source");
        if let Some(domain) = self.first(self.roles.source_domain) {
            self.json.scalar("domain", domain);
        }
        self.ip(self.roles.sources);
        self.json.close(mark);
    }

    /// `Hostname` is the server that a message was delivered to.
    pub fn destination(&mut self) {
        let mark = self.json.open("destination");
        if let Some(host) = self.scalar(Field::Hostname) {
            self.json.scalar("domain", host);
            self.related.hosts.push(host);
        }
        self.ip(&[Field::DestinationIp]);
        self.json.close(mark);
    }

    /// The first of the fields that holds an address, with its port if it has one.
    fn ip(&mut self, fields: &[Field]) {
        for field in fields {
            let field = self.cast.role(*field);
            let Some((ip, port)) = self.take(field, |value| address(value.text()?)) else { continue };
            let written = self.record.peek(field);
            self.write_ip(written, ip, port);
            return;
        }
    }

    /// `ip` and `port`. The address as it was written, where it is nothing else.
    pub fn write_ip(&mut self, written: Value<'_>, ip: std::net::IpAddr, port: Option<u16>) {
        let written = written_ip(written, ip, port);
        let ip = Value { shape: Shape::Text, bytes: &written };
        self.json.scalar("ip", ip);
        self.related.ip.push(ip);
        if let Some(port) = port {
            self.json.integer("port", i64::from(port));
        }
    }

    pub fn tls(&mut self) {
        let mark = self.json.open("tls");
        self.text("cipher", Field::TlsCipher);
        if let Some(established) = self.take(Field::TlsUsed, |value| value.boolean()) {
            self.json.boolean("established", established);
        }
        if let Some(version) = self.scalar(Field::TlsVersion) {
            self.json.scalar("version", version);
            let is =
                |name: &str| version.bytes.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()));
            if is("tls") || is("ssl") {
                self.json.literal("version_protocol", if is("tls") { "tls" } else { "ssl" });
            }
        }
        self.json.close(mark);
    }

    /// `url`: as it came, and in its parts.
    pub fn link(&mut self) {
        let Some(url) = self.scalar(Field::Url) else { return };
        let mark = self.json.open("url");
        self.json.scalar("full", url);
        self.json.scalar("original", url);
        let parts = Parts::of(url);
        for (key, bytes) in [
            ("domain", parts.domain),
            ("extension", parts.extension),
            ("fragment", parts.fragment),
            ("path", parts.path),
            ("query", parts.query),
            ("scheme", parts.scheme),
        ] {
            if !bytes.is_empty() {
                self.json.scalar(key, Value { bytes, ..url });
            }
        }
        if let Some(port) = parts.port {
            self.json.integer("port", port);
        }
        self.json.close(mark);
    }
}
