-- Merchants' own systems hear of payments.

-- Where a merchant's system hears of payments and refunds, and in which algorithm we sign; null where it does not.
alter table merchant add column notify_url text check (length(notify_url) <= 500);
alter table merchant add column notify_algorithm text check (notify_algorithm in ('sm2_sm3', 'rsa_sha256'));
alter table merchant add constraint merchant_notified check ((notify_url is null) = (notify_algorithm is null));
