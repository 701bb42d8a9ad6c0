//! Changes of a line that a person or a rule makes: freeze, unfreeze, new limit, close.

use serde_json::json;
use uuid::Uuid;

use super::line::{EntryKind, Freeze, Freezes, Line, LineChange, LineEntry, LineStatus};
use crate::base::{Fen, When};
use crate::error::Refusal;
use crate::notice::Notice;
use crate::outbox::Message;

/// What is to be done to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Freeze(Freeze),
    /// Lifts a freeze of this kind; the line is active again when no other is left.
    Unfreeze(Freeze),
    Limit(Fen),
    Close,
}

/// When a change is made, and what the journal says of it.
#[derive(Clone, Debug)]
pub struct Note {
    /// Who and why: `person:<name>: <reason>`, or the rule that did it.
    pub reason: String,
    /// The money event behind it, where there is one.
    pub source_id: Option<Uuid>,
    pub when: When,
}

/// Why a line is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineRefusal {
    #[error("there is no such line")]
    LineUnknown,
    #[error("this line is closed")]
    LineClosed,
    #[error("the line is in use: it can be closed when everything is paid")]
    LineInUse,
    #[error("the limit must not be below zero")]
    LimitBelowZero,
    #[error("the limit must lie between zero and the product's highest, {highest} yuan")]
    LimitAboveHighest { highest: Fen },
}

impl Refusal for LineRefusal {
    fn code(&self) -> &'static str {
        match self {
            LineRefusal::LineUnknown => "line_unknown",
            LineRefusal::LineClosed => "line_closed",
            LineRefusal::LineInUse => "line_in_use",
            LineRefusal::LimitBelowZero | LineRefusal::LimitAboveHighest { .. } => "limit_out_of_bounds",
        }
    }
}

impl Line {
    /// Makes a change and returns its journal entry; `None` where nothing is left to change.
    ///
    /// # Errors
    /// Why the change is refused; the line is then unchanged.
    pub fn apply(&mut self, change: Change, note: Note) -> Result<Option<LineEntry>, LineRefusal> {
        match (change, self.status) {
            (Change::Close, LineStatus::Closed) => Ok(None),
            (Change::Freeze(_) | Change::Unfreeze(_) | Change::Limit(_), LineStatus::Closed) => {
                Err(LineRefusal::LineClosed)
            }
            (Change::Freeze(why), LineStatus::Active) => {
                self.status = LineStatus::Frozen(Freezes::of(why));
                Ok(Some(self.note(EntryKind::Freeze, Fen::ZERO, note)))
            }
            (Change::Freeze(why), LineStatus::Frozen(present)) => {
                self.status = LineStatus::Frozen(present.with(why));
                Ok((!present.contains(why)).then(|| self.note(EntryKind::Freeze, Fen::ZERO, note)))
            }
            (Change::Unfreeze(_), LineStatus::Active) => Ok(None),
            (Change::Unfreeze(why), LineStatus::Frozen(present)) => {
                self.status = present.without(why).map_or(LineStatus::Active, LineStatus::Frozen);
                Ok(present.contains(why).then(|| self.note(EntryKind::Unfreeze, Fen::ZERO, note)))
            }
            (Change::Limit(limit), LineStatus::Active | LineStatus::Frozen(_)) => {
                if limit.is_negative() {
                    return Err(LineRefusal::LimitBelowZero);
                }
                let change = limit - self.limit;
                Ok((!change.is_zero()).then(|| self.note(EntryKind::Limit, change, note)))
            }
            (Change::Close, LineStatus::Active | LineStatus::Frozen(_)) => {
                if self.used.is_positive() {
                    return Err(LineRefusal::LineInUse);
                }
                self.status = LineStatus::Closed;
                Ok(Some(self.note(EntryKind::Close, Fen::ZERO, note)))
            }
        }
    }

    fn note(&mut self, kind: EntryKind, limit_change: Fen, note: Note) -> LineEntry {
        let change = LineChange {
            kind,
            used_change: Fen::ZERO,
            limit_change,
            source_id: note.source_id,
            reason: Some(note.reason),
        };
        self.change(change, note.when)
    }
}

/// The message to the funder about a change that is not a purchase, refund or payment.
pub fn line_changed(funder_code: &str, line: &Line, entry: &LineEntry) -> Message {
    let (status, frozen_for) = line.status.stored();
    Message {
        partner: funder_code.to_owned(),
        kind: "line_changed",
        object_id: line.line_id.uuid(),
        body: json!({
            "line_id": line.line_id,
            "change": entry.kind.name(),
            "status": status,
            "frozen_for": frozen_for,
            "limit_fen": line.limit,
            "used_fen": line.used,
            "business_day": entry.business_day,
        }),
        created_at: entry.occurred_at,
    }
}

/// As [`line_changed`], for each entry of a line that a person or a rule made. Purchases and payments are left out: they have
/// messages of their own.
pub fn lines_changed(funder_code: &str, line: &Line, entries: &[LineEntry]) -> Vec<Message> {
    let is_told = |entry: &&LineEntry| match entry.kind {
        EntryKind::Limit | EntryKind::Freeze | EntryKind::Unfreeze | EntryKind::Close => true,
        EntryKind::Opened | EntryKind::Purchase | EntryKind::Void | EntryKind::Refund | EntryKind::Repayment => false,
    };
    entries.iter().filter(is_told).map(|entry| line_changed(funder_code, line, entry)).collect()
}

