//! The agreements that a borrower signs, each with its exact wording and the SHA-256 of it.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// An agreement that must be signed before a line can be applied for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Agreement {
    /// 个人消费信贷额度协议
    Credit,
    /// 个人信息处理授权书
    PersonalInformation,
    /// 敏感个人信息处理单独同意书: a consent of its own, as the Personal Information Protection Law (art. 29) demands.
    SensitiveInformation,
    /// 委托扣款协议
    Withholding,
    /// 信用报告查询及报送授权书
    CreditReport,
}

/// One wording of an agreement. Signed texts keep their own wording in the database for ever.
#[derive(Debug)]
pub struct Wording {
    pub version: &'static str,
    pub body: &'static str,
    pub sha256: [u8; 32],
}

/// The version of the texts in `web/agreements`. It changes with any of them, since a house stores only one text of a kind
/// under one version.
const VERSION: &str = "2027-02";

static WORDINGS: LazyLock<[Wording; 5]> = LazyLock::new(|| {
    Agreement::ALL.map(|agreement| {
        let body = agreement.body();
        Wording { version: VERSION, body, sha256: Sha256::digest(body).into() }
    })
});

impl Agreement {
    /// In the order in which they are shown.
    pub const ALL: [Agreement; 5] = [
        Agreement::Credit,
        Agreement::PersonalInformation,
        Agreement::SensitiveInformation,
        Agreement::CreditReport,
        Agreement::Withholding,
    ];

    /// The wording that is shown now.
    pub fn wording(self) -> &'static Wording {
        let index = Agreement::ALL.iter().position(|agreement| *agreement == self);
        &WORDINGS[index.expect("every agreement is listed in ALL")]
    }

    /// The name in the database and in forms.
    pub const fn name(self) -> &'static str {
        match self {
            Agreement::Credit => "credit",
            Agreement::PersonalInformation => "personal_information",
            Agreement::SensitiveInformation => "sensitive_information",
            Agreement::Withholding => "withholding",
            Agreement::CreditReport => "credit_report",
        }
    }

    /// Whether it may be withdrawn by itself: a consent to the processing of data may, a contract may not.
    pub const fn may_be_withdrawn(self) -> bool {
        matches!(self, Agreement::PersonalInformation | Agreement::SensitiveInformation)
    }

    pub fn from_name(name: &str) -> Option<Agreement> {
        Agreement::ALL.into_iter().find(|agreement| agreement.name() == name)
    }

    const fn body(self) -> &'static str {
        match self {
            Agreement::Credit => include_str!("../../web/agreements/credit_agreement.txt"),
            Agreement::PersonalInformation => include_str!("../../web/agreements/personal_information.txt"),
            Agreement::SensitiveInformation => include_str!("../../web/agreements/sensitive_information.txt"),
            Agreement::Withholding => include_str!("../../web/agreements/withholding_agreement.txt"),
            Agreement::CreditReport => include_str!("../../web/agreements/credit_report_query.txt"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hex::hex_encode;

    #[test]
    fn every_agreement_states_the_version_it_is_stored_under() {
        for agreement in Agreement::ALL {
            let wording = agreement.wording();
            assert!(wording.body.contains(&format!("版本：{}", wording.version)), "{}", agreement.name());
            assert_eq!(Agreement::from_name(agreement.name()), Some(agreement));
        }
    }

    #[test]
    fn another_text_has_another_version() {
        let mut texts = Sha256::new();
        for agreement in Agreement::ALL {
            texts.update(agreement.wording().sha256);
        }
        // Whoever changes a text raises the version, in all of them, and then puts the new hash here. Under a version that has another
        // text in a house, nobody there could sign.
        let known = ("2027-02", "8c923f6031d0f5908805422a2c7ef8107d19fb3db9b86ac66ff6b69912fa97c8".to_owned());
        assert_eq!((VERSION, hex_encode(&texts.finalize())), known);
    }

    #[test]
    fn everybody_who_is_told_of_a_person_is_named_in_an_agreement() {
        // As AUDIT lists them.
        let personal = Agreement::PersonalInformation.wording().body;
        for told in ["资金方", "评估风险的合作方", "银行卡签约机构", "代扣渠道", "付款渠道", "商户", "短信和微信服务方"]
        {
            assert!(personal.contains(&format!("{told}提供")), "{told}");
        }
        // By the separate consent, too, where it is sensitive.
        let sensitive = Agreement::SensitiveInformation.wording().body;
        for told in ["评估风险的合作方", "银行卡签约机构", "付款渠道"] {
            assert!(sensitive.contains(&format!("提供给{told}")), "{told}");
        }
    }

    #[test]
    fn what_a_person_looks_at_and_what_none_does_is_agreed_to() {
        let credit = Agreement::Credit.wording().body;
        assert!(credit.contains("在结果页面所示的期限内要求一次人工复核"));
        assert!(credit.contains("因年龄或者身份核验不符、已有额度或者撤回授权而未予授信的"));
    }

    #[test]
    fn what_is_charged_and_taken_is_agreed_to() {
        // Products without a contract rate charge a rate a day.
        let credit = Agreement::Credit.wording().body;
        assert!(credit.contains("合同利率倍数或者日利率") && credit.contains("宽限期"));
        // A product may let unpaid interest bear penalty, and no product penalty on penalty.
        assert!(credit.contains("对账单载明而未还的利息按同一利率计收复利") && credit.contains("罚息本身不再计收罚息"));
        assert!(credit.contains("以“担保费”单独展示，不并入利息"));
        // More than a bill asks for is taken where the borrower pays early.
        let withholding = Agreement::Withholding.wording().body;
        assert!(withholding.contains("主动还款或者提前结清的，不超过其确认的金额") && withholding.contains("罚息"));
        // What unpaid interest bears is collected with the penalty.
        assert!(
            credit.contains("与罚息合并展示，合称罚息") && withholding.contains("罚息（含产品条款约定的复利，下同）")
        );
    }
}
