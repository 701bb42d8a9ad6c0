-- A borrower's mobile is changed with a code to the new one.
alter table passcode drop constraint passcode_purpose_check;
alter table passcode add constraint passcode_purpose_check
    check (purpose in ('borrower_sign_in', 'merchant_sign_in', 'pin_reset', 'account_closing', 'staff_change', 'mobile_change'));

-- Another mobile was given to a borrower, by the borrower or by somebody else for one who cannot. The former mobile, sealed under the
-- person's key, is written to once more, so that its holder hears of it.
create table mobile_change (
    borrower_id uuid not null,
    change_id uuid not null,
    former_sealed bytea not null,
    -- `borrower`, or `person:<name>` with that person's reason.
    changed_by text not null,
    reason text,
    changed_at timestamptz not null,
    primary key (borrower_id, change_id),
    check ((changed_by = 'borrower') = (reason is null))
);
