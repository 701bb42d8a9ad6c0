-- Of the interest and fees that a refund gave back to the card, what had been recovered after the loan was written off: it leaves the
-- recovery income, and not the income of the days that it had run.
alter table refund
    add column interest_back_recovered_fen bigint not null default 0,
    add column fee_back_recovered_fen bigint not null default 0,
    add constraint refund_back_recovered check (interest_back_recovered_fen between 0 and interest_back_fen
                                                and fee_back_recovered_fen between 0 and fee_back_fen);
