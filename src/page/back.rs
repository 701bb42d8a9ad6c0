//! Ways back: the parameter `next`, a path to return to, which is followed only if it leads to a page of ours.

use std::fmt;

/// The path if it is on this site, else `otherwise`. Browsers take `//`, `/\` and control characters for the beginning of another host.
pub fn path_of_ours<'a>(path: &'a str, otherwise: &'a str) -> &'a str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_ours = path.starts_with('/') && !path.starts_with("//") && is_plain && path.len() <= 500;
    if is_ours { path } else { otherwise }
}

/// The page of ours that a visitor was going to when they were sent here. `None` if they came for this page itself (`next` is missing, or
/// leads to `own`, which is shown after it).
pub fn interrupted<'a>(next: &'a str, own: &str) -> Option<&'a str> {
    Some(path_of_ours(next, "")).filter(|next| !next.is_empty() && *next != own)
}

/// The address `to` with the parameter `next`, which leads back; `next` may have a query of its own.
pub fn with_next(to: &str, next: impl fmt::Display) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", &next.to_string()).finish();
    // Slashes need no encoding in a query, and are easier to read.
    format!("{to}?{}", query.replace("%2F", "/"))
}

#[cfg(test)]
mod tests {
    use super::{interrupted, path_of_ours, with_next};

    #[test]
    fn a_way_back_keeps_its_own_query() {
        assert_eq!(with_next("/me/pin", "/q/x?a=1&b=2"), "/me/pin?next=/q/x%3Fa%3D1%26b%3D2");
    }

    #[test]
    fn whoever_was_sent_here_was_going_to_another_page_of_this_site() {
        assert_eq!(interrupted("/q/x/confirm?a=1", "/me"), Some("/q/x/confirm?a=1"));
        for next in ["/me", "", "//evil.example", "https://evil.example"] {
            assert_eq!(interrupted(next, "/me"), None, "{next}");
        }
    }

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for ours in ["/home", "/q/abc?amount=1", "/", "/a//b"] {
            assert_eq!(path_of_ours(ours, "/home"), ours);
        }
        let elsewhere =
            ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/\t/evil", "/a b", "/é"];
        for path in elsewhere {
            assert_eq!(path_of_ours(path, "/home"), "/home", "{path}");
        }
        assert_eq!(path_of_ours(&format!("/{}", "x".repeat(500)), "/home"), "/home");
    }
}
