-- Partners that any message waits for, found by skipping from one to the next in the index: however many messages wait, each
-- partner costs one look-up.
create view outbox_partner_waiting as
with recursive waiting as (
    (select partner from outbox where delivered_at is null order by partner limit 1)
    union all
    select (select o.partner from outbox o
            where o.delivered_at is null and o.partner > w.partner order by o.partner limit 1)
    from waiting w where w.partner is not null)
select partner from waiting where partner is not null;
