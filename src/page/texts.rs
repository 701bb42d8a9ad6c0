//! Agreements as pages show them: the exact text, and the hash by which the post names what was shown.

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

    /// The hash of the text under which "agree" was ticked; an error stands beside the box where it was not.
    pub fn posted(form: &mut Form, agreement: Agreement) -> Option<[u8; 32]> {
        let ticked = field(agreement);
        if !form.is_ticked(ticked) {
            form.refuse_field(ticked, "not_agreed");
            return None;
        }
        let text = form.value(&format!("text_{}", agreement.name())).to_owned();
        let shown = hex_decode(&text).and_then(|bytes| bytes.try_into().ok());
        // What is no hash becomes zeros, which are the hash of no text of ours: the use case refuses it like a text that is out of date.
        Some(shown.unwrap_or_default())
    }

    /// The name of the box under it.
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
