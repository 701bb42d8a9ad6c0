//! Repayment: money from borrowers, by withholding, by button, by transfer, and how it is allocated.

pub mod allocation;
