//! The settings of the pages: their public address, the product that people apply for, whom people call, and the demo's sandbox.

use std::fmt;
use std::sync::Arc;

use super::support::Support;

/// The product that ships for everyone.
const LINE_PRODUCT: &str = "harbour-standard";
/// Days in which a review of a refusal may be asked for, unless configured otherwise: as long as no new application is accepted after it.
const REVIEW_DAYS: u16 = 30;

/// The settings of the pages. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Without a slash at the end, such as `https://pay.example.cn`.
    url: Arc<str>,
    /// The address of the sandbox that plays the partners, in a demo.
    sandbox: Option<Arc<str>>,
    /// The code of the product whose line people apply for.
    line_product: Arc<str>,
    /// For how many days after a refusal by automation alone a borrower may ask that a person looks at it.
    review_days: u16,
    /// Whom people call; without it, pages name nobody.
    support: Option<Support>,
}

impl Site {
    /// The site at an address that begins with `http://` or `https://`.
    pub fn at(url: &str) -> Site {
        let url = url.trim_end_matches('/').into();
        Site { url, sandbox: None, line_product: LINE_PRODUCT.into(), review_days: REVIEW_DAYS, support: None }
    }

    /// This site as a demo whose sandbox is at the address `sandbox`. Its pages always name somebody to call.
    #[must_use]
    pub fn in_sandbox(self, sandbox: &str) -> Site {
        let support = self.support.clone().unwrap_or_else(Support::of_trial);
        Site { sandbox: Some(sandbox.into()), support: Some(support), ..self }
    }

    #[must_use]
    pub fn answered_by(self, support: Option<Support>) -> Site {
        Site { support, ..self }
    }

    #[must_use]
    pub fn offering(self, line_product: &str) -> Site {
        Site { line_product: line_product.into(), ..self }
    }

    #[must_use]
    pub fn reviewing_for(self, review_days: u16) -> Site {
        Site { review_days, ..self }
    }

    pub fn sandbox(&self) -> Option<&str> {
        self.sandbox.as_deref()
    }

    pub fn support(&self) -> Option<&Support> {
        self.support.as_ref()
    }

    pub fn line_product(&self) -> &str {
        &self.line_product
    }

    pub fn review_days(&self) -> u32 {
        u32::from(self.review_days)
    }

    /// The full address of one of our paths, for others to open.
    pub fn link(&self, path: impl fmt::Display) -> String {
        format!("{}{path}", self.url)
    }

    /// Whether the pages are reached by https, so that cookies are `Secure`. Plain http is for trials.
    pub fn is_encrypted(&self) -> bool {
        self.url.starts_with("https://")
    }
}
