-- A payout whose channel contradicts itself is not sent until two people have said what became of it.

-- The attempt that the channel contradicts itself about: paid after it had failed, or paid over another amount. Null where nothing of
-- the kind stands. A payment that is booked is not touched by it.
alter table payout add column contradicted_attempt smallint;
-- What one person says became of it, and who: the bank's reference where it was paid, null where it was not.
alter table payout add column proposed_reference text;
alter table payout add column proposed_by text;
alter table payout add constraint payout_contradiction_open check (contradicted_attempt is null or status <> 'succeeded');
alter table payout add constraint payout_proposal
    check (case when proposed_by is null then proposed_reference is null else contradicted_attempt is not null end);

-- What operators were told of until now and nobody could end.
update payout p set contradicted_attempt = told.attempt_no
from (select right(body ->> 'payout_id', 32)::uuid as payout_id, max((body ->> 'attempt_no')::smallint) as attempt_no
      from notice where kind = 'payout_contradiction' group by 1) told
where p.payout_id = told.payout_id and p.status <> 'succeeded';
