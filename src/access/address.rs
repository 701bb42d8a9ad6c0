//! IP addresses and networks: where a request came from, and from where a partner may call.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// An address, or a network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    /// How many of the first bits of `network` an address must share.
    bits: u8,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address such as 203.0.113.7 and no network such as 203.0.113.0/24")]
pub struct AddressError(String);

impl AddressRange {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let apart = network.to_bits() ^ address.to_bits();
                apart.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let apart = network.to_bits() ^ address.to_bits();
                apart.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for AddressRange {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<AddressRange, AddressError> {
        let error = || AddressError(text.to_owned());
        let (network, bits) = text.split_once('/').map_or((text, None), |(network, bits)| (network, Some(bits)));
        let network: IpAddr = network.parse().map_err(|_| error())?;
        let bits_max: u8 = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => bits_max,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max).ok_or_else(error)?,
        };
        // An IPv4 range that is written as IPv4-mapped IPv6 is stored as IPv4, because addresses are compared in that form.
        match (network, network.to_canonical(), bits.checked_sub(96)) {
            (IpAddr::V6(_), own @ IpAddr::V4(_), Some(bits)) => Ok(AddressRange { network: own, bits }),
            _ => Ok(AddressRange { network, bits }),
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

/// Ranges with commas between them, as configuration states them.
pub struct AddressList(pub Vec<AddressRange>);

impl FromStr for AddressList {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<AddressList, AddressError> {
        text.split(',').map(|range| range.trim().parse()).collect::<Result<_, _>>().map(AddressList)
    }
}

/// This machine and private networks (RFC 1918, RFC 4193).
pub const NEAR: &str = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7";

impl AddressList {
    /// # Panics
    /// Never: a test reads the list.
    pub fn near() -> AddressList {
        NEAR.parse().expect("the list is one of networks")
    }
}

/// The caller's address: the connection's, unless that is a proxy of ours, which appends the address of its own client to
/// `X-Forwarded-For`. `forwarded` are all lines of that header, which together are one list.
pub fn caller(connected: Option<IpAddr>, forwarded: &[&str], proxies: &[AddressRange]) -> Option<IpAddr> {
    let connected = connected?.to_canonical();
    if !proxies.iter().any(|proxy| proxy.contains(connected)) {
        return Some(connected);
    }
    // Read from the right, because each proxy of ours has appended the address that it saw, to the last line or as a new line. The first
    // address that is not a proxy of ours is the caller's.
    if forwarded.is_empty() {
        return None;
    }
    let named = forwarded.iter().rev().flat_map(|line| line.rsplit(',')).map(|text| address_of(text.trim()));
    for address in named {
        let address = address?.to_canonical();
        if !proxies.iter().any(|proxy| proxy.contains(address)) {
            return Some(address);
        }
    }
    Some(connected)
}

/// An address as proxies write it: some add the port that it called from, and put IPv6 in brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The network by which requests are counted: an IPv4 address itself, but the /64 of an IPv6 address, because each subscriber has at least
/// a whole /64.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// The address that a request without a connection, such as in a test, is taken to come from.
pub const NOWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_its_addresses_in_either_form() {
        assert!(range("203.0.113.0/24").contains("203.0.113.200".parse().unwrap()));
        assert!(range("203.0.113.0/24").contains("::ffff:203.0.113.200".parse().unwrap()));
        assert!(!range("203.0.113.0/24").contains("203.0.114.1".parse().unwrap()));
        assert!(range("0.0.0.0/0").contains("8.8.8.8".parse().unwrap()));
        assert!(range("2001:db8::/32").contains("2001:db8:1::1".parse().unwrap()));
        assert!(range("203.0.113.7").contains("203.0.113.7".parse().unwrap()));
        assert!("203.0.113.0/33".parse::<AddressRange>().is_err());
        let mapped = range("::ffff:203.0.113.0/120");
        assert_eq!((mapped, mapped.to_string()), (range("203.0.113.0/24"), "203.0.113.0/24".to_owned()));
        assert!(mapped.contains("::ffff:203.0.113.200".parse().unwrap()));
    }

    #[test]
    fn only_a_proxy_of_ours_may_name_the_caller() {
        let ours = [range("10.0.0.0/8")];
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(caller(at("8.8.8.8"), &["203.0.113.7"], &ours), at("8.8.8.8"));
        assert_eq!(caller(at("10.0.0.1"), &["6.6.6.6, 203.0.113.7, 10.0.0.2"], &ours), at("203.0.113.7"));
        assert_eq!(caller(at("10.0.0.1"), &[], &ours), None);
    }

    #[test]
    fn a_proxy_may_name_the_caller_with_its_port() {
        let ours = ["10.0.0.0/8", "2001:db8:1::/48"].map(range);
        for (named, caller_is) in [
            ("203.0.113.7:51234", Some("203.0.113.7")),
            ("6.6.6.6:1, 203.0.113.7:2, 10.0.0.2:3", Some("203.0.113.7")),
            ("[2001:db8::7]:443", Some("2001:db8::7")),
            ("[2001:db8::7], [2001:db8:1::1]:80", Some("2001:db8::7")),
            ("203.0.113.7:", None),
            ("unknown", None),
        ] {
            let expected = caller_is.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(caller(Some("10.0.0.1".parse().unwrap()), &[named], &ours), expected, "{named}");
        }
    }

    #[test]
    fn all_lines_of_the_header_are_one_list() {
        let ours = [range("10.0.0.0/8")];
        let at = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(caller(at("10.0.0.1"), &["6.6.6.6", "203.0.113.7"], &ours), at("203.0.113.7"));
        assert_eq!(caller(at("10.0.0.1"), &["6.6.6.6, 203.0.113.7", "10.0.0.2"], &ours), at("203.0.113.7"));
        // A line that is no list of addresses names nobody.
        assert_eq!(caller(at("10.0.0.1"), &["203.0.113.7", ""], &ours), None);
    }

    #[test]
    fn near_are_this_machine_and_private_networks() {
        let AddressList(near) = AddressList::near();
        let is_near = |text: &str| near.iter().any(|range| range.contains(text.parse().unwrap()));
        assert!(
            ["127.0.0.1", "::1", "::ffff:10.1.2.3", "172.31.0.1", "192.168.1.1", "fd00::1"].into_iter().all(is_near)
        );
        assert!(!["8.8.8.8", "172.32.0.1", "2001:db8::1", "::"].into_iter().any(is_near));
    }
}
