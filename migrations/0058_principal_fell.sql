-- What of a refund fell off each billed installment: element k of each array is one of them. Penalty that ran on it until the day is
-- known again where money comes later that counts from before that day. Refunds from before this say nothing.
alter table refund
    add column fell_periods smallint[] not null default '{}',
    add column fell_principal_fen bigint[] not null default '{}',
    -- The day until which penalty was summed up on it.
    add column fell_on date[] not null default '{}',
    add constraint refund_fell_by_installment check (
        cardinality(fell_principal_fen) = cardinality(fell_periods) and cardinality(fell_on) = cardinality(fell_periods));
