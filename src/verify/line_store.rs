//! The journals of lines and reserves, and a line's status against its own, as SQL.

/// A line's status against its journal, in which every reason for a freeze stands once when it comes and once when it goes. Lateness
/// freezes a line by itself and is lifted by paying; any other reason is set and lifted by a person. In the figures lateness counts ten,
/// each other reason one, and a closed line a hundred.
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

/// Each entry says what all entries up to it come to. All are checked, not the last alone: whether a purchase fitted its line is judged by
/// what its entry says.
pub(super) const JOURNAL: &str = "
    select line_id || ' entry ' || entry_no || ' ' || part.name as subject, part.sum as expected, part.told as found
    from (select line_id, entry_no, used_after_fen, limit_after_fen, row_number() over entries as nth,
                 sum(used_change_fen) over entries as used, sum(limit_change_fen) over entries as limited
          from line_entry window entries as (partition by line_id order by entry_no)) journal
    cross join lateral (values ('number', nth, entry_no), ('used', used, used_after_fen), ('limit', limited, limit_after_fen))
                       as part(name, sum, told)
    where (nth, used, limited) is distinct from (entry_no, used_after_fen, limit_after_fen) and part.sum <> part.told";

/// As [`JOURNAL`], for reserves: each entry says what all up to it come to, of what comes in and is taken out, of what is held for
/// purchases and released again, and of what is cleared.
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

/// The day since which what is available has been below zero without a break, from which an advance's time is counted. Days are told as
/// figures, such as 20260302.
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

/// After a fortnight an advance is overdue in any case, and purchases out of its reserve are refused: no holidays last half as long, so
/// that its due day has been closed by then.
pub(super) const OVERDUE_ADVANCE: &str = "
    select r.funder_id as subject, 14 as expected, closed.day - r.advance_since as found
    from reserve r
    cross join (select max(business_day) as day from close_chunk where step = 'clearing' and done_at is not null) closed
    where r.advance_since < closed.day - 14 and not r.advance_overdue";
