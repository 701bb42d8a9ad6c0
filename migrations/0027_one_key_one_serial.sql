-- A key under two serial numbers could be given out as the keys of two holders. Not even a revoked one comes back under another.
alter table api_key add unique (partner_id, public_key);

-- "Chen Wei" and "chen wei" are one holder.
alter table product_draft add constraint product_draft_two_holders check (lower(approved_by) <> lower(submitted_by));
