-- Paying by scanning.

-- Where the merchant takes payment from people who scan its code in another wallet's app: shown there as a link, never followed
-- by itself.
alter table merchant add column other_link text check (other_link ~ '^https://' and length(other_link) <= 500);
