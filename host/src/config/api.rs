//! `[api]`: where a running host answers, beside its Unix socket.
//!
//! ```toml
//! [api]
//! address = "127.0.0.1:8686"
//! token = "SECRET[vault.api-token]"
//! ```

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::declaration::{Group, Table, flag, secret, table, text, texts};
use super::network::{self, Identity, Networks};
use super::section::Section;
use super::sinks::Secret;

/// The shortest token, in bytes: 16 random bytes cannot be guessed over a network.
const SHORTEST_TOKEN: usize = 16;

pub static API: Table = Table::new(
    "api",
    "Where a running host answers, beside its Unix socket.",
    &[&Group::of(&[
        flag("enabled", true, "Whether it answers at all, also on its Unix socket."),
        text(
            "address",
            "Where it answers over TCP: an IP address and a port, such as `127.0.0.1:8686`. Nowhere, if absent.",
        ),
        secret("token", "What whoever asks over TCP must show: at least 16 characters. Required with `address`."),
        texts("hosts", "Names that `Host` may have beside `localhost` and the address itself."),
        table("tls", &network::SERVER_TLS),
    ])],
);

/// Where a running host answers.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiOptions {
    /// Whether it answers at all, also on its Unix socket.
    pub enabled: bool,
    pub tcp: Option<TcpOptions>,
    /// Names that `Host` may have beside `localhost` and the address itself, as [`canonical_host`] writes them.
    pub hosts: Vec<String>,
}

impl Default for ApiOptions {
    /// The Unix socket alone.
    fn default() -> Self {
        Self { enabled: true, tcp: None, hosts: Vec::new() }
    }
}

impl ApiOptions {
    /// Whether it answers in the same places and to the same names. Which token must be shown, and which certificate is
    /// shown, may be exchanged while it listens.
    pub fn answers_alike(&self, other: &Self) -> bool {
        let place = |options: &Self| options.tcp.as_ref().map(|tcp| (tcp.address, tcp.identity.is_some()));
        self.enabled == other.enabled && self.hosts == other.hosts && place(self) == place(other)
    }
}

/// Where it answers over TCP.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpOptions {
    pub address: SocketAddr,
    /// What whoever asks must show.
    pub token: Secret,
    /// With which it speaks TLS.
    pub identity: Option<Arc<Identity>>,
}

/// Takes the table `api`. What is wrong with it is said.
pub fn read(top: &mut Section<'_>, networks: &Networks) -> ApiOptions {
    let default = ApiOptions::default();
    let Some(mut section) = top.table("api") else { return default };
    let enabled = section.flag("enabled");
    let hosts = section.texts("hosts").unwrap_or_default();
    let (mut known, mut wrong) = (Vec::new(), None);
    for host in &hosts {
        match canonical_host(host) {
            Some(host) => known.push(host),
            None => wrong = wrong.or(Some(host)),
        }
    }
    if let Some(wrong) = wrong {
        let hint = "Write the name alone, such as \"tributary.example.com\": without scheme, port and `*`";
        section.fault("hosts", format!("{wrong:?} is no name of a host"), Some(hint.into()));
    }
    let address = section.text("address").and_then(|text| {
        let address = text.parse().ok();
        if address.is_none() {
            let hint = "Write an IP address and a port, such as \"127.0.0.1:8686\"";
            section.fault("address", format!("{text:?} is no address to listen on"), Some(hint.into()));
        }
        address
    });
    let has_address = address.is_some();
    let token = token(&mut section, has_address);
    let identity = match section.table("tls") {
        Some(table) => networks.identity(table),
        None => None,
    };
    let tls = identity.is_some();
    let tcp = address.zip(token).map(|(address, token)| TcpOptions { address, token, identity });
    if let Some(TcpOptions { address, .. }) = &tcp
        && !address.ip().is_loopback()
        && !tls
    {
        let message = "the token and all answers cross the network unencrypted";
        networks.warn(
            &section,
            "address",
            message,
            "Set tls.crt_file and tls.key_file, or put a proxy that speaks TLS in front and listen on 127.0.0.1",
        );
    }
    if !enabled && has_address {
        networks.warn(&section, "enabled", "nothing listens, also not on `address`", "Remove it, or set it to true");
    }
    section.close();
    ApiOptions { enabled, tcp, hosts: known }
}

