-- A funder may have several low-water marks, such as a warning and an alarm, and is told of each that its reserve falls below.

alter table reserve
    -- Marks below low_water_fen, in falling order.
    add column lower_marks_fen bigint[] not null default '{}',
    -- The mark that the last notice of this crossing was about; where there is none, it was low_water_fen.
    add column low_water_told_fen bigint,
    add constraint reserve_lower_marks_are_lower check (0 < all (lower_marks_fen) and low_water_fen > all (lower_marks_fen));
create or replace view reserve_now as
select funder_id, available_fen - used_fen as available_fen, held_fen + used_fen as held_fen, deposited_fen, withdrawn_fen,
       paid_out_fen, returned_fen, advance_limit_fen, low_water_fen, low_water_noticed_on, advance_since, advance_overdue,
       last_entry_no, low_water_version, lower_marks_fen, low_water_told_fen
from reserve
cross join lateral (select coalesce(sum(used_fen), 0)::bigint as used_fen from reserve_slice s
                    where s.funder_id = reserve.funder_id) slices;
