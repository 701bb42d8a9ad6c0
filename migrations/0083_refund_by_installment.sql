-- What else a refund did to each billed installment, so that its funder is told installment by installment: element k of each array is of
-- the one in fell_periods. What fell of interest and fees that were not paid, and what went back to the card of those that were: an
-- installment of which nothing but the latter left stands there with nothing that fell. Refunds from before this say nothing of it.
alter table refund
    add column fell_interest_fen bigint[] not null default '{}',
    add column fell_fee_fen bigint[] not null default '{}',
    add column back_interest_fen bigint[] not null default '{}',
    add column back_fee_fen bigint[] not null default '{}',
    add constraint refund_charges_by_installment check (
        cardinality(fell_interest_fen) in (0, cardinality(fell_periods))
        and cardinality(fell_fee_fen) = cardinality(fell_interest_fen)
        and cardinality(back_interest_fen) = cardinality(fell_interest_fen)
        and cardinality(back_fee_fen) = cardinality(fell_interest_fen));
