-- A transfer that was recorded wrongly is taken back by two people, and can be recorded again as it was. Whoever confirms what another
-- person proposes, here or for a break, names the proposal that he has seen.

-- Counts what was proposed for a break: the comparison's own proposal is the first.
alter table reconciliation_break add column proposal_no integer not null default 1;

-- Counts the proposals to take the transfer back; 0 before the first.
alter table transfer_by_bank_reference add column proposal_no integer not null default 0;
-- Who proposes to take it back, and why; then who has confirmed it, and the repayment that takes it back.
alter table transfer_by_bank_reference add column proposed_by text;
alter table transfer_by_bank_reference add column reason text;
alter table transfer_by_bank_reference add column confirmed_by text;
alter table transfer_by_bank_reference add column reversal_id uuid;
alter table transfer_by_bank_reference add constraint transfer_proposal
    check ((proposed_by is null) = (proposal_no = 0) and (proposed_by is null) = (reason is null));
alter table transfer_by_bank_reference add constraint transfer_taken_back
    check ((confirmed_by is null) = (reversal_id is null) and (confirmed_by is null or proposed_by is not null));
alter table transfer_by_bank_reference add constraint transfer_two_people check (lower(confirmed_by) <> lower(proposed_by));
-- A bank reference is booked once among what stands; one that was taken back is free for the transfer as it really was.
alter table transfer_by_bank_reference drop constraint transfer_by_bank_reference_pkey;
alter table transfer_by_bank_reference add primary key (bank_reference, repayment_id);
create unique index transfer_standing on transfer_by_bank_reference (bank_reference) where reversal_id is null;
create index transfer_by_repayment on transfer_by_bank_reference (repayment_id);

-- A transfer that is recorded again for its line has the source of the one that was taken back: the index above sees to it that
-- one of them stands. All other money is booked once by its line and source, as before.
alter table repayment drop constraint repayment_line_id_source_source_reference_key;
create unique index repayment_booked_once on repayment (
    line_id, source, source_reference,
    (case when source = 'transfer' then repayment_id else '00000000-0000-0000-0000-000000000000'::uuid end));
-- What is taken back of a transfer may be what was owed back of it: then it is negative, as all of a reversal is.
alter table repayment drop constraint repayment_excess_fen_check;
alter table repayment add constraint repayment_excess_fen_check
    check (case when source = 'reversal' then excess_fen <= 0 else excess_fen >= 0 end);

-- `cancelled`: owed no more before any attempt was paid, because the transfer that it was left over from was taken back.
alter table payout drop constraint payout_status_check;
alter table payout add constraint payout_status_check
    check (status in ('created', 'submitted', 'unknown', 'succeeded', 'failed', 'cancelled'));

-- What stands of each repayment: its amount, or nothing where it was taken back.
create view repayment_now as
select r.repayment_id, r.line_id, r.funder_id, r.source, r.source_reference, r.amount_fen + coalesce(b.amount_fen, 0) as amount_fen
from repayment r
left join repayment b on b.line_id = r.line_id and b.source = 'reversal' and b.source_reference = r.repayment_id::text
where r.source <> 'reversal';

-- What stands of the money that was booked through each order: collected by it, or told of by its channel's file.
create view withholding_booked as
select line_id, source_reference as withholding_id, sum(amount_fen)::bigint as booked_fen
from repayment_now where source in ('withholding', 'channel_file') group by line_id, source_reference;
