-- What the payout channel contradicts itself about is a break of its payout: with its kind and its day, also where the payout is
-- booked as paid.
alter table payout drop constraint payout_contradiction_open;
-- Which of them it is, in the words of breaks.
alter table payout add column contradiction text
    check (contradiction in ('we_failed_they_succeeded', 'we_succeeded_they_failed', 'amount_differs', 'named_twice'));
-- Since which business day it stands.
alter table payout add column contradicted_on date;

update payout p set contradiction = case when p.status in ('submitted', 'unknown') and p.contradicted_attempt = p.attempt_no
                                         then 'amount_differs' else 'we_failed_they_succeeded' end,
       contradicted_on = coalesce((select max((e.occurred_at at time zone 'Asia/Shanghai')::date) from payout_event e
                                   where e.payout_id = p.payout_id and e.status = 'contradicted'), p.pay_on)
where p.contradicted_attempt is not null;
alter table payout add constraint payout_contradiction_whole
    check ((contradicted_attempt is null) = (contradiction is null) and (contradicted_attempt is null) = (contradicted_on is null));

-- What is owed back to a borrower, and what may be owed again because the channel denies that it was paid.
drop index payout_owed_back;
create index payout_owed_back on payout (beneficiary_id)
    where kind = 'borrower' and (status <> 'succeeded' or contradicted_attempt is not null);

-- By its id alone, as a person or a funder names an application: the key leads with whom it is of.
create index application_by_id on application (application_id);
