-- sum() of bigint counts in numeric, which each row and each group pays for. Fen stay what they are; too many are an error, as
-- everywhere.
create aggregate fen_sum(bigint) (sfunc = int8pl, stype = bigint, initcond = '0', combinefunc = int8pl, parallel = safe);

-- The bills of a page were cut together, so that their lines are paid together, by one chunk: nothing of the page can be cleared
-- before all of them have a second version. With room for it on the page no index hears of a payment. So do the lines of a house
-- whose product has one due day.
alter table bill_line set (fillfactor = 50);
alter table credit_line set (fillfactor = 50);
