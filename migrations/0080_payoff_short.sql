-- Whether what an order for a payoff brought did not suffice to end its loan, because that had grown meanwhile: then it was allocated
-- as any other money, and was there for whatever was owed, not for that loan first.
alter table withholding add column fell_short boolean not null default false;
