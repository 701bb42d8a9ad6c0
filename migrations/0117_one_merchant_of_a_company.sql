-- An application claims nothing: several may be filed for one company, and what was refused or waits keeps nobody from applying. What
-- was accepted once is the company's one merchant account, whatever became of it since.
alter table merchant drop constraint merchant_credit_code_key;
create unique index merchant_one_of_company on merchant (credit_code) where status in ('active', 'suspended', 'closed');
create index merchant_by_credit_code on merchant (credit_code);
