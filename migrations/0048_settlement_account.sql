-- A settlement account that one person stated for a merchant, sealed: the merchant is paid to it once another person has stated the
-- same. What is stated otherwise takes its place.
alter table merchant
    add column account_proposed_sealed bytea,
    add column account_proposed_by text,
    add constraint merchant_account_is_proposed_by_somebody
        check ((account_proposed_sealed is null) = (account_proposed_by is null));
