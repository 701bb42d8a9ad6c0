//! Identities detect tampering with single events that leaves all sums by funder unchanged.

const POSTED: &str = "what is sold, given back and repaid names its posting, on its line and to the fen";

const PRINCIPAL: &str = "loans outstanding are the books' loan principal";

const PARTS: &str = "what a repayment paid of each part of a debt is booked as that part";

const CORRECTIONS: &str = "a correction names one posting that stands, and no other one does";

const SOLD: &str = "a loan names the purchase that made it, and is void where that is";

const OWNERS: &str = "what is owed and collected on a line is of its borrower and its funder";

const PLANS: &str = "a loan stands on the last of its plans, which are numbered without a gap";

const REDUCED: &str = "a refund puts nothing on a loan's plan, and moves no row of it to another day";

const FIRST_PLANS: &str = "a loan's first plan is the one that its product names";

const PAYEES: &str = "what is paid out goes to whom it is owed";

const PAID: &str = "what was paid out is booked once, payment by payment";

const TRANSFERS: &str = "a transfer is booked once, under its bank's reference";

const RETURNED: &str = "a merchant gets back of its charges what belongs to what was refunded";

const SHARES: &str = "the platform keeps the share that the terms name";

const CARRIED: &str = "what is carried into a settlement is what its merchant's days before left, funder by funder";

const FEN_DAYS: &str = "penalty is reckoned from what was unpaid on every day, where no money came late or went back";

const COLLECTED: &str = "each collected withholding is one repayment";

const OWED_BY_ORDER: &str = "what a channel owes of an order is on its way, or a break tells of it";

const MOVED: &str = "what is cleared, paid in, settled by hand and earned is booked one by one";

const MERCHANTS: &str = "a purchase, its code and its refunds are of one merchant";

const PAYMENTS: &str =
    "what is owed to merchants, funders and cards has one payment of its amount, and is paid when that is";

const PUT_OFF: &str = "no order to collect or pay is put off for more than a fortnight";

