-- Refusals of deposits that were opened again: who had noted the order, who refused it, when and why. The order itself holds only how
-- it stands now.
create table reserve_order_refusal (
    order_id uuid not null references reserve_order,
    -- From 1 on, for each order.
    refusal_no int not null check (refusal_no > 0),
    noted_by text not null,
    noted_at timestamptz not null,
    refused_by text not null,
    reason text not null,
    refused_at timestamptz not null,
    primary key (order_id, refusal_no)
);
