-- What was paid to a person whose account is closed since, and is denied by the channel, is owed again with no card to pay it to: two people
-- say that it was paid by hand, as they do of what the channel contradicts itself about.
alter table payout drop constraint payout_proposal;
alter table payout add constraint payout_proposal
    check (case when proposed_by is null then proposed_reference is null else contradicted_attempt is not null or status = 'failed' end);
