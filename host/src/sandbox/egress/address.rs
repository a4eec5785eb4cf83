//! Hosts as they stand in an address, and which IP addresses are of the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The host of a URL, in the one form in which it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// In lower case, without the root's dot.
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// Reads a host as browsers do (WHATWG URL, "host parsing"), so that no spelling of an address passes for a name:
    /// `0177.0.0.1`, `0x7f.1` and `2130706433` are all 127.0.0.1. `None` for what is neither a name nor an address.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(|address: Ipv6Addr| Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return None;
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) || number(last).is_some() {
            // What ends in a number is an address, or nothing.
            return ipv4(&name).map(|address| Self::Address(address.into()));
        }
        Some(Self::Name(name))
    }

    /// Names and addresses of this machine itself.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::Address(address) => address.to_canonical().is_loopback(),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// One to four numbers, of which the last fills all bytes that are left.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = numbers.split_last()?;
    if leading.len() > 3 || leading.iter().any(|number| *number > 255) || *last >= 1 << (8 * (4 - leading.len())) {
        return None;
    }
    let high = leading.iter().enumerate().map(|(i, number)| number << (8 * (3 - i))).sum::<u64>();
    u32::try_from(high + last).ok().map(Ipv4Addr::from)
}

/// Decimal, octal after `0`, or hexadecimal after `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    u64::from_str_radix(digits, radix).ok().filter(|_| plain)
}

/// What an IP address is of, if it is not of the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special(pub &'static str);

/// Why `address` is not a public one, by IANA's registries of special-purpose addresses; `None` if it is. Of an address that
/// carries an IPv4 address, it is that one which counts: a router on the way would deliver to it.
pub fn special(address: IpAddr) -> Option<Special> {
    carried(address).into_iter().find_map(|address| match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    })
}

/// Itself, or the addresses to which what is sent there goes in the end.
fn carried(address: IpAddr) -> Vec<IpAddr> {
    let v6 = match address.to_canonical() {
        IpAddr::V4(address) => return vec![address.into()],
        IpAddr::V6(address) => address,
    };
    let octets = v6.octets();
    let v4_at = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
    match v6.segments() {
        // NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![v4_at(12).into()],
        // 6to4 (RFC 3056).
        [0x2002, ..] => vec![v4_at(2).into()],
        // Teredo (RFC 4380): its server, and the client, whose bits are inverted.
        [0x2001, 0, ..] => vec![v4_at(4).into(), Ipv4Addr::from(!u32::from(v4_at(12))).into()],
        _ => vec![v6.into()],
    }
}

/// IANA's IPv4 registry, multicast, and one address more: Azure's "wire server", which serves credentials to the machine, is
/// routed nowhere else.
const SPECIAL_V4: [(&str, &str); 17] = [
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "a private network"),
    ("100.64.0.0/10", "a provider's shared network (CGNAT)"),
    ("127.0.0.0/8", "loopback"),
    // Before the network that it is in.
    ("169.254.169.254/32", "a cloud's metadata service"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "a private network"),
    ("168.63.129.16/32", "a cloud's metadata service"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a relay of 6to4"),
    ("192.168.0.0/16", "a private network"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
];

fn special_v4(address: Ipv4Addr) -> Option<Special> {
    let within = |network: &str| network.parse().is_ok_and(|network: Ipv4Net| network.contains(&address));
    SPECIAL_V4.iter().find(|(network, _)| within(network)).map(|(_, what)| Special(what))
}

/// IANA's IPv6 registry. Whatever is left outside 2000::/3 is not allocated.
const SPECIAL_V6: [(&str, &str); 12] = [
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "an IPv4-compatible address"),
    // Its operator may lay IPv4 addresses into it in several ways.
    ("64:ff9b:1::/48", "a network's own NAT64"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "for documentation"),
    ("3fff::/20", "for documentation"),
    ("fd00:ec2::254/128", "a cloud's metadata service"),
    ("fd20:ce::254/128", "a cloud's metadata service"),
    ("fc00::/7", "a private network"),
    ("fe80::/9", "link-local"),
    ("ff00::/8", "multicast"),
];

