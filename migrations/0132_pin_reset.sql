-- When the PIN was last set without a former one: the first one, by the end of the ID number, or another one, by a code and that; null
-- where that was before this was kept. For a day after it the borrower cannot change the mobile.
alter table pin add column reset_at timestamptz;
