-- The key under which a funder's system noted the order last, after the system: that notice sent once more, since its answer was lost,
-- opens nothing that was refused meanwhile. Null of orders that were noted before it was kept.
alter table reserve_order add column noted_key text;
