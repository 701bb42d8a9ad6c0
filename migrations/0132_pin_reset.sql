-- When the PIN was last set anew by a code and the end of the ID number, without the former one; null where it never was. For a day
-- after that the borrower cannot change the mobile.
alter table pin add column reset_at timestamptz;
