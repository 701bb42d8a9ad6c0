-- Claims on guarantors (代偿), and what comes in afterwards and belongs to them (追偿).

-- What a guarantor is asked to pay of a loan: what is owed that day of the installments that have reached their claim day, less what
-- claims before it cover. Once the guarantor has paid, the funder has that money and the borrower owes the same as before.
create table claim (
    line_id uuid not null,
    claim_id uuid not null,
    loan_id uuid not null,
    funder_id uuid not null,
    principal_fen bigint not null check (principal_fen >= 0),
    interest_fen bigint not null check (interest_fen >= 0),
    fee_fen bigint not null check (fee_fen >= 0),
    penalty_fen bigint not null check (penalty_fen >= 0),
    asked_on date not null,
    asked_by text not null,
    status text not null default 'asked' check (status in ('asked', 'paid', 'withdrawn')),
    -- One person's word that the guarantor has paid the funder, by its bank's reference; booked once another one says the same.
    bank_reference text,
    stated_by text,
    confirmed_by text,
    paid_on date,
    withdrawn_by text,
    withdrawn_on date,
    reason text,
    primary key (line_id, claim_id),
    check (principal_fen + interest_fen + fee_fen + penalty_fen > 0),
    check ((bank_reference is null) = (stated_by is null)),
    check ((status = 'paid') = (paid_on is not null) and (paid_on is null) = (confirmed_by is null)),
    check (status <> 'paid' or bank_reference is not null),
    constraint claim_two_people check (lower(btrim(confirmed_by)) <> lower(btrim(stated_by))),
    check ((status = 'withdrawn') = (withdrawn_on is not null) and (withdrawn_on is null) = (withdrawn_by is null)
           and (withdrawn_on is null) = (reason is null))
);
-- Two would ask for the same.
create unique index claim_one_asked on claim (line_id, loan_id) where status = 'asked';
create index claim_by_funder on claim (funder_id, claim_id);
-- Operators name a claim by its id alone.
create index claim_by_id on claim (claim_id);
-- A funder's core asks for those of one loan.
create index claim_by_loan on claim (loan_id, claim_id);

-- A guarantor's payment books one claim, whichever line that is of.
create table claim_by_bank_reference (
    bank_reference text not null,
    funder_id uuid not null,
    line_id uuid not null,
    claim_id uuid not null,
    primary key (bank_reference, funder_id)
);

-- What of a repayment or refund belongs to the guarantor of a loan that it reached; below zero where the repayment is taken back.
create table recourse (
    line_id uuid not null,
    -- The repayment or refund.
    source_id uuid not null,
    loan_id uuid not null,
    amount_fen bigint not null check (amount_fen <> 0),
    -- Whether the loan was written off when the money came.
    is_charged_off boolean not null,
    business_day date not null,
    primary key (line_id, source_id, loan_id)
);
create trigger recourse_append_only before update or delete on recourse for each row execute function refuse_change();

-- What guarantors paid of a loan, and what came in for them since: on the loan, so that money for loans without claims looks nowhere else.
alter table loan
    add column claim_paid_fen bigint not null default 0,
    add column claim_recovered_fen bigint not null default 0,
    -- Every row holds two zeros: none has to be read for it.
    add constraint loan_claims check (claim_recovered_fen between 0 and claim_paid_fen) not valid;

-- What guarantors had paid of the loan and had not got back when it was charged off: that is no loss.
alter table charge_off add column covered_fen bigint not null default 0;

-- What came in for a claim that was paid: what a loan brings recovers first what was paid first.
create function claim_recovered(one claim) returns bigint language sql stable as $$
    select case when one.status <> 'paid' then 0 else
        greatest(0, least(
            one.principal_fen + one.interest_fen + one.fee_fen + one.penalty_fen,
            (select l.claim_recovered_fen from loan l where l.loan_id = one.loan_id and l.line_id = one.line_id)
            - (select coalesce(sum(e.principal_fen + e.interest_fen + e.fee_fen + e.penalty_fen), 0)
               from claim e
               where e.line_id = one.line_id and e.loan_id = one.loan_id and e.status = 'paid' and e.claim_id < one.claim_id)
        ))::bigint end
$$;
