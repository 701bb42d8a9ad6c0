-- Merchants' pages: the people who sign in for a merchant.

-- One person at one merchant; the same mobile may stand at several. The look-up is by keyed hash, name and mobile are sealed
-- under the master key. A row that was removed stays, for what it did.
create table merchant_staff (
    staff_id uuid primary key,
    merchant_id uuid not null references merchant,
    mobile_hash bytea not null check (length(mobile_hash) = 32),
    mobile_sealed bytea not null,
    name_sealed bytea not null,
    role text not null check (role in ('owner', 'manager', 'cashier')),
    created_at timestamptz not null,
    removed_at timestamptz
);
create unique index merchant_staff_once on merchant_staff (mobile_hash, merchant_id) where removed_at is null;
create index merchant_staff_of_merchant on merchant_staff (merchant_id) where removed_at is null;

-- Every change of who may do what: by whom (a staff id, or a name of the platform's), when. Append-only.
create table merchant_staff_event (
    event_no bigint generated always as identity primary key,
    staff_id uuid not null references merchant_staff,
    change text not null check (change in ('hired', 'role_changed', 'removed')),
    -- The role from then on, or the last one.
    role text not null,
    changed_by text not null,
    occurred_at timestamptz not null
);
create index merchant_staff_event_of_staff on merchant_staff_event (staff_id);
