-- An order is opened and paid, an idempotency key taken and answered, each within moments: one insert and one update of every row.
-- The update writes no index entry where no indexed column changes its value and the new row fits on the old one's page. Pages are
-- filled to where both rows fit: what was updated is cleared away when its page is next written to, so that tables do not grow.

-- An answer is about three times as long as its key alone.
alter table api_answer set (fillfactor = 25);

-- The index of static codes named the status, which every payment changes; a payment never changes this.
alter table merchant_code set (fillfactor = 50);
alter table merchant_code
    add column is_open_static boolean not null generated always as (kind = 'static' and status = 'open') stored;
drop index merchant_code_one_static;
create unique index merchant_code_one_static on merchant_code (merchant_id) where is_open_static;
