-- Merchants look through what they sold.

-- A merchant's purchases among everybody's: a Bloom filter over each range of blocks skips those without any of it. It is a
-- few bytes a purchase and is summarised behind the hot path, where a tree by merchant would cost every purchase an entry.
create index purchase_by_merchant on purchase
    using brin (merchant_id uuid_bloom_ops) with (pages_per_range = 8, autosummarize = on);
