//! The chart of accounts of both kinds of book.

/// An account. Its number says in which book it stands: 1xx in the platform's clearing book, 2xx in a funder's own book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum Account {
    /// The platform's money at its bank.
    Bank = 101,
    /// Owed to the funder: prefunded and free.
    ReserveAvailable = 102,
    /// Owed to the funder: held for authorised purchases.
    ReserveHeld = 103,
    /// Owed to merchants for cleared purchases.
    MerchantPayable = 104,
    /// Income: discount fees.
    FeeIncome = 105,
    /// Owed to the funder: merchants' subsidies.
    SubsidyPayable = 106,
    /// Owed to us by the withholding channel.
    ChannelReceivable = 107,
    /// Expense: what the channel keeps.
    ChannelCost = 108,
    /// Owed to the funder: collected money.
    CollectionsPayable = 109,
    /// Income: the platform's part of the funder's income.
    ShareIncome = 110,
    /// Owed to borrowers: refunds and excess.
    BorrowerPayable = 111,
    /// Money that a channel paid for orders that are not ours, until two people decide what becomes of it. Kept by the house
    /// itself, not for a funder.
    Suspense = 112,

    /// The debt.
    LoanPrincipal = 201,
    /// Lent, but not yet paid out of the reserve.
    FundingInTransit = 202,
    /// The funder's prefunded money.
    ReserveAtPlatform = 203,
    InterestReceivable = 204,
    InterestIncome = 205,
    FeeReceivable = 206,
    FunderFeeIncome = 207,
    PenaltyIncome = 208,
    SubsidyIncome = 209,
    /// Collected by the platform, not yet remitted.
    CollectionsInTransit = 210,
    /// The funder's money at its own bank.
    Cash = 211,
    /// Expense: the platform's share.
    ShareExpense = 212,
    /// Contra account of the receivables above: what they hold of loans that were charged off. The receivables less this are what
    /// is still expected to be paid.
    ChargedOff = 213,
    /// Expense: receivables that were charged off.
    ChargeOffLoss = 214,
    /// Income: what was collected on charged-off loans all the same.
    RecoveryIncome = 215,
    /// Contra account of the receivables: what guarantors paid on claims and has not been recovered since. The borrower owes it
    /// as before.
    ClaimsReceived = 216,
    /// Owed to guarantors: what was recovered on loans on which they had paid claims. The funder passes it on, outside the house.
    GuarantorPayable = 217,
}

impl Account {
    pub const ALL: [Account; 29] = [
        Account::Bank,
        Account::ReserveAvailable,
        Account::ReserveHeld,
        Account::MerchantPayable,
        Account::FeeIncome,
        Account::SubsidyPayable,
        Account::ChannelReceivable,
        Account::ChannelCost,
        Account::CollectionsPayable,
        Account::ShareIncome,
        Account::BorrowerPayable,
        Account::Suspense,
        Account::LoanPrincipal,
        Account::FundingInTransit,
        Account::ReserveAtPlatform,
        Account::InterestReceivable,
        Account::InterestIncome,
        Account::FeeReceivable,
        Account::FunderFeeIncome,
        Account::PenaltyIncome,
        Account::SubsidyIncome,
        Account::CollectionsInTransit,
        Account::Cash,
        Account::ShareExpense,
        Account::ChargedOff,
        Account::ChargeOffLoss,
        Account::RecoveryIncome,
        Account::ClaimsReceived,
        Account::GuarantorPayable,
    ];

    pub const fn number(self) -> i16 {
        self as i16
    }

    /// `None` for a number that is no account's.
    pub fn from_number(number: i16) -> Option<Account> {
        Account::ALL.into_iter().find(|account| account.number() == number)
    }

    /// The book in which the account stands; a leg never joins two books.
    pub const fn book(self) -> Book {
        if self.number() < 200 { Book::Clearing } else { Book::Funder }
    }

    /// The name used in files, scenarios and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Account::Bank => "bank",
            Account::ReserveAvailable => "reserve_available",
            Account::ReserveHeld => "reserve_held",
            Account::MerchantPayable => "merchant_payable",
            Account::FeeIncome => "fee_income",
            Account::SubsidyPayable => "subsidy_payable",
            Account::ChannelReceivable => "channel_receivable",
            Account::ChannelCost => "channel_cost",
            Account::CollectionsPayable => "collections_payable",
            Account::ShareIncome => "share_income",
            Account::BorrowerPayable => "borrower_payable",
            Account::Suspense => "suspense",
            Account::LoanPrincipal => "loan_principal",
            Account::FundingInTransit => "funding_in_transit",
            Account::ReserveAtPlatform => "reserve_at_platform",
            Account::InterestReceivable => "interest_receivable",
            Account::InterestIncome => "interest_income",
            Account::FeeReceivable => "fee_receivable",
            Account::FunderFeeIncome => "funder_fee_income",
            Account::PenaltyIncome => "penalty_income",
            Account::SubsidyIncome => "subsidy_income",
            Account::CollectionsInTransit => "collections_in_transit",
            Account::Cash => "cash",
            Account::ShareExpense => "share_expense",
            Account::ChargedOff => "charged_off",
            Account::ChargeOffLoss => "charge_off_loss",
            Account::RecoveryIncome => "recovery_income",
            Account::ClaimsReceived => "claims_received",
            Account::GuarantorPayable => "guarantor_payable",
        }
    }
}

/// Whose book an account stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Book {
    Clearing,
    Funder,
}