fn special_v6(address: Ipv6Addr) -> Option<Special> {
    let within = |network: &str| network.parse().is_ok_and(|network: Ipv6Net| network.contains(&address));
    if let Some((_, what)) = SPECIAL_V6.iter().find(|(network, _)| within(network)) {
        return Some(Special(what));
    }
    (!within("2000::/3")).then_some(Special("not allocated"))
}

/// Whether one of `networks` holds the address, or all addresses that it carries.
pub fn is_within(networks: &[IpNet], address: IpAddr) -> bool {
    let holds = |address: IpAddr| networks.iter().any(|network| network.contains(&address));
    holds(address) || holds(address.to_canonical()) || carried(address).into_iter().all(holds)
}

/// Whether a network holds an address under which a cloud gives credentials to the machine.
pub fn holds_metadata(network: &IpNet) -> bool {
    ["169.254.169.254", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"]
        .iter()
        .any(|address| address.parse().is_ok_and(|address: IpAddr| network.contains(&address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_one() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0X7F000001", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("010.0.0.1", "8.0.0.1"),
            ("10.0x0.257", "10.0.1.1"),
            ("0x", "0.0.0.0"),
            ("4294967295", "255.255.255.255"),
            ("[::1]", "::1"),
            ("[::FFFF:127.0.0.1]", "::ffff:127.0.0.1"),
        ] {
            assert_eq!(Host::parse(text), Some(Host::Address(address.parse().unwrap())), "{text}");
        }
        for (text, name) in [
            ("API.Example.com.", "api.example.com"),
            ("localhost", "localhost"),
            ("0x7f.example", "0x7f.example"),
            ("1.2.3.4.example", "1.2.3.4.example"),
            ("0xg", "0xg"),
            ("my_bucket.s3", "my_bucket.s3"),
        ] {
            assert_eq!(Host::parse(text), Some(Host::Name(name.into())), "{text}");
        }
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "127.0.0.1..",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.256",
            "4294967296",
            "08.0.0.1",
            "a.1",
            "[::1",
            "::1",
            "[fe80::1%eth0]",
            "a%2eb",
            "+1",
            "1.+1",
            "bücher.example",
            "[127.0.0.1]",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.1.1",
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::8.8.8.8",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "64:ff9b:1:808:8:800::",
            "100::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "2002:c0a8:101::1",
            // Teredo: a private server; a public one with a private client (10.0.0.1, inverted).
            "2001:0:a00:1::f7f7:f7f7",
            "2001:0:808:808::f5ff:fffe",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(special(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.0.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:808:808::f7f7:f7f7",
            "2001:200::1",
            "2600:1f18::1",
            "2a00:1450:4001::1",
        ] {
            assert_eq!(special(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn every_network_of_the_registries_can_be_read() {
        for (network, what) in SPECIAL_V4.iter().chain(&SPECIAL_V6) {
            let network: IpNet = network.parse().unwrap();
            assert_eq!(network.trunc(), network, "{what}");
            assert!(special(network.addr()).is_some(), "{network}");
        }
    }

    #[test]
    fn an_allowance_covers_what_carries_the_address_too() {
        let networks: Vec<IpNet> = ["10.0.0.0/8", "fd12::/16"].map(|network| network.parse().unwrap()).into();
        for address in ["10.1.1.1", "::ffff:10.1.1.1", "64:ff9b::10.1.1.1", "2002:a01:101::", "fd12::1"] {
            assert!(is_within(&networks, address.parse().unwrap()), "{address}");
        }
        // Of Teredo's two addresses only one is allowed.
        for address in ["11.0.0.1", "127.0.0.1", "::ffff:192.168.0.1", "2001:0:a01:101::f7f7:f7f7", "fd13::1", "::1"] {
            assert!(!is_within(&networks, address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn metadata_is_noticed_in_a_wide_network() {
        for (network, holds) in [
            ("0.0.0.0/0", true),
            ("169.254.0.0/16", true),
            ("fc00::/7", true),
            ("10.0.0.0/8", false),
            ("::1/128", false),
        ] {
            assert_eq!(holds_metadata(&network.parse().unwrap()), holds, "{network}");
        }
    }
}
