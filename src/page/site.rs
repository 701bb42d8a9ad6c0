//! Where the pages are seen from outside: their public address, and whether cookies travel encrypted only.

use std::fmt;

/// The public address of the pages. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Without a slash at the end, such as `https://pay.example.cn`.
    url: std::sync::Arc<str>,
}

impl Site {
    /// The site at an address that begins with `http://` or `https://`.
    pub fn at(url: &str) -> Site {
        Site { url: url.trim_end_matches('/').into() }
    }

    /// A path of ours as others can open it.
    pub fn link(&self, path: impl fmt::Display) -> String {
        format!("{}{path}", self.url)
    }

    /// Plain http is for trials; everywhere else cookies are `Secure`.
    pub fn is_encrypted(&self) -> bool {
        self.url.starts_with("https://")
    }
}