/// An identity's sentence, and a change after which it is not true.
pub const OF_EVENTS: &[(&str, &str)] = &[
    // All of it is booked, to one borrower.
    (PRINCIPAL, "update posting set line_id = (select max(line_id::text)::uuid from credit_line) where event = 'purchase'"),
    (POSTED, "update posting set line_id = (select max(line_id::text)::uuid from credit_line) where event = 'purchase'"),
    // One is booked with a fen of another one's.
    (
        POSTED,
        "with two as (select posting_id, case when row_number() over (order by posting_id) = 1 then 1 else -1 end as fen
                      from posting where event = 'repayment' order by posting_id limit 2)
         update posting p set amount_fen[1] = p.amount_fen[1] + two.fen from two where two.posting_id = p.posting_id",
    ),
    // One is booked twice, and another one never.
    (
        POSTED,
        "update posting set source_id = (select source_id from posting where event = 'purchase' order by posting_id limit 1)
         where posting_id = (select posting_id from posting where event = 'purchase' order by posting_id desc limit 1)",
    ),
    (POSTED, "delete from posting where event = 'void'"),
    (POSTED, "update posting set event = 'clearing' where event = 'refund'"),
    (
        CORRECTIONS,
        "update posting set corrects = gen_random_uuid() where posting_id = (select posting_id from posting where event = 'repayment' limit 1)",
    ),
    (
        CORRECTIONS,
        "update posting set corrects = (select p.posting_id from posting p where p.event = 'purchase' order by 1 limit 1)
         where event = 'repayment'",
    ),
    (SOLD, "update loan set purchase_id = gen_random_uuid() where status = 'open'"),
    (SOLD, "update loan set status = 'open' where status = 'voided'"),
    (SOLD, "update purchase set merchant_id = gen_random_uuid()"),
    // Two purchases of one loan.
    (SOLD, "update purchase set loan_id = (select loan_id from loan order by 1 limit 1) where status = 'authorised'"),
    (OWNERS, "update loan set funder_id = gen_random_uuid() where status = 'voided'"),
    (OWNERS, "update repayment set funder_id = gen_random_uuid()"),
    (OWNERS, "update withholding set borrower_id = (select max(borrower_id::text)::uuid from credit_line)"),
    (
        "what fell off a loan's principal is what its refunds took off it",
        "update loan set principal_returned_fen = principal_returned_fen + 1 where status = 'open'",
    ),
    (
        "what fell off a loan's principal is what its refunds took off it",
        "update refund set loan_id = (select loan_id from loan where status = 'voided' limit 1)",
    ),
    (PLANS, "update schedule set version = version + 100"),
    (
        PLANS,
        "insert into schedule (loan_id, line_id, version, reason, due_on, principal_fen, interest_fen, fee_fen, business_day)
         select loan_id, line_id, version + 7, reason, due_on, principal_fen, interest_fen, fee_fen, business_day from schedule",
    ),
    // One is asked for a fen of interest more, and another one for a fen less.
    (
        FIRST_PLANS,
        "with two as (select s.loan_id, case when row_number() over (order by s.loan_id) = 1 then 1 else -1 end as fen
                      from schedule s where s.version = 1 and s.interest_fen[1] > 1 order by s.loan_id limit 2)
         update schedule s set interest_fen[1] = s.interest_fen[1] + two.fen from two where two.loan_id = s.loan_id and s.version = 1",
    ),
    (FIRST_PLANS, "update schedule set principal_fen[1] = principal_fen[1] + 1, interest_fen[1] = interest_fen[1] - 1 where version = 1"),
    (FIRST_PLANS, "update purchase set subsidy_fen = subsidy_fen + 1 where status = 'authorised'"),
    // It is billed a month later than it was sold for, and its rows fall due when they did.
    (
        FIRST_PLANS,
        "update loan set first_statement_on = (first_statement_on + interval '1 month')::date,
                         last_statement_on = (last_statement_on + interval '1 month')::date",
    ),
    // One part of a sale that was taken back brings a fen too much or too little.
    (RETURNED, "update refund set subsidy_returned_fen = subsidy_returned_fen - 1 where subsidy_returned_fen > 0"),
    (RETURNED, "update refund set discount_fee_returned_fen = discount_fee_returned_fen + 1"),
    (SHARES, "update remittance_part set share_fen = share_fen + 1"),
    // One kind of income has the share of another one.
    (SHARES, "update remittance_part set interest_fen = 0, principal_fen = principal_fen + interest_fen where interest_fen > 100"),
    (CARRIED, "update settlement_part set carried_in_fen = carried_in_fen - 1"),
    // Said to be made up for by a day that took nothing in.
    (
        CARRIED,
        "update settlement set carried_into = (select settlement_id from settlement where status = 'paid' limit 1)
         where settlement_id = (select settlement_id from settlement where status = 'carried' and carried_into is null limit 1)",
    ),
    // A day of it is forgotten, and so is its penalty, of which no more is collected than has run.
    (FEN_DAYS, "update bill_line set fen_days = fen_days - 1 where fen_days > 0"),
    (FEN_DAYS, "update bill_line set fen_days = fen_days + 1 where fen_days > 0"),
    // Its funder goes on lending out of the platform's money.
    (
        "an advance that was not repaid for a fortnight is overdue",
        "alter table reserve drop constraint reserve_adds_up, drop constraint reserve_never_overdrawn;
         update reserve set available_fen = -1, advance_since = '2020-01-01'",
    ),
    // As if it had never been compared with our orders.
    (
        "money that a compared file names is booked, or a break is about it",
        "update channel_file_line set withholding_id = gen_random_uuid() where succeeded",
    ),
    (
        "money that a compared file names is booked, or a break is about it",
        "delete from repayment where source = 'withholding'",
    ),
    (
        "a claim is booked as it was paid, and one that was taken back is not",
        "insert into claim_by_bank_reference (bank_reference, funder_id, line_id, claim_id)
         select 'G-1', funder_id, line_id, gen_random_uuid() from credit_line limit 1",
    ),
    // Its bill is not there, so that nobody asks for it.
    ("a bill is the sum of its lines", "delete from bill"),
    (
        "statements bill what schedules ask, and leave nothing out",
        "insert into bill_line (line_id, loan_id, period, due_on, principal_fen, interest_fen, fee_fen)
         select line_id, gen_random_uuid(), 1, due_on, 0, 1, 0 from bill limit 1;
         update bill b set interest_fen = b.interest_fen + 1
         from bill_line i where i.line_id = b.line_id and i.due_on = b.due_on and i.principal_fen = 0",
    ),
    (PAYEES, "update payout set beneficiary_id = gen_random_uuid() where kind = 'settlement'"),
    (PAYEES, "update payout set beneficiary_id = gen_random_uuid() where kind = 'remittance'"),
    (
        PAYEES,
        "insert into payout (payout_id, kind, source_id, beneficiary_id, line_id, funder_id, amount_fen, status, pay_on, created_at)
         select gen_random_uuid(), 'borrower', gen_random_uuid(), borrower_id, line_id, funder_id, 1, 'created', '2026-01-05', now()
         from credit_line limit 1",
    ),
    // One was booked for two.
    (
        PAID,
        "update posting set source_id = (select source_id from posting where event = 'settlement_paid' order by posting_id limit 1)
         where event = 'settlement_paid'",
    ),
    (PAID, "update posting set source_id = gen_random_uuid() where event = 'remittance_paid'"),
    (
        PAID,
        "update posting set event = 'borrower_paid', debit = '{111}', credit = '{101}', amount_fen = '{1}'
         where posting_id = (select posting_id from posting where event = 'purchase' limit 1)",
    ),
    (
        TRANSFERS,
        "update repayment set source = 'transfer' where repayment_id = (select repayment_id from repayment where amount_fen > 0 limit 1)",
    ),
    (
        TRANSFERS,
        "insert into transfer_by_bank_reference (bank_reference, line_id, repayment_id)
         select 'T-1', line_id, gen_random_uuid() from credit_line limit 1",
    ),
    // One installment is asked for with another one, or later.
    (
        REDUCED,
        "update schedule set principal_fen[1] = principal_fen[1] + 100000, principal_fen[2] = principal_fen[2] - 100000
         where reason = 'refund'",
    ),
    (REDUCED, "update schedule set due_on[2] = due_on[2] + 30 where reason = 'refund'"),
    // It stands on a day that is not the one of its books.
    (POSTED, "update purchase set business_day = business_day + 1 where status = 'authorised'"),
    (
        POSTED,
        "update repayment set business_day = business_day + 1
         where repayment_id = (select repayment_id from repayment order by business_day desc, repayment_id limit 1)",
    ),
    // What was paid of one part is booked as paid of another one.
    (PARTS, "update posting set credit = array_replace(credit, 204::smallint, 208::smallint) where event = 'repayment'"),
    (PARTS, "update posting set credit = array_replace(credit, 201::smallint, 204::smallint) where event = 'repayment'"),
    // It was written off on another day than its books say.
    (
        "a charge-off is what was posted for it",
        "with lost as (update posting p set event = 'charge_off', source_id = l.loan_id, debit = '{214}', credit = '{213}', amount_fen = '{1}'
                       from loan l
                       where l.line_id = p.line_id
                         and p.posting_id = (select posting_id from posting where event = 'purchase' limit 1)
                       returning p.posting_id, p.line_id, p.funder_id, p.business_day, l.loan_id)
         insert into charge_off (line_id, loan_id, funder_id, business_day, schedule_version, principal_fen, interest_fen, fee_fen,
                                 posting_id)
         select line_id, loan_id, funder_id, business_day + 1, 1, 1, 0, 0, posting_id from lost",
    ),
    // It says what it has collected, and is not held for collected.
    (COLLECTED, "update withholding set status = 'failed', failure = 'refused' where status = 'succeeded'"),
    // The channel pays a fen less for one order, and a fen more for another one.
    (
        OWED_BY_ORDER,
        "with two as (select channel, business_day, line_no,
                             case when row_number() over (order by business_day, line_no) = 1 then 1 else -1 end as fen
                      from channel_file_line where succeeded order by business_day, line_no limit 2)
         update channel_file_line f set amount_fen = f.amount_fen + two.fen
         from two where two.channel = f.channel and two.business_day = f.business_day and two.line_no = f.line_no",
    ),
    // Nothing is booked of what it pays, and a break over a fen of it was dismissed.
    (
        OWED_BY_ORDER,
        "insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen, proposed,
                                           proposed_by, owner, status, opened_on)
         select gen_random_uuid(), channel, business_day, 'amount_differs', withholding_id, collected_fen, collected_fen - 1,
                'ask_channel', 'comparison', 'comparison', 'dismissed', business_day
         from withholding where collected_fen > 0;
         delete from repayment where source = 'withholding'",
    ),
    // Debts are paid by money of orders that were never made.
    (
        OWED_BY_ORDER,
        "update repayment set source = 'channel_file', source_reference = gen_random_uuid()::text where source = 'withholding'",
    ),
    (OWED_BY_ORDER, "delete from channel_file_line where succeeded"),
    // More would go back to the channel than it paid.
    (
        OWED_BY_ORDER,
        "insert into reconciliation_break (break_id, channel, business_day, kind, withholding_id, our_fen, their_fen, proposed,
                                           proposed_by, owner, status, opened_on)
         select gen_random_uuid(), channel, business_day, 'missing_here', gen_random_uuid(), 0, 1, 'ask_channel', 'comparison',
                'comparison', 'open', business_day
         from channel_file limit 1",
    ),
    (MOVED, "update posting set source_id = gen_random_uuid() where event = 'clearing'"),
    (MOVED, "update posting set source_id = gen_random_uuid() where event = 'interest'"),
    (MOVED, "update reserve_entry set business_day = business_day + 1 where kind = 'deposit'"),
    (
        MOVED,
        "update posting set event = 'break_settled', debit = '{101}', credit = '{107}', amount_fen = '{1}'
         where posting_id = (select posting_id from posting where event = 'purchase' limit 1)",
    ),
    (
        "an order about a reserve that is booked stands in its journal",
        "insert into reserve_order (order_id, funder_id, kind, amount_fen, reference, status, noted_by, noted_at, decided_by,
                                    decided_at)
         select gen_random_uuid(), funder_id, 'deposit', 1, 'D-1', 'booked', 'Li Na', now(), 'Wang Wei', now() from funder",
    ),
    // Another merchant is asked for the money, or is paid.
    (MERCHANTS, "update refund set merchant_id = gen_random_uuid()"),
    (
        MERCHANTS,
        "insert into merchant_code (code_id, merchant_id, kind, status, created_at)
         values (gen_random_uuid(), gen_random_uuid(), 'static', 'open', now());
         update purchase set code_id = (select code_id from merchant_code
                                        where merchant_id not in (select merchant_id from merchant) limit 1)
         where status = 'authorised'",
    ),
    // The bank made it under another reference.
    (PAYMENTS, "update settlement set bank_reference = 'B-1' where status = 'paid'"),
    (PAYMENTS, "update payout set bank_reference = 'B-1' where kind = 'remittance' and status = 'succeeded'"),
    // Nothing else collects from its line until then.
    (
        PUT_OFF,
        "alter table withholding drop constraint withholding_check1; update withholding set status = 'created', submit_at = '2099-01-01'
         where withholding_id = (select withholding_id from withholding limit 1)",
    ),
    (
        PUT_OFF,
        "alter table payout drop constraint payout_check, drop constraint payout_check1;
         update payout set status = 'created', pay_on = '2099-01-01' where kind = 'settlement'",
    ),
];
