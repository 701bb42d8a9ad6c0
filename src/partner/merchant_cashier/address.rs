//! The addresses at which a merchant may be notified: on the public internet only, so that nobody can use us to reach our own network
//! (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::error::Refusal;

/// Longer than any address that takes notifications.
pub const URL_BYTES_MAX: usize = 500;

/// An address that has passed the checks of [`NotifyUrl::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyUrl(Url);

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    #[error("an address has up to {URL_BYTES_MAX} bytes, begins with https:// and has no user, password or fragment")]
    Malformed,
    #[error("the address stands in a private network")]
    Private,
}

impl Refusal for UrlRefusal {
    fn code(&self) -> &'static str {
        match self {
            UrlRefusal::Malformed => "notify_url_malformed",
            UrlRefusal::Private => "notify_url_private",
        }
    }
}

/// Which addresses may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// https on the public internet.
    Internet,
    /// Also this machine by http: for trial houses.
    ThisMachineToo,
}

impl NotifyUrl {
    /// Checks the text of an address. Host names are not resolved here but at each call, by [`Guarded`].
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn parse(text: &str, reach: Reach) -> Result<NotifyUrl, UrlRefusal> {
        let url = Url::parse(text).map_err(|_| UrlRefusal::Malformed)?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let host = url.host_str().ok_or(UrlRefusal::Malformed)?;
        // The parsed form may be longer than the text, because what is not ASCII is encoded.
        let is_long = text.len() > URL_BYTES_MAX || url.as_str().len() > URL_BYTES_MAX;
        if is_long || !is_bare || host.is_empty() {
            return Err(UrlRefusal::Malformed);
        }
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_here = address.is_some_and(|address| address.is_loopback()) || host == "localhost";
        match url.scheme() {
            "http" | "https" if is_here && reach == Reach::ThisMachineToo => return Ok(NotifyUrl(url)),
            "https" => {}
            _ => return Err(UrlRefusal::Malformed),
        }
        // A name without a dot, or in a private zone, leads to a machine of a local network.
        let is_private_name = address.is_none()
            && (!host.trim_end_matches('.').contains('.')
                || ["localhost", "local", "internal", "lan", "home.arpa"]
                    .iter()
                    .any(|zone| host.trim_end_matches('.').ends_with(&format!(".{zone}"))));
        if is_private_name || address.is_some_and(|address| !is_public(address)) {
            return Err(UrlRefusal::Private);
        }
        Ok(NotifyUrl(url))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The part that is signed: the path with its query.
    pub fn signed_part(&self) -> String {
        match self.0.query() {
            Some(query) => format!("{}?{query}", self.0.path()),
            None => self.0.path().to_owned(),
        }
    }
}

/// Whether an address belongs to the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        // Carriers' own (RFC 6598), protocol assignments (RFC 6890), benchmarks (RFC 2544), 6to4 relays, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
        || (a == 192 && b == 88 && c == 99)
        || a >= 240)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let inner = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // NAT64 and 6to4 lead to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(inner(high, low)),
        [0x2002, high, low, ..] => is_public_v4(inner(high, low)),
        // Teredo, documentation.
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] => false,
        // Global unicast is 2000::/3; everything private lies outside it.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// A resolver that returns only addresses that may be called, so that a name that points into our network leads nowhere, also if it is
/// changed later.
#[derive(Clone, Copy, Debug)]
pub struct Guarded(pub Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let may_call = |address: &SocketAddr| {
                is_public(address.ip()) || (reach == Reach::ThisMachineToo && address.ip().is_loopback())
            };
            let allowed: Vec<SocketAddr> = found.filter(may_call).collect();
            if allowed.is_empty() {
                return Err(Box::from("the name leads to no address of the open internet"));
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_open_internet_is_called() {
        for open in [
            "https://pay.example.com/n",
            "https://pay.example.com:8443/n?a=b",
            "https://8.8.8.8/",
            "https://[2606:4700::1]/",
        ] {
            assert!(NotifyUrl::parse(open, Reach::Internet).is_ok(), "{open}");
        }
        for closed in [
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://192.168.0.1/",
            "https://172.16.9.9/",
            "https://169.254.169.254/latest",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://localhost/",
            "https://db/",
            "https://metadata.internal/",
            "https://printer.local./",
        ] {
            assert_eq!(NotifyUrl::parse(closed, Reach::Internet), Err(UrlRefusal::Private), "{closed}");
        }
        for malformed in [
            "http://pay.example.com/",
            "ftp://pay.example.com/",
            "https://user@pay.example.com/",
            "https://pay.example.com/#a",
            "no",
        ] {
            assert_eq!(NotifyUrl::parse(malformed, Reach::Internet), Err(UrlRefusal::Malformed), "{malformed}");
        }
    }

    #[test]
    fn a_trial_house_calls_this_machine_and_no_other_that_is_private() {
        assert!(NotifyUrl::parse("http://127.0.0.1:9000/notify?a=1", Reach::ThisMachineToo).is_ok());
        assert_eq!(NotifyUrl::parse("http://127.0.0.1:9000/", Reach::Internet), Err(UrlRefusal::Malformed));
        assert_eq!(NotifyUrl::parse("https://10.0.0.1/", Reach::ThisMachineToo), Err(UrlRefusal::Private));
        assert_eq!(NotifyUrl::parse("http://pay.example.com/", Reach::ThisMachineToo), Err(UrlRefusal::Malformed));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let resolved = async |reach| Guarded(reach).resolve("localhost".parse().unwrap()).await;
        assert!(resolved(Reach::Internet).await.is_err());
        assert!(resolved(Reach::ThisMachineToo).await.is_ok());
    }
}
