-- The agreement to withhold ends with the account: whatever is found to be owed of somebody who was erased, no card of theirs is charged.
update bank_card k set status = 'unbound', is_default = false
from borrower b where b.borrower_id = k.borrower_id and b.person_key_sealed is null and k.status <> 'unbound';

-- A proposal to take a transfer back can be withdrawn: then nothing is proposed, and the number still counts how often it was.
alter table transfer_by_bank_reference drop constraint transfer_proposal;
alter table transfer_by_bank_reference add constraint transfer_proposal
    check ((proposed_by is null or proposal_no > 0) and (proposed_by is null) = (reason is null));
