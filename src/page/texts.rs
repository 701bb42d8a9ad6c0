//! Agreements on pages: the exact text, and its hash, with which the posted form says which text was shown.

use super::form::Form;
use crate::base::hex::{hex_decode, hex_encode};
use crate::borrower::Agreement;

/// One agreement on a page.
#[derive(Clone, Debug)]
pub struct AgreementText {
    pub agreement: Agreement,
    pub body: &'static str,
    /// The SHA-256 of `body`, in hexadecimal.
    pub sha256: String,
}

impl AgreementText {
    pub fn of(agreement: Agreement) -> AgreementText {
        let wording = agreement.wording();
        let sha256 = hex_encode(&wording.sha256);
        AgreementText { agreement, body: wording.body, sha256 }
    }

    /// The hash of the text under which "agree" was ticked. If it was not ticked: `None`, with an error beside the box.
    pub fn posted(form: &mut Form, agreement: Agreement) -> Option<[u8; 32]> {
        let ticked = field(agreement);
        if !form.is_ticked(ticked) {
            form.refuse_field(ticked, "not_agreed");
            return None;
        }
        let text = form.value(&format!("text_{}", agreement.name())).to_owned();
        let shown = hex_decode(&text).and_then(|bytes| bytes.try_into().ok());
        // A malformed hash becomes zeros, which is no text's hash: the use case refuses it like an outdated text.
        Some(shown.unwrap_or_default())
    }

    /// The form field of the box under it.
    pub fn field(&self) -> &'static str {
        field(self.agreement)
    }

    pub fn name(&self) -> &'static str {
        self.agreement.name()
    }
}

const fn field(agreement: Agreement) -> &'static str {
    match agreement {
        Agreement::Credit => "agree_credit",
        Agreement::PersonalInformation => "agree_personal_information",
        Agreement::SensitiveInformation => "agree_sensitive_information",
        Agreement::Withholding => "agree_withholding",
        Agreement::CreditReport => "agree_credit_report",
    }
}
