//! The journals of lines and reserves, and each line's status compared with its journal, as SQL.

/// A line's status compared with its journal, which has an entry when a reason for a freeze begins and another one when it ends.
/// Lateness freezes a line automatically until it is paid; any other reason is set and lifted by a person. In `expected` and `found`,
/// lateness counts 10, each other reason 1, and a closed line 100.
pub(super) const STATUS: &str = "
    select l.line_id as subject, stood.told as expected, stood.stands as found
    from credit_line l
    left join (select line_id, bool_or(kind = 'close') as is_closed,
                      sum(case kind when 'freeze' then 1 when 'unfreeze' then -1 else 0 end
                          * case when reason like 'person:%' then 1 else 10 end) as reasons
               from line_entry where kind in ('freeze', 'unfreeze', 'close') group by line_id) journal
         on journal.line_id = l.line_id
    cross join lateral (values (case when journal.is_closed then 100 else coalesce(journal.reasons, 0) end,
                                case when l.status = 'closed' then 100
                                     else coalesce(cardinality(array_remove(string_to_array(l.frozen_for, ','), 'overdue'))
                                                   + case when l.frozen_for like 'overdue%' then 10 else 0 end, 0) end))
               as stood(told, stands)
    where stood.told <> stood.stands";

/// The balance of each entry is the sum of all entries up to it. All entries are checked, not only the last one: whether a purchase
/// fitted its line is judged by its entry.
pub(super) const JOURNAL: &str = "
    select line_id || ' entry ' || entry_no || ' ' || part.name as subject, part.sum as expected, part.told as found
    from (select line_id, entry_no, used_after_fen, limit_after_fen, row_number() over entries as nth,
                 sum(used_change_fen) over entries as used, sum(limit_change_fen) over entries as limited
          from line_entry window entries as (partition by line_id order by entry_no)) journal
    cross join lateral (values ('number', nth, entry_no), ('used', used, used_after_fen), ('limit', limited, limit_after_fen))
                       as part(name, sum, told)
    where (nth, used, limited) is distinct from (entry_no, used_after_fen, limit_after_fen) and part.sum <> part.told";

/// As [`JOURNAL`], for reserves: the balances of each entry are the sums of all entries up to it, over deposits and withdrawals, holds
/// and releases, and clearings.
pub(super) const RESERVE_JOURNAL: &str = "
    select funder_id || ' entry ' || entry_no || ' ' || part.name as subject, part.sum as expected, part.told as found
    from (select funder_id, entry_no, available_after_fen, held_after_fen, row_number() over entries as nth,
                 sum(case when kind in ('deposit', 'release', 'refund') then amount_fen
                          when kind in ('withdrawal', 'hold') then -amount_fen else 0 end) over entries as available,
                 sum(case when kind = 'hold' then amount_fen
                          when kind in ('release', 'clearing') then -amount_fen else 0 end) over entries as held
          from reserve_entry window entries as (partition by funder_id order by entry_no)) journal
    cross join lateral (values ('number', nth, entry_no), ('available', available, available_after_fen),
                               ('held', held, held_after_fen)) as part(name, sum, told)
    where (nth, available, held) is distinct from (entry_no, available_after_fen, held_after_fen) and part.sum <> part.told";

/// The day since which the available balance has been below zero without interruption; an advance's time counts from it. In `expected`
/// and `found`, days are numbers such as 20260302.
pub(super) const ADVANCE: &str = "
    select r.funder_id as subject, to_char(began.business_day, 'YYYYMMDD')::bigint as expected,
           to_char(r.advance_since, 'YYYYMMDD')::bigint as found
    from reserve r
    cross join lateral (
        select e.business_day from reserve_entry e
        where e.funder_id = r.funder_id
          and e.entry_no > coalesce((select max(p.entry_no) from reserve_entry p
                                     where p.funder_id = r.funder_id and p.available_after_fen >= 0), 0)
        order by e.entry_no limit 1) began
    where r.advance_since <> began.business_day";

/// After 14 days an advance is overdue in any case, and purchases from its reserve are refused: no holidays are longer than half of
/// that, so its due day has been closed by then.
pub(super) const OVERDUE_ADVANCE: &str = "
    select r.funder_id as subject, 14 as expected, closed.day - r.advance_since as found
    from reserve r
    cross join (select max(business_day) as day from close_chunk where step = 'clearing' and done_at is not null) closed
    where r.advance_since < closed.day - 14 and not r.advance_overdue";
