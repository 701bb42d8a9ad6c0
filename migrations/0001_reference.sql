-- Reference tables: small, read everywhere, changed by people.
-- Money is bigint fen, rates are numeric, a business day is a date in Asia/Shanghai.

-- The one current business day. Only the daily close advances it; whoever decides on money holds it.
create table business_day (
    only_row boolean primary key default true check (only_row),
    today date not null
);

-- Holds the business day until the transaction ends, and says which it is: `advance_business_day` waits for all who hold it.
-- A lock of its own rather than `for share` on the row: such locks queue, so that an unbroken stream of purchases cannot
-- keep the close waiting for ever, and no row is written. The number is this gate's, used by no other lock.
create function hold_business_day() returns date language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(4240230);
    return (select today from business_day);
end $$;

-- Moves from a day to the next; false where another close already has.
create function advance_business_day(day date) returns boolean language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock(4240230);
    update business_day set today = day + 1 where today = day;
    return found;
end $$;

create table funder (
    funder_id uuid primary key,
    code text not null unique check (code ~ '^[a-z0-9-]{2,32}$'),
    name text not null,
    created_at timestamptz not null
);

-- What a funder has prefunded. The hot number of the house: locked last, once per batch of purchases.
create table reserve (
    funder_id uuid primary key references funder,
    -- What purchases may still use; below zero only as far as the funder's advance (垫付) reaches.
    available_fen bigint not null default 0,
    -- Authorised purchases that are not cleared yet.
    held_fen bigint not null default 0 check (held_fen >= 0),
    deposited_fen bigint not null default 0 check (deposited_fen >= 0),
    withdrawn_fen bigint not null default 0 check (withdrawn_fen >= 0),
    -- Cleared to merchants, gross.
    paid_out_fen bigint not null default 0 check (paid_out_fen >= 0),
    -- Principal that came back by refunds.
    returned_fen bigint not null default 0 check (returned_fen >= 0),
    advance_limit_fen bigint not null default 0 check (advance_limit_fen >= 0),
    -- A notice is raised when available falls below this.
    low_water_fen bigint not null default 0 check (low_water_fen >= 0),
    -- The day of the last notice of this crossing of the low-water mark; null while available is above it.
    low_water_noticed_on date,
    -- The business day on which available fell below zero; the advance is due at the close of the next working day.
    advance_since date,
    -- Set by the close that finds the advance unpaid when it is due; until it is repaid no purchase may draw on it.
    advance_overdue boolean not null default false,
    last_entry_no bigint not null default 0,
    constraint reserve_advance_runs_below_zero check ((advance_since is not null) = (available_fen < 0)),
    constraint reserve_overdue_is_an_advance check (not advance_overdue or advance_since is not null),
    constraint reserve_adds_up check (
        available_fen = deposited_fen - withdrawn_fen - held_fen - paid_out_fen + returned_fen),
    constraint reserve_never_overdrawn check (available_fen >= -advance_limit_fen)
) with (fillfactor = 50);

-- The reserve's journal, append-only. One batch of authorised purchases is one entry.
create table reserve_entry (
    funder_id uuid not null references funder,
    entry_no bigint not null,
    kind text not null check (kind in ('deposit', 'withdrawal', 'hold', 'release', 'clearing', 'refund')),
    amount_fen bigint not null check (amount_fen > 0),
    available_after_fen bigint not null,
    held_after_fen bigint not null,
    -- The deposit's bank reference, the purchase voided, the refund, or the batch's first purchase.
    source text not null,
    business_day date not null,
    occurred_at timestamptz not null,
    primary key (funder_id, entry_no)
);
-- A bank reference is booked once.
create unique index reserve_entry_source_once on reserve_entry (funder_id, kind, source)
    where kind in ('deposit', 'withdrawal');

-- Forecasts sum the last days; entries arrive in day order.
create index reserve_entry_by_day on reserve_entry using brin (business_day) with (pages_per_range = 8, autosummarize = on);

create table product (
    product_id uuid primary key,
    funder_id uuid not null references funder,
    code text not null unique check (code ~ '^[a-z0-9-]{2,48}$'),
    created_at timestamptz not null
);

-- A published version never changes; loans keep the version they were made under.
create table product_version (
    product_id uuid not null references product,
    version int not null check (version > 0),
    -- The exact TOML text that was proven and published, and its SHA-256.
    terms_text text not null,
    terms_sha256 bytea not null check (length(terms_sha256) = 32),
    published_at timestamptz not null,
    -- When a newer version or an operator took it off sale; existing loans are untouched.
    withdrawn_at timestamptz,
    primary key (product_id, version),
    unique (product_id, terms_sha256)
);
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;
create function refuse_terms_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or new.terms_text <> old.terms_text or new.terms_sha256 <> old.terms_sha256
        or new.product_id <> old.product_id or new.version <> old.version or new.published_at <> old.published_at
    then
        raise exception 'a published version is immutable' using errcode = 'integrity_constraint_violation';
    end if;
    return new;
end $$;
create trigger product_version_immutable before update or delete on product_version
    for each row execute function refuse_terms_change();

create table merchant (
    merchant_id uuid primary key,
    name text not null,
    -- Unified social credit code; one merchant account per company.
    credit_code text not null unique,
    category text not null,
    contact_mobile_sealed bytea,
    settlement_account_name text not null,
    settlement_account_sealed bytea not null,
    settlement_account_tail text not null,
    -- What every wallet can show on the merchant-presented code; without them only the link form is offered.
    latin_name text check (length(latin_name) between 1 and 25),
    latin_city text check (length(latin_city) between 1 and 15),
    status text not null check (status in ('submitted', 'active', 'suspended', 'refused', 'closed')),
    status_reason text,
    -- What the merchant pays the platform on each purchase, and whether a refund gives it back.
    discount_rate numeric not null check (discount_rate >= 0 and discount_rate <= 0.1),
    discount_returned_on_refund boolean not null,
    created_at timestamptz not null,
    decided_at timestamptz
);

-- Every decision about a merchant: who, why, when. Append-only.
create table merchant_event (
    event_no bigint generated always as identity primary key,
    merchant_id uuid not null references merchant,
    decision text not null check (decision in ('accept', 'refuse', 'suspend', 'resume', 'close', 'account')),
    decided_by text not null,
    reason text not null,
    occurred_at timestamptz not null
);
create index merchant_event_by_merchant on merchant_event (merchant_id);

-- A scannable code: static (the borrower types the amount) or one order's (amount given, expires, paid once).
create table merchant_code (
    code_id uuid primary key,
    merchant_id uuid not null references merchant,
    kind text not null check (kind in ('static', 'order')),
    amount_fen bigint check (amount_fen > 0),
    order_reference text,
    expires_at timestamptz,
    -- `voided`: its purchase was undone before the cut-off. The order is not open again; a new sale is a new order.
    status text not null check (status in ('open', 'paid', 'voided', 'closed')),
    paid_purchase_id uuid,
    created_at timestamptz not null,
    check ((kind = 'order') = (amount_fen is not null and order_reference is not null and expires_at is not null)),
    check ((status in ('paid', 'voided')) = (paid_purchase_id is not null)),
    -- A static code is never used up.
    check (kind = 'order' or status in ('open', 'closed')),
    unique (merchant_id, order_reference)
);
create unique index merchant_code_one_static on merchant_code (merchant_id) where kind = 'static' and status = 'open';
create index merchant_code_expiry on merchant_code (expires_at) where kind = 'order' and status = 'open';
