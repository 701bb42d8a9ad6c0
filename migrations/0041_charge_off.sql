-- Debts that are written off in their funder's book, and what runs on them afterwards.

-- A loan that was charged off, once: what its funder's book held as receivable of it, which is a loss from that day on. The borrower
-- owes it as before, and the loan's own rows do not change.
create table charge_off (
    line_id uuid not null,
    loan_id uuid not null,
    funder_id uuid not null,
    -- The day at whose end, or on which, it was charged off.
    business_day date not null,
    -- The loan's schedule as it stood then. Charges of rows that fell due by then were earned and are part of the loss; those of later
    -- rows, and whatever later versions change, run as suspended.
    schedule_version int not null,
    principal_fen bigint not null check (principal_fen >= 0),
    -- Earned less collected; below zero where charges were paid before the days that earn them.
    interest_fen bigint not null,
    fee_fen bigint not null,
    posting_id uuid not null,
    primary key (line_id, loan_id)
);
create index charge_off_by_day on charge_off (business_day);
create trigger charge_off_append_only before update or delete on charge_off for each row execute function refuse_change();

-- What loans that were charged off go on accruing is receivable, and charged off as it comes: it is nobody's income until it is paid.
alter table interest_span drop constraint interest_span_charge_check;
alter table interest_span add constraint interest_span_charge_check
    check (charge in ('interest', 'fee', 'suspended_interest', 'suspended_fee'));
