-- A reserve in slices: a lane of an authoriser takes what its purchases hold out of a slice of its own, so that batches neither wait
-- for each other nor for their commits on the reserve's one row. What slices have used is booked into the reserve, as one entry
-- of its journal, by whoever locks the reserve, and at the end of the day at the latest.
create table reserve_slice (
    funder_id uuid not null references funder,
    slice_no smallint not null,
    -- Lent by the reserve for the slice to use, still counted as available there. All leases together never exceed what is available.
    leased_fen bigint not null default 0,
    -- Held by purchases since the slice was booked last.
    used_fen bigint not null default 0 check (used_fen >= 0),
    -- The first purchase that it was used for since.
    source text,
    primary key (funder_id, slice_no),
    constraint reserve_slice_uses_what_it_has check (used_fen <= leased_fen)
) with (fillfactor = 50);
insert into reserve_slice (funder_id, slice_no) select funder_id, generate_series(0, 7) from funder;

-- Reserves as they stand now: with what their slices have used.
create view reserve_now as
select funder_id, available_fen - used_fen as available_fen, held_fen + used_fen as held_fen, deposited_fen, withdrawn_fen,
       paid_out_fen, returned_fen, advance_limit_fen, low_water_fen, low_water_noticed_on, advance_since, advance_overdue,
       last_entry_no
from reserve
cross join lateral (select coalesce(sum(used_fen), 0)::bigint as used_fen from reserve_slice s
                    where s.funder_id = reserve.funder_id) slices;
