//! Parsers for options, whose errors say what is allowed.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};

use crate::base::typed::is_one_line;

/// A time with its offset, such as `2026-03-02T09:30:00+08:00`.
///
/// # Errors
/// What is allowed.
pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_| "a time is written like 2026-03-02T09:30:00+08:00".to_owned())
}

/// An address of this machine with its port, such as `127.0.0.1:8080`.
///
/// # Errors
/// What is allowed.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address and a port are written like 127.0.0.1:8080".to_owned())
}

/// A text that is not blank.
///
/// # Errors
/// What is allowed.
pub fn filled(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("it must not be empty".to_owned()) } else { one_line(text) }
}

/// A text that lists and the audit trail show in a line with others: one line, without control characters.
///
/// # Errors
/// What is allowed.
pub fn one_line(text: &str) -> Result<String, String> {
    if is_one_line(text) {
        Ok(text.to_owned())
    } else {
        Err("it must stand on one line, without control characters".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn what_is_mistyped_is_told_by_what_is_allowed() {
        let time = "a time is written like 2026-03-02T09:30:00+08:00";
        let address = "an address and a port are written like 127.0.0.1:8080";
        let callback = "an address begins with http:// or https://, such as http://127.0.0.1:8080/partner";
        for (words, allowed) in [
            ("calls --from 2026-03-02", time),
            ("calls --until yesterday", time),
            ("outbox replay --partner harbour-bank --from 2026-03-02 --to 2026-03-03", time),
            ("partner platform-key rotate --algorithm rsa --signs-from soon --by Li", time),
            ("serve --listen 8080", address),
            ("work --listen localhost", address),
            ("sandbox --callback 127.0.0.1:8080/partner", callback),
            ("sandbox --callback http://127.0.0.1:8080/partner?a=b", callback),
        ] {
            let refused = Cli::try_parse_from(["fenqi"].into_iter().chain(words.split(' '))).err().unwrap().to_string();
            assert!(refused.contains(allowed), "{words}: {refused}");
        }
        assert!(Cli::try_parse_from(["fenqi", "sandbox", "--callback", "http://127.0.0.1:8080/partner/"]).is_ok());
        assert_eq!(moment("2026-03-02T09:30:00+08:00"), Ok("2026-03-02T01:30:00Z".parse().unwrap()));
    }
}
