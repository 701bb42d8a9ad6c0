//! The outbound proxy through which partners are called, for networks without another way out.

use std::str::FromStr;

use reqwest::Url;

use super::is_base_url;

/// The proxy's address, which may contain a password.
#[derive(Clone)]
pub struct OutboundProxy(Url);

impl OutboundProxy {
    /// The proxy for a call to `url`; `None` if that is this machine.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<Url> {
        (!is_here(url)).then(|| self.0.clone())
    }
}

impl FromStr for OutboundProxy {
    type Err = ();
    fn from_str(text: &str) -> Result<OutboundProxy, ()> {
        if !is_base_url(text.trim_end_matches('/')) {
            return Err(());
        }
        Url::parse(text).ok().filter(|url| url.path() == "/").map(OutboundProxy).ok_or(())
    }
}

/// Whether an address leads to this machine.
pub(super) fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_this_machine_is_called_through_the_proxy() {
        let proxy: OutboundProxy = "http://fenqi:secret@10.0.0.9:3128".parse().unwrap();
        let through = |url: &str| proxy.proxy_for(&Url::parse(url).unwrap());
        for far in ["https://bank.example/v3", "https://10.1.2.3:8443", "https://localhost.example.com"] {
            assert_eq!(through(far).unwrap().as_str(), "http://fenqi:secret@10.0.0.9:3128/", "{far}");
        }
        for here in ["http://127.0.0.1:8090/payout", "http://[::1]:8090", "https://localhost/"] {
            assert_eq!(through(here), None, "{here}");
        }
    }

    #[test]
    fn a_proxy_is_a_scheme_and_a_host() {
        assert!("https://proxy.bank.example/".parse::<OutboundProxy>().is_ok());
        for wrong in
            ["", "10.0.0.9:3128", "socks5://10.0.0.9:1080", "http:/10.0.0.9", "http://10.0.0.9/out", "http://a?b"]
        {
            assert!(wrong.parse::<OutboundProxy>().is_err(), "{wrong}");
        }
    }
}
