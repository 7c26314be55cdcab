//! What kind of network an address is of.
//!
//! A public name may resolve to an address of the inside: by mistake, or because whoever owns
//! the name wants a guest to reach what only this machine reaches. So addresses that are not
//! of the public network are told apart here; [`rules`](super::NetRules) says who gets them.
//! IPv6 addresses that carry an IPv4 address are of the kind of what they carry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressKind {
    /// Of the public network.
    Public,
    /// This machine: 127.0.0.0/8 and ::1, and 0.0.0.0/8 and ::, which a connection takes for it.
    Loopback,
    /// A private network, or one shared by a provider's customers.
    Private,
    /// The link's own (169.254.0.0/16, fe80::/10), where clouds answer with a machine's
    /// credentials; and the addresses elsewhere by which they do.
    Metadata,
    /// Multicast, broadcast, and what is reserved.
    Special,
}

impl AddressKind {
    /// In words, for a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Loopback => "an address of this machine",
            Self::Private => "an address of a private network",
            Self::Metadata => "a link-local or metadata address",
            Self::Special => "a multicast or reserved address",
        }
    }

    /// Whether a grant of everything (`*`) covers such an address where it is named itself.
    #[must_use]
    pub(super) fn is_in_everything(self) -> bool {
        matches!(self, Self::Public | Self::Loopback | Self::Private)
    }
}

/// The kind of `address`.
#[must_use]
pub fn kind_of(address: IpAddr) -> AddressKind {
    match address.to_canonical() {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        // Oracle's, Alibaba's and Azure's, which are not link-local.
        [192, 0, 0, 192] | [100, 100, 100, 200] | [168, 63, 129, 16] => AddressKind::Metadata,
        [169, 254, ..] => AddressKind::Metadata,
        [0 | 127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            AddressKind::Private
        }
        // Protocols, documentation, measurements, multicast, reserved, broadcast.
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            AddressKind::Special
        }
        [192, 88, 99, _] | [224..=255, ..] => AddressKind::Special,
        _ => AddressKind::Public,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> AddressKind {
    let carried =
        |high: u16, low: u16| kind_of_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => AddressKind::Loopback,
        // Compatible, translated (RFC 6052, RFC 8215, RFC 2765) and 6to4.
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => carried(high, low),
        [0x2002, high, low, ..] => carried(high, low),
        [0x64, 0xff9b, 1, ..] => AddressKind::Private,
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => AddressKind::Metadata,
        [0xfe80..=0xfebf, ..] => AddressKind::Metadata,
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressKind::Private,
        // Teredo, ORCHID, documentation, discard, segment routing.
        [0x2001, 0..=0x1ff | 0xdb8, ..]
        | [0x100, 0, 0, 0 | 1, ..]
        | [0x3fff, ..]
        | [0x5f00, ..] => AddressKind::Special,
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Special,
    }
}

/// All addresses that a connection to `address` may end at, itself first: the IPv4 addresses
/// that an IPv6 one carries, and this machine's where it is none at all (0.0.0.0/8, ::). For
/// whoever refuses; IPv4 addresses are never written as IPv6.
#[must_use]
pub(super) fn ends_of(address: IpAddr) -> Vec<IpAddr> {
    let mut ends = vec![address.to_canonical()];
    if let IpAddr::V6(address) = ends[0] {
        ends.extend(carried_by(address).into_iter().map(IpAddr::V4));
    }
    let own: Vec<IpAddr> = ends.iter().filter_map(|end| own_of(*end)).collect();
    ends.extend(own);
    ends
}

/// The address of this machine that a connection to no address goes to.
fn own_of(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) if address.octets()[0] == 0 => Some(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(Ipv6Addr::LOCALHOST.into()),
        _ => None,
    }
}

