-- The statements that write a code take its merchant from the row that they find, and no merchant is ever removed: the key asked the same
-- again for each order by itself, and locked the merchant's row for it.
alter table merchant_code drop constraint merchant_code_merchant_id_fkey;

-- Old answers are looked for block by block, each block once; nothing looks for them by their age.
drop index api_answer_age;
