-- sum() of bigint counts in numeric, which each row and each group pays for. Fen stay what they are; too many are an error, as
-- everywhere.
create aggregate fen_sum(bigint) (sfunc = int8pl, stype = bigint, initcond = '0', combinefunc = int8pl, parallel = safe);
