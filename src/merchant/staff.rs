//! The people of a merchant who sign in on its pages, and what each of them may do.

use chrono::{DateTime, Utc};

use crate::base::id::{MerchantId, StaffId};
use crate::base::person::Mobile;
use crate::base::typed::is_one_line;
use crate::base::words;
use crate::error::Refusal;

words! {
    /// What somebody is at a merchant, and so what they may do.
    pub enum Role {
        /// Everything; every merchant has at least one.
        Owner = "owner",
        /// Everything but to manage staff.
        Manager = "manager",
        /// The counter: receipts and order codes.
        Cashier = "cashier",
    }
}

/// Rights that not every role has. Receipts and purchases are seen by all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    MakeOrders,
    Refund,
    SeeSettlements,
    ManageStaff,
}

impl Role {
    pub fn may(self, right: Right) -> bool {
        match (self, right) {
            (Role::Owner, _)
            | (Role::Manager, Right::MakeOrders | Right::Refund | Right::SeeSettlements)
            | (Role::Cashier, Right::MakeOrders) => true,
            (Role::Manager, Right::ManageStaff)
            | (Role::Cashier, Right::Refund | Right::SeeSettlements | Right::ManageStaff) => false,
        }
    }

    // For templates, which cannot name a `Right`.
    pub fn may_make_orders(self) -> bool {
        self.may(Right::MakeOrders)
    }

    pub fn may_manage_staff(self) -> bool {
        self.may(Right::ManageStaff)
    }

    pub fn may_refund(self) -> bool {
        self.may(Right::Refund)
    }

    pub fn may_see_settlements(self) -> bool {
        self.may(Right::SeeSettlements)
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;
    /// The error is the code of what is wrong, by which the page finds its words.
    fn from_str(text: &str) -> Result<Role, &'static str> {
        Role::from_name(text).ok_or("role_unknown")
    }
}

/// One person at one merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staff {
    pub staff_id: StaffId,
    pub merchant_id: MerchantId,
    pub name: String,
    /// Shown masked.
    pub mobile: Mobile,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// As many as one page shows; a merchant with more has several accounts.
pub const STAFF_MAX: usize = 100;
/// Longer than any name on an ID card.
pub const STAFF_NAME_CHARS_MAX: usize = 40;

/// The name of a person: 1 to [`STAFF_NAME_CHARS_MAX`] characters, on one line.
///
/// # Errors
/// The code of what is wrong, by which the page finds its words.
pub fn parse_staff_name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    let fits = (1..=STAFF_NAME_CHARS_MAX).contains(&name.chars().count()) && is_one_line(name);
    if fits { Ok(name.to_owned()) } else { Err("staff_name_malformed") }
}

/// Everybody who works at a merchant.
#[derive(Clone, Debug)]
pub struct Team(pub Vec<Staff>);

impl Team {
    fn find(&self, staff_id: StaffId) -> Result<&Staff, StaffRefusal> {
        self.0.iter().find(|staff| staff.staff_id == staff_id).ok_or(StaffRefusal::UnknownStaff)
    }

    fn is_last_owner(&self, staff: &Staff) -> bool {
        staff.role == Role::Owner && self.0.iter().filter(|other| other.role == Role::Owner).count() == 1
    }

    /// Whether somebody with this mobile may be hired.
    pub fn may_hire(&self, mobile: &Mobile) -> Result<(), StaffRefusal> {
        if self.0.iter().any(|staff| staff.mobile == *mobile) {
            return Err(StaffRefusal::StaffAlready);
        }
        if self.0.len() >= STAFF_MAX { Err(StaffRefusal::TooManyStaff) } else { Ok(()) }
    }

    /// Whether somebody may be given this role; returns who they are. A merchant is never without an owner.
    pub fn may_become(&self, staff_id: StaffId, role: Role) -> Result<&Staff, StaffRefusal> {
        let staff = self.find(staff_id)?;
        if role != Role::Owner && self.is_last_owner(staff) { Err(StaffRefusal::LastOwner) } else { Ok(staff) }
    }

    /// Whether somebody may be removed; returns who they are.
    pub fn may_remove(&self, staff_id: StaffId) -> Result<&Staff, StaffRefusal> {
        let staff = self.find(staff_id)?;
        if self.is_last_owner(staff) { Err(StaffRefusal::LastOwner) } else { Ok(staff) }
    }
}

/// Why the people of a merchant are not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaffRefusal {
    #[error("nobody of that id works at this merchant")]
    UnknownStaff,
    #[error("somebody with this mobile works at this merchant already")]
    StaffAlready,
    #[error("a merchant has at most {STAFF_MAX} people")]
    TooManyStaff,
    #[error("a merchant is never without an owner: make somebody else one first")]
    LastOwner,
    #[error("there is no such merchant")]
    UnknownMerchant,
}

impl Refusal for StaffRefusal {
    fn code(&self) -> &'static str {
        match self {
            StaffRefusal::UnknownStaff => "unknown_staff",
            StaffRefusal::StaffAlready => "staff_already",
            StaffRefusal::TooManyStaff => "too_many_staff",
            StaffRefusal::LastOwner => "last_owner",
            StaffRefusal::UnknownMerchant => "unknown_merchant",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staff(number: u8, role: Role) -> Staff {
        Staff {
            staff_id: StaffId::from_uuid(uuid::Uuid::from_u128(number.into())),
            merchant_id: MerchantId::from_uuid(uuid::Uuid::nil()),
            name: "王小明".into(),
            mobile: format!("138001380{number:02}").parse().unwrap(),
            role,
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_merchant_is_never_without_an_owner() {
        let (owner, cashier) = (staff(1, Role::Owner), staff(2, Role::Cashier));
        let team = Team(vec![owner.clone(), cashier.clone()]);
        assert_eq!(team.may_remove(owner.staff_id), Err(StaffRefusal::LastOwner));
        assert_eq!(team.may_become(owner.staff_id, Role::Cashier), Err(StaffRefusal::LastOwner));
        assert!(team.may_become(owner.staff_id, Role::Owner).is_ok());
        assert!(team.may_remove(cashier.staff_id).is_ok());
        let two = Team(vec![owner.clone(), staff(3, Role::Owner)]);
        assert!(two.may_remove(owner.staff_id).is_ok());
        assert_eq!(two.may_remove(cashier.staff_id), Err(StaffRefusal::UnknownStaff));
    }

    #[test]
    fn a_cashier_serves_the_counter_and_only_an_owner_hires() {
        let may = |role: Role| {
            let rights = [Right::MakeOrders, Right::Refund, Right::SeeSettlements, Right::ManageStaff];
            rights.map(|right| role.may(right))
        };
        assert_eq!(may(Role::Owner), [true, true, true, true]);
        assert_eq!(may(Role::Manager), [true, true, true, false]);
        assert_eq!(may(Role::Cashier), [true, false, false, false]);
    }

    #[test]
    fn a_mobile_works_once_at_a_merchant() {
        let team = Team(vec![staff(1, Role::Owner)]);
        assert_eq!(team.may_hire(&staff(1, Role::Cashier).mobile), Err(StaffRefusal::StaffAlready));
        assert!(team.may_hire(&staff(2, Role::Cashier).mobile).is_ok());
    }
}
