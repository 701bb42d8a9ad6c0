-- The agreement to withhold ends with the account: whatever is found to be owed of somebody who was erased, no card of theirs is charged.
update bank_card k set status = 'unbound', is_default = false
from borrower b where b.borrower_id = k.borrower_id and b.person_key_sealed is null and k.status <> 'unbound';