fn token(section: &mut Section<'_>, needed: bool) -> Option<Secret> {
    let token = section.text("token").map(Secret::new);
    let how =
        "Make one with `openssl rand -hex 24`, and keep it where other secrets are: \"SECRET[...]\" or \"${...}\"";
    match &token {
        None if needed => section.fault("token", "is required with `address`", Some(how.into())),
        Some(token) if token.expose().len() < SHORTEST_TOKEN => {
            section.fault("token", format!("must have at least {SHORTEST_TOKEN} characters"), Some(how.into()));
        }
        // What a header can hold, and a form sends as it is.
        Some(token) if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) => {
            let hint = "Use printable ASCII without blanks. Is there a line feed at its end?";
            section.fault("token", "has characters that a header cannot hold", Some(hint.into()));
        }
        _ => {}
    }
    token
}

/// A name or an IP address in the one way that `Host` is compared with: in lower case, IPv6 in brackets and at its
/// shortest. `None` if it is neither. A port does not belong to it.
pub fn canonical_host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse::<Ipv6Addr>() {
        return Some(format!("[{address}]"));
    }
    let is_name = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    is_name.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use crate::config::{Format, parse};

    const TOKEN: &str = "0123456789abcdef";

    fn read(api: &str) -> Result<(super::ApiOptions, Vec<String>), String> {
        let text = format!(
            "data_dir = \"/tmp\"\n[sources.a]\ntype = \"mimecast\"\n[sinks.s]\ntype = \"stdout\"\ninputs = [\"a\"]\n{api}"
        );
        let environment = |name: &str| (name == "TOKEN").then(|| TOKEN.to_owned());
        match parse(&text, Format::Toml, "t.toml", &environment) {
            Ok(loaded) => Ok((loaded.config.api, loaded.warnings.iter().map(ToString::to_string).collect())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_it_there_is_the_socket_alone() {
        let (api, warnings) = read("").unwrap();
        assert!(api.enabled && api.tcp.is_none() && warnings.is_empty());
        assert!(read("[api]\nenabled = true").unwrap().0.tcp.is_none());
        assert!(!read("[api]\nenabled = false").unwrap().0.enabled);
    }

    #[test]
    fn an_address_needs_a_token_that_nobody_guesses() {
        let with = |more: &str| read(&format!("[api]\naddress = \"127.0.0.1:8686\"\n{more}"));
        let api = with("token = \"${TOKEN}\"\nhosts = [\"Logs.Example.COM\", \"[::1]\", \"FD00:0::1\", \"10.0.0.1\"]");
        let (api, warnings) = api.unwrap();
        assert_eq!(warnings, [""; 0]);
        assert!(!format!("{api:?}").contains(TOKEN));
        assert_eq!(api.hosts, ["logs.example.com", "[::1]", "[fd00::1]", "10.0.0.1"]);
        assert_eq!(api.tcp.unwrap().token.expose(), TOKEN);
        for (more, words) in [
            ("", "api.token: is required"),
            ("token = \"short\"", "at least 16"),
            ("token = \"0123456789 abcdef\"", "blanks"),
            ("token = \"${TOKEN}\"\nhosts = [\"http://a\"]", "no name of a host"),
            ("token = \"${TOKEN}\"\nhosts = [\"*\"]", "no name of a host"),
            ("token = \"${TOKEN}\"\nhosts = [\"[fd00::1\"]", "no name of a host"),
            ("token = \"${TOKEN}\"\nhosts = [\"fd00::1:8686:x\"]", "no name of a host"),
            ("token = \"${TOKEN}\"\ntls.crt_file = \"a.pem\"", "key_file"),
            ("token = \"${TOKEN}\"\nadress = \"\"", "address"),
        ] {
            let error = with(more).unwrap_err();
            assert!(error.contains(words), "{more}: {error}");
            assert!(!error.contains("short\"") && !error.contains("0123456789"), "{error}");
        }
        assert!(read("[api]\naddress = \"localhost\"\ntoken = \"${TOKEN}\"").unwrap_err().contains("127.0.0.1:8686"));
    }

    #[test]
    fn an_address_that_others_reach_is_worth_a_word() {
        let (_, warnings) = read("[api]\naddress = \"0.0.0.0:8686\"\ntoken = \"${TOKEN}\"").unwrap();
        assert!(warnings[0].contains("api.address") && warnings[0].contains("proxy"), "{warnings:?}");
        let off = "[api]\nenabled = false\naddress = \"127.0.0.1:1\"\ntoken = \"${TOKEN}\"";
        assert!(read(off).unwrap().1[0].contains("nothing listens"));
    }
}
