-- What a borrower wants to be told in WeChat too. Every consent there is good for one message of its kind.
create table wechat_subscription (
    borrower_id uuid not null,
    kind text not null,
    -- An estimate: WeChat keeps the count itself, and its refusal sets this to zero.
    allowed smallint not null check (allowed >= 0),
    -- False once the borrower wants no more of them, whatever WeChat would still take.
    wanted boolean not null,
    changed_at timestamptz not null,
    primary key (borrower_id, kind)
);
