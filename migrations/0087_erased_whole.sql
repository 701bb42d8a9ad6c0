-- Of whoever was erased nothing stays that tells who it was: the region and the day of birth are fourteen of the eighteen digits of an
-- ID number, and beside them a thousand people are left at most.
alter table borrower
    alter column birth_on drop not null,
    alter column region_code drop not null;
update borrower set birth_on = null, region_code = null where person_key_sealed is null;
alter table borrower
    add constraint borrower_erased_whole check (num_nulls(person_key_sealed, birth_on, region_code) in (0, 3));
-- Nor can anybody who has a card's number find whom it belonged to.
delete from card_signing s using borrower b where b.borrower_id = s.borrower_id and b.person_key_sealed is null;
update bank_card k set number_hash = uuid_send(k.card_id)
from borrower b where b.borrower_id = k.borrower_id and b.person_key_sealed is null;
