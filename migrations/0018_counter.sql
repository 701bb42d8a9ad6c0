-- Merchants' applications on the way, orders opened by hand, and who may change who works at a merchant.

-- What somebody has typed of an application so far, all of it sealed under the master key; found by the keyed hash of the mobile
-- that was proved.
create table onboarding_draft (
    mobile_hash bytea primary key check (length(mobile_hash) = 32),
    draft_id uuid not null,
    -- The refused application that it corrects.
    merchant_id uuid references merchant,
    fields_sealed bytea not null,
    updated_at timestamptz not null
);
create index onboarding_draft_age on onboarding_draft (updated_at);

-- A refused application may be corrected and sent again.
alter table merchant_event drop constraint merchant_event_decision_check;
alter table merchant_event add constraint merchant_event_decision_check
    check (decision in ('accept', 'refuse', 'suspend', 'resume', 'close', 'account', 'resubmit'));

-- Orders that somebody at the counter opened by hand: what stands on them, and who did. Kept apart from the codes, which
-- purchases write to.
create table hand_order (
    merchant_id uuid not null references merchant,
    code_id uuid not null references merchant_code,
    description text check (length(description) between 1 and 40),
    opened_by uuid not null references merchant_staff,
    opened_at timestamptz not null,
    -- When somebody closed it; a code that is closed without it has expired.
    closed_at timestamptz,
    primary key (merchant_id, code_id)
);

-- Who works at a merchant is changed with a code to the owner's own mobile.
alter table passcode drop constraint passcode_purpose_check;
alter table passcode add constraint passcode_purpose_check
    check (purpose in ('borrower_sign_in', 'merchant_sign_in', 'pin_reset', 'account_closing', 'staff_change'));
