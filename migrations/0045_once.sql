-- What a partner asks for comes about once, however often its answer is lost.

-- One higher after each change of the low-water mark: who changes it names the version that was read. The mark itself would not do,
-- which may have been changed and changed back.
alter table reserve add column low_water_version int not null default 1;
create or replace view reserve_now as
select funder_id, available_fen - used_fen as available_fen, held_fen + used_fen as held_fen, deposited_fen, withdrawn_fen,
       paid_out_fen, returned_fen, advance_limit_fen, low_water_fen, low_water_noticed_on, advance_since, advance_overdue,
       last_entry_no, low_water_version
from reserve
cross join lateral (select coalesce(sum(used_fen), 0)::bigint as used_fen from reserve_slice s
                    where s.funder_id = reserve.funder_id) slices;

-- Under which of whose idempotency keys a draft was submitted, and SHA-256 of the text that was: the same once more makes no second
-- draft. Keys are forgotten after a week, and may then be another text's.
alter table product_draft
    add column partner_id uuid,
    add column idempotency_key text,
    add column submitted_sha256 bytea check (length(submitted_sha256) = 32),
    add constraint product_draft_is_submitted_once unique (partner_id, idempotency_key, submitted_sha256);
