-- Merchants that are not paid for the time being: their settlements are made, and nothing is sent to them while the row is there. Who set
-- and released it, when and why, stands in merchant_event. Whoever claims payouts to send locks the table in share mode before, so that no
-- payment is sent that was not on its way when the hold was made.
create table payout_hold (
    merchant_id uuid primary key references merchant,
    held_by text not null,
    reason text not null,
    held_at timestamptz not null,
    -- Who was the first to state that it be released; null while nobody has.
    release_stated_by text
);
alter table merchant_event drop constraint merchant_event_decision_check;
alter table merchant_event add constraint merchant_event_decision_check
    check (decision in ('accept', 'refuse', 'suspend', 'resume', 'close', 'account', 'resubmit', 'agreement', 'hold_payouts',
                        'state_release', 'release_payouts'));
