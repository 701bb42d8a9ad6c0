//! What the pages are set up with: their public address, the product that people apply for, the demo's counterfeit world.

use std::fmt;
use std::sync::Arc;

/// The product that ships for everyone.
const LINE_PRODUCT: &str = "harbour-standard";

/// The public address of the pages. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Without a slash at the end, such as `https://pay.example.cn`.
    url: Arc<str>,
    /// Where the counterfeit world is that plays the partners, in a demo.
    sandbox: Option<Arc<str>>,
    /// The code of the product whose line people apply for.
    line_product: Arc<str>,
}

impl Site {
    /// The site at an address that begins with `http://` or `https://`.
    pub fn at(url: &str) -> Site {
        Site { url: url.trim_end_matches('/').into(), sandbox: None, line_product: LINE_PRODUCT.into() }
    }

    /// The same site in a demo.
    #[must_use]
    pub fn in_sandbox(self, sandbox: &str) -> Site {
        Site { sandbox: Some(sandbox.into()), ..self }
    }

    #[must_use]
    pub fn offering(self, line_product: &str) -> Site {
        Site { line_product: line_product.into(), ..self }
    }

    pub fn sandbox(&self) -> Option<&str> {
        self.sandbox.as_deref()
    }

    pub fn line_product(&self) -> &str {
        &self.line_product
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
