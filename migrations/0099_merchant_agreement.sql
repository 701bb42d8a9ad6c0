-- What a merchant's agreement says changes from one purchase to the next: each purchase keeps what it said of refunds, beside the fee that
-- was worked out by it. Until now an agreement stayed what it was, so that what the merchant's row tells now holds for every purchase
-- before: it is kept there, once a merchant, and no purchase is written anew, however many there are. Null in purchases from before this,
-- and of merchants that came after it.
alter table purchase add column discount_returned_on_refund boolean;
alter table merchant add column discount_returned_before boolean;
update merchant set discount_returned_before = discount_returned_on_refund;

-- Another agreement, as one person stated it; the second who states the same makes it the merchant's.
alter table merchant
    add column agreement_proposed_rate numeric check (agreement_proposed_rate >= 0 and agreement_proposed_rate <= 0.1),
    add column agreement_proposed_returned boolean,
    add column agreement_proposed_by text,
    add constraint agreement_proposal check (num_nulls(agreement_proposed_rate, agreement_proposed_returned, agreement_proposed_by) in (0, 3));
alter table merchant_event drop constraint merchant_event_decision_check;
alter table merchant_event add constraint merchant_event_decision_check
    check (decision in ('accept', 'refuse', 'suspend', 'resume', 'close', 'account', 'resubmit', 'agreement'));