/// The notice to the borrower about a change; none where nothing changes for them.
pub fn told(line: &Line, entry: &LineEntry) -> Vec<Notice> {
    let kind = match entry.kind {
        EntryKind::Limit => "limit_changed",
        EntryKind::Freeze => "line_frozen",
        EntryKind::Unfreeze if line.usable_on(entry.business_day).is_positive() => "line_unfrozen",
        EntryKind::Close => "line_closed",
        // One of several freezes was lifted and the line is still frozen, or the line has expired meanwhile, or its limit was lowered to
        // what is used or below: nothing can be bought on it all the same.
        EntryKind::Unfreeze => return Vec::new(),
        EntryKind::Opened | EntryKind::Purchase | EntryKind::Void | EntryKind::Refund | EntryKind::Repayment => {
            return Vec::new();
        }
    };
    let mut body = json!({ "line": line.line_id, "limit_fen": line.limit, "limit_change_fen": entry.limit_change });
    if entry.kind == EntryKind::Freeze {
        // A borrower can do something about lateness only.
        body["why"] = json!(if line.status.is_frozen_for(Freeze::Overdue) { "overdue" } else { "other" });
    }
    let when = When { business_day: entry.business_day, at: entry.occurred_at };
    vec![Notice::to_borrower(line.borrower_id, kind, body, when)]
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::line;
    use super::*;

    fn note() -> Note {
        Note {
            reason: "person:wang: test".into(),
            source_id: None,
            when: When { business_day: "2026-01-05".parse().unwrap(), at: chrono::DateTime::UNIX_EPOCH },
        }
    }

    #[test]
    fn each_freeze_is_lifted_for_itself_and_the_last_one_ends_it() {
        let mut frozen = line(LineStatus::Active, 0);
        for why in [Freeze::Overdue, Freeze::Operator] {
            assert!(frozen.apply(Change::Freeze(why), note()).unwrap().is_some());
            assert_eq!(frozen.apply(Change::Freeze(why), note()), Ok(None));
        }
        assert_eq!(frozen.apply(Change::Unfreeze(Freeze::Risk), note()), Ok(None));
        assert!(frozen.apply(Change::Unfreeze(Freeze::Operator), note()).unwrap().is_some());
        assert_eq!(frozen.status, LineStatus::Frozen(Freezes::of(Freeze::Overdue)));
        assert!(frozen.apply(Change::Unfreeze(Freeze::Overdue), note()).unwrap().is_some());
        assert_eq!(frozen.status, LineStatus::Active);
    }

    #[test]
    fn lifting_the_freeze_of_a_line_that_has_expired_is_not_told() {
        let told_on = |day: &str| {
            let mut line = line(LineStatus::Frozen(Freezes::of(Freeze::Overdue)), 0);
            let when = When { business_day: day.parse().unwrap(), ..note().when };
            let entry = line.apply(Change::Unfreeze(Freeze::Overdue), Note { when, ..note() }).unwrap().unwrap();
            told(&line, &entry).into_iter().map(|notice| notice.kind).collect::<Vec<_>>()
        };
        assert_eq!(told_on("2027-01-01"), ["line_unfrozen"]);
        assert!(told_on("2027-01-02").is_empty());
    }

    #[test]
    fn lifting_the_freeze_of_a_line_with_nothing_left_is_not_told() {
        let told_with = |used: i64| {
            let mut line = line(LineStatus::Frozen(Freezes::of(Freeze::Overdue)), used);
            let entry = line.apply(Change::Unfreeze(Freeze::Overdue), note()).unwrap().unwrap();
            told(&line, &entry).len()
        };
        // Of a limit of 1,000.
        assert_eq!([999, 1_000, 1_200].map(told_with), [1, 0, 0]);
    }

    #[test]
    fn a_limit_may_fall_below_what_is_used() {
        let mut used = line(LineStatus::Active, 800);
        let entry = used.apply(Change::Limit(Fen::new(500)), note()).unwrap().unwrap();
        assert_eq!((entry.limit_change, entry.limit_after), (Fen::new(-500), Fen::new(500)));
        assert_eq!(used.available(), Fen::new(-300));
        assert_eq!(used.apply(Change::Limit(Fen::new(500)), note()), Ok(None));
    }

    #[test]
    fn a_line_in_use_is_not_closed_and_a_closed_one_not_changed() {
        assert_eq!(line(LineStatus::Active, 1).apply(Change::Close, note()), Err(LineRefusal::LineInUse));
        let mut closed = line(LineStatus::Closed, 0);
        assert_eq!(closed.apply(Change::Close, note()), Ok(None));
        assert_eq!(closed.apply(Change::Limit(Fen::new(1)), note()), Err(LineRefusal::LineClosed));
        assert_eq!(closed.apply(Change::Freeze(Freeze::Risk), note()), Err(LineRefusal::LineClosed));
    }
}
