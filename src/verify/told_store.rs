//! Identities of messages to partners, as SQL: those that were given up, and those that are recorded as removed.

pub(super) const GIVEN_UP: &str = "
    select partner || ' message ' || message_no as subject, 0 as expected, attempts as found from outbox where dead_at is not null";

/// Partners that read by number are told to start above the last removed number, so no message may be left below it: it would never be
/// read or, if it waits, be delivered after later ones. Messages above the highest of these numbers need not be checked.
pub(super) const GONE: &str = "
    select o.partner || ' message ' || o.message_no as subject, f.up_to_no + 1 as expected, o.message_no as found
    from outbox o join outbox_forgotten f on f.partner = o.partner and o.message_no <= f.up_to_no
    where o.message_no <= (select max(up_to_no) from outbox_forgotten)";
