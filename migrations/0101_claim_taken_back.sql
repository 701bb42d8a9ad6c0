-- A claim that was booked wrongly is taken back on the word of two people: its payment, and what came in for it since, is booked the other
-- way round. The loan may be claimed anew.
alter table claim drop constraint claim_status_check;
alter table claim add constraint claim_status_check check (status in ('asked', 'paid', 'withdrawn', 'taken_back'));
alter table claim drop constraint claim_check2;
alter table claim add constraint claim_paid
    check ((status in ('paid', 'taken_back')) = (paid_on is not null) and (paid_on is null) = (confirmed_by is null));

-- One person's word that it was booked wrongly, and why; taken back once another one says the same.
alter table claim
    add column take_back_stated_by text,
    add column take_back_reason text,
    add column taken_back_by text,
    add column taken_back_on date,
    add constraint claim_take_back_stated
        check ((take_back_stated_by is null) = (take_back_reason is null) and (take_back_stated_by is null or paid_on is not null)),
    add constraint claim_taken_back
        check ((status = 'taken_back') = (taken_back_on is not null) and (taken_back_on is null) = (taken_back_by is null)
               and (taken_back_on is null or take_back_stated_by is not null)),
    add constraint claim_taken_back_by_two check (lower(btrim(taken_back_by)) <> lower(btrim(take_back_stated_by)));

-- A reference is booked once among what stands; that of a claim which was taken back is free for the claim that was meant.
alter table claim_by_bank_reference add column is_taken_back boolean not null default false;
alter table claim_by_bank_reference drop constraint claim_by_bank_reference_pkey;
alter table claim_by_bank_reference add primary key (bank_reference, funder_id, claim_id);
create unique index claim_reference_standing on claim_by_bank_reference (bank_reference, funder_id) where not is_taken_back;

-- The claim that was taken back, where what came in for it is the guarantor's no more; the zero id of what came in, and of what was paid
-- back since.
alter table recourse add column claim_id uuid not null default '00000000-0000-0000-0000-000000000000';
alter table recourse drop constraint recourse_pkey;
alter table recourse add primary key (line_id, source_id, loan_id, claim_id);
