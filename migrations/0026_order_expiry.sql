-- An order has expired when its time is over, by the clock of whoever looks: nothing writes that down, and nothing looks for the
-- orders that it would be written on.
drop index merchant_code_expiry;