/// The IPv4 addresses that one of IPv6 carries. Where the prefix is a network's own they may
/// stand in several places.
fn carried_by(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => vec![v4(high, low)],
        [0x2002, high, low, ..] => vec![v4(high, low)],
        // A network's own translation (RFC 8215), with prefixes of 48, 56, 64 and 96 bits: a byte
        // in the middle does not count (RFC 6052, 2.2).
        [0x64, 0xff9b, 1, three, four, five, six, seven] => vec![
            v4(three, four << 8 | five >> 8),
            v4(three << 8 | four & 0xff, five),
            v4(four << 8 | five >> 8, five << 8 | six >> 8),
            v4(six, seven),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_kind() {
        use AddressKind::{Loopback, Metadata, Private, Public, Special};
        for (kind, addresses) in [
            (
                Public,
                &[
                    "1.1.1.1",
                    "93.184.216.34",
                    "172.15.0.1",
                    "172.32.0.1",
                    "100.63.0.1",
                    "2606:4700::1111",
                    "64:ff9b::101:101",
                    "2002:101:101::",
                ][..],
            ),
            (
                Loopback,
                &[
                    "127.0.0.1",
                    "127.255.0.3",
                    "0.0.0.0",
                    "0.1.2.3",
                    "::1",
                    "::",
                    "::ffff:127.0.0.1",
                    "64:ff9b::7f00:1",
                    "2002:7f00:1::1",
                    "::ffff:0:127.0.0.1",
                    "::127.0.0.1",
                ],
            ),
            (
                Private,
                &[
                    "10.0.0.1",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "fc00::1",
                    "fd12::1",
                    "::ffff:10.0.0.1",
                    "64:ff9b::a00:1",
                    "fec0::1",
                    "64:ff9b:1::1",
                ],
            ),
            (
                Metadata,
                &[
                    "169.254.169.254",
                    "169.254.0.1",
                    "fe80::1",
                    "febf::1",
                    "fd00:ec2::254",
                    "::ffff:169.254.169.254",
                    "192.0.0.192",
                    "100.100.100.200",
                    "168.63.129.16",
                ],
            ),
            (
                Special,
                &[
                    "224.0.0.1",
                    "239.1.1.1",
                    "255.255.255.255",
                    "240.0.0.1",
                    "192.0.0.1",
                    "198.18.0.1",
                    "203.0.113.7",
                    "ff02::1",
                    "2001:db8::1",
                    "2001::1",
                    "100::1",
                    "4000::1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(kind_of(address.parse().unwrap()), kind, "{address}");
            }
        }
    }
    #[test]
    fn a_connection_ends_at_what_an_address_carries_and_at_this_machine() {
        for (address, others) in [
            ("1.2.3.4", &[][..]),
            ("::ffff:1.2.3.4", &[]),
            ("::1", &[]),
            ("2606:4700::1111", &[]),
            ("::1.2.3.4", &["1.2.3.4"]),
            ("::ffff:0:1.2.3.4", &["1.2.3.4"]),
            ("64:ff9b::1.2.3.4", &["1.2.3.4"]),
            ("2002:102:304::9", &["1.2.3.4"]),
            ("0.0.0.0", &["127.0.0.1"]),
            ("0.1.2.3", &["127.0.0.1"]),
            ("::ffff:0.0.0.0", &["127.0.0.1"]),
            ("::", &["::1"]),
            ("64:ff9b::", &["0.0.0.0", "127.0.0.1"]),
        ] {
            let ends = ends_of(address.parse().unwrap());
            let own = address.parse::<IpAddr>().unwrap().to_canonical();
            let wanted: Vec<IpAddr> = std::iter::once(own)
                .chain(others.iter().map(|other| other.parse().unwrap()))
                .collect();
            assert_eq!(ends, wanted, "{address}");
        }
        // 192.0.2.33 as RFC 6052 writes it, for each length.
        for address in [
            "64:ff9b:1:c000:2:2100::",
            "64:ff9b:1:c0:0:221::",
            "64:ff9b:1:aa:c0:2:2100::",
            "64:ff9b:1:aaaa:bb:cccc:192.0.2.33",
        ] {
            let ends = ends_of(address.parse().unwrap());
            assert!(ends.contains(&"192.0.2.33".parse().unwrap()), "{address}: {ends:?}");
        }
    }
}
