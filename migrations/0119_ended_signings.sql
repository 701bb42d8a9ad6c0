-- Signings of cards that came to nothing are removed each night, and found by when they ended; those that became cards are not looked
-- through for that.
create index card_signing_ended on card_signing (expires_at) where status <> 'signed';
