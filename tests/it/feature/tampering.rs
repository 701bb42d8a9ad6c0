//! Every identity of `fenqi verify` detects its violation: in a house with a history one thing is changed by plain SQL, and the identity
//! that it breaks is among the findings.

use std::collections::BTreeSet;

use fenqi::verify::store::{IDENTITIES, check};
use sqlx::{AssertSqlSafe, Connection, PgPool};

use super::day_file::lived_in;
use super::tampered_days::OF_DAYS;
use super::tampered_events::OF_EVENTS;

const INCOME: &str = "income, costs and what is on its way to funders are what the events behind them say";

const SPANS: &str = "interest and fees run as schedules ask, and are posted in full by their end";

const STATUS: &str = "a line is frozen and closed as its journal says";

const ORDERS: &str = "an order is paid once, by a purchase of its amount";

const PAYMENTS: &str =
    "what is owed to merchants, funders and cards has one payment of its amount, and is paid when that is";

/// Every leg of one account stands in another one: of the two, only one is among those that the sentence is about.
macro_rules! moved {
    ($from:literal to $to:literal) => {
        concat!(
            "update posting set debit = array_replace(debit, ",
            $from,
            "::smallint, ",
            $to,
            "::smallint), credit = array_replace(credit, ",
            $from,
            "::smallint, ",
            $to,
            "::smallint) where ",
            $from,
            " = any(debit || credit)"
        )
    };
}

/// The same on one side of its legs, where the account has nothing left at the end.
macro_rules! moved_on_one_side {
    ($side:literal, $from:literal to $to:literal) => {
        concat!(
            "update posting set ",
            $side,
            " = array_replace(",
            $side,
            ", ",
            $from,
            "::smallint, ",
            $to,
            "::smallint) where ",
            $from,
            " = any(",
            $side,
            ")"
        )
    };
}

/// An identity's sentence, and a change after which it is not true.
const TAMPERED: &[(&str, &str)] = &[
    (
        "every leg of a posting is positive and stays within one book",
        "update posting set credit[1] = credit[1] % 100 + case credit[1] / 100 when 1 then 200 else 100 end
         where posting_id = (select posting_id from posting order by 1 limit 1)",
    ),
    (
        "every leg of a posting is positive and stays within one book",
        "update posting set amount_fen = '{}' where posting_id = (select posting_id from posting order by 1 limit 1)",
    ),
    (
        "every book of a closed day sums to zero",
        "update ledger_day set debit_fen = debit_fen + 1 where ctid = (select ctid from ledger_day limit 1)",
    ),
    (
        "the sums of closed days are the sums of their postings",
        "update posting set amount_fen[1] = amount_fen[1] + 1
         where posting_id = (select posting_id from posting order by business_day limit 1)",
    ),
    // Over all days nothing is missing.
    (
        "the sums of closed days are the sums of their postings",
        "update posting set business_day = business_day + 1
         where posting_id = (select posting_id from posting where event = 'purchase' order by business_day limit 1)",
    ),
    // One side makes up for the other.
    (
        "the sums of closed days are the sums of their postings",
        "update ledger_day set debit_fen = debit_fen + 1, credit_fen = credit_fen + 1 where account = 101",
    ),
    (
        "losses are booked by what is written off or did not come, and recoveries by what did",
        "update posting set debit = '{214}', credit = '{213}', amount_fen = '{1}'
         where posting_id = (select posting_id from posting where event = 'repayment' limit 1)",
    ),
    (
        "losses are booked by what is written off or did not come, and recoveries by what did",
        "update posting set debit = '{213}', credit = '{215}', amount_fen = '{1}'
         where posting_id = (select posting_id from posting where event = 'purchase' limit 1)",
    ),
    (
        "what a line has used is the unpaid principal of its loans",
        "update credit_line set used_fen = used_fen - 1 where used_fen > 0",
    ),
    ("a line stands where its journal ends", "update credit_line set limit_fen = limit_fen + 1"),
    ("a line's journal has no gap and sums to what it says", "delete from line_entry where entry_no = 1"),
    // Entries behind it are right.
    (
        "a line's journal has no gap and sums to what it says",
        "update line_entry e set used_after_fen = used_after_fen + 1
         where entry_no = 1 and exists (select from line_entry n where n.line_id = e.line_id and n.entry_no = 2)",
    ),
    (STATUS, "update credit_line set status = 'frozen', frozen_for = 'operator'"),
    (STATUS, "update credit_line set status = 'closed', frozen_for = null"),
    (STATUS, "delete from line_entry where kind = 'unfreeze'"),
    (STATUS, "update line_entry set kind = 'limit' where kind = 'freeze'"),
    // Nobody lifts by hand what lateness has frozen.
    (STATUS, "update line_entry set reason = 'person:Li Na: paid' where kind = 'unfreeze'"),
    (
        "a line was opened with the limit that was approved",
        "insert into application (borrower_id, application_id, product_id, product_version, idempotency_key, request_sha256, facts,
                                  status, limit_fen, line_id, created_at)
         select borrower_id, gen_random_uuid(), product_id, 1, 'k', sha256('k'), '{}', 'approved', limit_fen, line_id, now()
         from credit_line limit 1",
    ),
    (
        "no purchase took a line over its limit",
        "update line_entry set used_after_fen = limit_after_fen + 1
         where (line_id, entry_no) = (select line_id, entry_no from line_entry where kind = 'purchase' limit 1)",
    ),
    (
        "a reserve stands where its journal ends",
        "update reserve_entry set available_after_fen = available_after_fen + 1
         where entry_no = (select last_entry_no from reserve)",
    ),
    (
        "a reserve's journal has no gap and sums to what it says",
        "update reserve_entry set available_after_fen = available_after_fen + 1 where entry_no = 1",
    ),
    ("a reserve's journal has no gap and sums to what it says", "update reserve_entry set kind = 'clearing' where kind = 'hold'"),
    (
        "an advance runs since the day on which its reserve fell below zero",
        "alter table reserve drop constraint reserve_adds_up, drop constraint reserve_never_overdrawn;
         update reserve_entry set available_after_fen = -1 where entry_no = (select last_entry_no from reserve);
         update reserve set available_fen = -1, advance_since = '2020-01-01'",
    ),
    (
        "slices are leased no more than their reserve has",
        "update reserve_slice set leased_fen = (select available_fen + 1 from reserve) where slice_no = 0",
    ),
    (
        "a reserve's totals are the sums of its journal",
        "update reserve_entry set amount_fen = amount_fen + 1 where kind = 'deposit'",
    ),
    (
        "what a reserve holds is what its purchases wait to be cleared for",
        "update reserve_slice set leased_fen = 1, used_fen = 1 where slice_no = 0",
    ),
    (
        "both books carry each reserve, and the funder's own its cash",
        "update reserve set deposited_fen = deposited_fen + 1, available_fen = available_fen + 1",
    ),
    (
        "loans outstanding are the books' loan principal",
        "update loan set principal_returned_fen = principal_returned_fen + 1 where status = 'open'",
    ),
    (
        "a loan that is paid or refunded owes neither principal nor charges",
        "update loan set status = 'paid', closed_on = made_on where status = 'open'",
    ),
    // Its principal has fallen, and the interest of its bill is owed.
    (
        "a loan that is paid or refunded owes neither principal nor charges",
        "update loan set status = 'refunded', principal_returned_fen = principal_fen - principal_paid_fen;
         update bill_line set interest_paid_fen = interest_paid_fen - 1 where interest_paid_fen > 0",
    ),
    (
        "a loan's installments sum to the loan",
        "update schedule set principal_fen[1] = principal_fen[1] + 1",
    ),
    // Of a line and its bill at once, so that the sum is right.
    (
        "statements bill what schedules ask, and leave nothing out",
        "update bill_line set interest_fen = interest_fen + 1; update bill set interest_fen = interest_fen + 1",
    ),
    (
        "statements bill what schedules ask, and leave nothing out",
        "update bill_line set due_on = due_on + 1; update bill set due_on = due_on + 1",
    ),
    (
        "statements bill what schedules ask, and leave nothing out",
        "delete from bill_line where period = 1; delete from bill b
         where not exists (select from bill_line i where i.line_id = b.line_id and i.due_on = b.due_on)",
    ),
    // It is held for paid, and asks for more in the coming periods.
    (
        "statements bill what schedules ask, and leave nothing out",
        "update loan set status = 'paid', closed_on = made_on where status = 'open'",
    ),
    ("a bill is the sum of its lines", "update bill set interest_fen = interest_fen + 1"),
    (
        "a paid bill owes nothing and an open one something",
        "update bill_line set interest_fen = bill_line.interest_fen + 1
         from bill b where b.line_id = bill_line.line_id and b.due_on = bill_line.due_on and b.status = 'paid'",
    ),
    (
        "a paid bill owes nothing and an open one something",
        "update bill set status = 'open', paid_on = null where status = 'paid'",
    ),
    // Its principal was late, and the penalty is paid as well.
    (
        "an open bill that owes nothing else owes penalty",
        "update bill set status = 'open', paid_on = null
         from bill_line i
         where i.line_id = bill.line_id and i.due_on = bill.due_on and i.penalty_paid_fen > 0 and bill.status = 'paid'",
    ),
    (
        "a paid bill owes no penalty",
        "update bill_line set penalty_paid_fen = penalty_paid_fen - 1 where penalty_paid_fen > 0",
    ),
    // A thousand yuan that were late for a day more.
    (
        "a paid bill owes no penalty",
        "update bill_line set fen_days = fen_days + 100000 where penalty_paid_fen > 0",
    ),
    (
        "no more penalty was collected than has run",
        "update bill_line set penalty_paid_fen = penalty_paid_fen + 1 where penalty_paid_fen > 0",
    ),
    // Its principal was there in time.
    ("no more penalty was collected than has run", "update bill_line set fen_days = 0 where penalty_paid_fen > 0"),
    (
        "principal paid on a loan is what its billed installments were paid",
        "update loan set principal_paid_fen = principal_paid_fen - 1 where principal_paid_fen > 0",
    ),
    ("a repayment is what it allocated and its excess", "update repayment set amount_fen = amount_fen + 1"),
    (
        "what installments were paid is what repayments allocated",
        "update bill_line set penalty_paid_fen = penalty_paid_fen + 1",
    ),
    // Nothing is missing of what the line paid: one part was taken for another, or one installment for another.
    (
        "what installments were paid is what repayments allocated",
        "update repayment set principal_fen[1] = interest_fen[1], interest_fen[1] = principal_fen[1]
         where principal_fen[1] <> interest_fen[1]",
    ),
    (
        "what installments were paid is what repayments allocated",
        "update bill_line set fee_paid_fen = fee_paid_fen - 1, penalty_paid_fen = penalty_paid_fen + 1 where fee_paid_fen > 0",
    ),
    (
        "what installments were paid is what repayments allocated",
        "update repayment set periods[1] = periods[1] + 1",
    ),
    (
        "what installments were paid is what repayments allocated",
        "update repayment set loan_ids[1] = gen_random_uuid()",
    ),
    (
        "what refunds gave back of paid interest and fees stands on the installments",
        "update refund set interest_back_fen = interest_back_fen + 1",
    ),
    (
        "what refunds gave back of paid interest and fees stands on the installments",
        "update bill_line set fee_back_fen = fee_back_fen + 1",
    ),
    (
        "what refunds gave back of paid interest and fees stands on the installments",
        "update bill_line set principal_back_fen = 10000000000",
    ),
    (
        "what refunds waived of interest and fees is asked for no more",
        "update refund set interest_waived_fen = interest_waived_fen + 1",
    ),
    (
        "penalty is reckoned from no more than all that bears it on every day",
        "update bill_line set fen_days = fen_days + principal_fen * 1000",
    ),
    (
        "penalty is reckoned from no more than all that bears it on every day",
        "update bill_line set fen_days_to = due_on where fen_days > 0",
    ),
    (
        "what refunds took off billed installments stands on them",
        "update refund set fell_periods = '{1}', fell_principal_fen = array[10000000000], fell_on = array[business_day],
                           fell_interest_fen = '{0}', fell_fee_fen = '{0}', back_interest_fen = '{0}', back_fee_fen = '{0}'",
    ),
    (
        "what refunds took off billed installments stands on them",
        "update refund set fell_periods = '{1}', fell_principal_fen = '{0}', fell_on = array[business_day],
                           fell_interest_fen = '{0}', fell_fee_fen = '{0}', back_interest_fen = array[10000000000],
                           back_fee_fen = '{0}'",
    ),
    (
        "each collected withholding is one repayment",
        "update withholding set collected_fen = collected_fen - 1 where collected_fen > 0",
    ),
    // Its money is booked, and would be collected once more.
    (
        "each collected withholding is one repayment",
        "update withholding set status = 'failed', failure = 'insufficient_funds', collected_fen = 0 where collected_fen > 0",
    ),
    (
        "a transfer that was taken back is a repayment and its reversal",
        "insert into transfer_by_bank_reference (bank_reference, line_id, repayment_id, proposal_no, proposed_by, reason,
                                                 confirmed_by, reversal_id)
         select 'T-1', line_id, repayment_id, 1, 'Li Na', 'twice', 'Wang Wei', gen_random_uuid() from repayment limit 1",
    ),
    (
        "what merchants are owed out of a funder's book is its part of what was cleared and not paid",
        "update settlement set status = 'to_pay', paid_on = null where status = 'paid'",
    ),
    // In the book of a funder that nobody knows; over all funders nothing is missing.
    (
        "what merchants are owed out of a funder's book is its part of what was cleared and not paid",
        "update posting set funder_id = gen_random_uuid() where event = 'clearing'",
    ),
    (
        "what channels owe is what they collected and have not settled",
        "update repayment set amount_fen = amount_fen + 1 where source = 'withholding'",
    ),
    (
        "what channels owe is what they collected and have not settled",
        "update posting set funder_id = gen_random_uuid() where event = 'channel_settles'",
    ),
    (
        "a channel's file is the sum of its lines",
        "update channel_file set cost_fen = cost_fen + 1",
    ),
    (
        "a channel's file is the sum of its lines",
        "delete from channel_file_line where line_no = 1",
    ),
    (
        "what is owed on to a funder is what was collected and not remitted",
        "update repayment set excess_fen = excess_fen + 1",
    ),
    (
        "what is owed on to a funder is what was collected and not remitted",
        "update remittance set status = 'to_pay' where status = 'paid'",
    ),
    (
        "what is owed back to borrowers is what has not been paid to their cards",
        "insert into payout (payout_id, kind, source_id, beneficiary_id, line_id, funder_id, amount_fen, status, pay_on, created_at)
         select gen_random_uuid(), 'borrower', gen_random_uuid(), borrower_id, line_id, funder_id, 1, 'created', '2026-01-05', now()
         from credit_line limit 1",
    ),
    (
        "fees receivable are what accrued and was not collected",
        "insert into interest_span (funder_id, product_id, charge, from_on, to_on, amount_fen, accrued_fen)
         select funder_id, product_id, 'fee', '2026-01-05', '2026-02-05', 1, 1 from product limit 1",
    ),
    (
        "what is charged off is what remains receivable of loans charged off",
        "insert into interest_span (funder_id, product_id, charge, from_on, to_on, amount_fen, accrued_fen)
         select funder_id, product_id, 'suspended_interest', '2026-01-05', '2026-02-05', 1, 1 from product limit 1",
    ),
    (
        "a charge-off is what was posted for it",
        "insert into charge_off (line_id, loan_id, funder_id, business_day, schedule_version, principal_fen, interest_fen, fee_fen,
                                 posting_id)
         select line_id, loan_id, funder_id, '2026-01-05', 1, 1, 0, 0, gen_random_uuid() from loan limit 1",
    ),
    (
        "a charge-off is what was posted for it",
        "update posting set event = 'charge_off' where posting_id = (select posting_id from posting where event = 'purchase' limit 1);
         update posting set debit = '{214}', credit = '{213}', amount_fen = '{1}' where event = 'charge_off'",
    ),
    (
        "a claim is booked as it was paid, and one that was taken back is not",
        "update posting set event = 'claim_paid', debit = '{211}', credit = '{216}', amount_fen = '{1}'
         where posting_id = (select posting_id from posting where event = 'purchase' limit 1)",
    ),
    ("claims received are what guarantors paid and has not come in for them", "update loan set claim_paid_fen = 1"),
    (
        "what is owed to guarantors is what came in for them",
        "insert into recourse (line_id, source_id, loan_id, amount_fen, is_charged_off, business_day)
         select line_id, gen_random_uuid(), loan_id, 1, false, '2026-01-05' from loan limit 1",
    ),
    (
        "what guarantors paid of a loan, and what came in for them, stands on it",
        "insert into claim (line_id, claim_id, loan_id, funder_id, principal_fen, interest_fen, fee_fen, penalty_fen, asked_on, asked_by,
                            status, bank_reference, stated_by, confirmed_by, paid_on)
         select line_id, gen_random_uuid(), loan_id, funder_id, 1, 0, 0, 0, '2026-01-05', 'Li Na', 'paid', 'G-1', 'Li Na', 'Wang Wei',
                '2026-01-06'
         from loan limit 1",
    ),
    ("what guarantors paid of a loan, and what came in for them, stands on it", "update loan set claim_paid_fen = 1"),
    ("the bank has what was paid in and not paid out", "update reserve set deposited_fen = deposited_fen + 1, available_fen = available_fen + 1"),
    (
        "the bank has what was paid in and not paid out",
        "update posting set funder_id = gen_random_uuid() where event = 'settlement_paid'",
    ),
    (INCOME, moved!(105 to 101)),
    (INCOME, moved_on_one_side!("credit", 104 to 106)),
    (INCOME, moved_on_one_side!("debit", 107 to 112)),
    (INCOME, moved!(108 to 101)),
    (INCOME, moved!(110 to 101)),
    (INCOME, moved!(205 to 204)),
    (INCOME, moved!(207 to 206)),
    (INCOME, moved!(208 to 206)),
    (INCOME, moved!(209 to 211)),
    (INCOME, moved_on_one_side!("debit", 210 to 211)),
    (INCOME, moved!(212 to 211)),
    (INCOME, "update refund set discount_fee_returned_fen = discount_fee_returned_fen + 1"),
    (INCOME, "update refund set subsidy_returned_fen = subsidy_returned_fen + 1"),
    (INCOME, "update refund set interest_back_fen = interest_back_fen + 1"),
    (INCOME, "update refund set fee_back_fen = fee_back_fen + 1"),
    (
        INCOME,
        "alter table refund drop constraint refund_back_recovered;
         update refund set interest_back_recovered_fen = interest_back_recovered_fen + 1",
    ),
    (INCOME, "update remittance set share_fen = share_fen + 1, net_fen = net_fen - 1, payable_fen = payable_fen - 1"),
    (INCOME, "update repayment set penalty_fen[1] = penalty_fen[1] + 1"),
    (INCOME, "update channel_file_line set cost_fen = cost_fen + 1"),
    (
        "a settlement's parts are the purchases and refunds of its day",
        "update settlement_part set discount_fee_fen = discount_fee_fen + 1",
    ),
    (
        "a settlement is the sum of its parts and of what was carried into it",
        "update settlement_part set gross_fen = gross_fen + 1",
    ),
    (
        "a settlement is the sum of its parts and of what was carried into it",
        "alter table settlement drop constraint settlement_check, drop constraint settlement_check1;
         update settlement set net_fen = net_fen + 1",
    ),
    (
        "a settlement is the sum of its parts and of what was carried into it",
        "alter table settlement drop constraint settlement_check, drop constraint settlement_check1;
         update settlement set payable_fen = payable_fen + 1",
    ),
    ("a day on which a funder's borrowers paid is remitted", "delete from remittance_part; delete from remittance"),
    (
        "the subsidy that is remitted for a day is what its settlements held back",
        "update settlement_part set subsidy_fen = subsidy_fen + 1",
    ),
    // A merchant that nobody pays, one that is paid a fen too much, and one that is paid and said to wait.
    (PAYMENTS, "delete from payout where kind = 'settlement'"),
    (PAYMENTS, "update payout set amount_fen = amount_fen + 1"),
    (PAYMENTS, "update settlement set status = 'to_pay', paid_on = null where status = 'paid'"),
    // Paid by a purchase that was made by no code; paid with a fen less than it says; and paid without having heard of it.
    (
        ORDERS,
        "insert into merchant_code (code_id, merchant_id, kind, amount_fen, order_reference, expires_at, status, paid_purchase_id,
                                    created_at)
         select gen_random_uuid(), merchant_id, 'order', amount_fen, 'T-1', now(), 'paid', purchase_id, now()
         from purchase where status = 'authorised' limit 1",
    ),
    (
        ORDERS,
        "insert into merchant_code (code_id, merchant_id, kind, amount_fen, order_reference, expires_at, status, paid_purchase_id,
                                    created_at)
         select gen_random_uuid(), merchant_id, 'order', amount_fen + 1, 'T-1', now(), 'paid', purchase_id, now()
         from purchase where status = 'authorised' limit 1;
         update purchase p set code_id = c.code_id from merchant_code c where c.paid_purchase_id = p.purchase_id",
    ),
    (
        ORDERS,
        "insert into merchant_code (code_id, merchant_id, kind, amount_fen, order_reference, expires_at, status, created_at)
         select gen_random_uuid(), merchant_id, 'order', amount_fen, 'T-1', now(), 'open', now()
         from purchase where status = 'authorised' limit 1;
         update purchase p set code_id = c.code_id from merchant_code c
         where c.order_reference = 'T-1' and c.merchant_id = p.merchant_id and c.amount_fen = p.amount_fen",
    ),
    (
        "a purchase's refunds sum to what it says",
        "update purchase set refunded_fen = refunded_fen - 1 where refunded_fen > 0",
    ),
    (
        "every authorised purchase names a loan, a merchant and a product version that exist",
        "update purchase set product_version = 99 where status = 'authorised'",
    ),
    (SPANS, "update interest_span set amount_fen = amount_fen + 1"),
    (SPANS, "update schedule set interest_fen[1] = interest_fen[1] + 1"),
    // All of it was earned by then.
    (SPANS, "update interest_span set accrued_fen = accrued_fen - 1 where accrued_fen = amount_fen"),
    // They run as if they had begun earlier.
    (SPANS, "update interest_span set from_on = from_on - 10 where accrued_fen <> amount_fen"),
    (
        "a published version is the text that was proven",
        "update product_version set terms_text = terms_text || ' '",
    ),
    ("a loan stands on the rate that its plan names", "update loan set annual_rate = annual_rate + 0.001"),
    ("a loan stands on the rate that its plan names", "update loan set product_version = 99"),
    ("interest receivable is what accrued and was not collected", "update interest_span set accrued_fen = accrued_fen + 1"),
    (
        "what is remitted for a day is what came in on it, and the sum of its parts",
        "update remittance_part set principal_fen = principal_fen + 1",
    ),
    // One kind of income makes up for another.
    (
        "a remittance's parts are what each product brought in on its day",
        "update remittance_part set principal_fen = principal_fen + 1, interest_fen = interest_fen - 1",
    ),
    (
        "a remittance takes in what was carried into it",
        "update remittance set carried_in_fen = carried_in_fen - 1, payable_fen = payable_fen - 1",
    ),
    (
        "every message was delivered, is tried again, or was discarded with a reason",
        "update outbox set dead_at = now()",
    ),
    (
        "no message is left among those that are not kept any more",
        "insert into outbox_forgotten (partner, up_to_no, last_written_at)
         select partner, min(message_no), min(created_at) from outbox group by partner",
    ),
    (
        "no job is dead",
        "insert into job (job_id, kind, unique_key, status, run_at, created_at)
         values (gen_random_uuid(), 'daily_close', '2020-01-01', 'dead', now(), now())",
    ),
    (
        "no close that began is left unfinished for a later day",
        "update close_run set finished_at = null where business_day = (select min(business_day) from close_run)",
    ),
    (
        "no application waits for the risk hook for more than a day",
        "insert into application (borrower_id, application_id, product_id, product_version, idempotency_key, request_sha256, facts,
                                  status, created_at)
         select gen_random_uuid(), gen_random_uuid(), product_id, 1, 'k', sha256('k'), '{}', 'submitted', '2020-01-01'
         from product limit 1",
    ),
    (
        "no application waits for its funder after the time to answer",
        "alter table application drop constraint application_with_funder;
         insert into application (borrower_id, application_id, product_id, product_version, idempotency_key, request_sha256, facts,
                                  status, answer_by, created_at)
         select gen_random_uuid(), gen_random_uuid(), product_id, 1, 'k', sha256('k'), '{}', 'with_funder', '2020-01-01', now()
         from product limit 1",
    ),
    (
        "no order to collect or pay is pending for more than three days",
        "alter table withholding drop constraint withholding_check1; update withholding set status = 'unknown', business_day = '2020-01-01'
         where withholding_id = (select withholding_id from withholding limit 1)",
    ),
    (
        "no merchant's payouts are held for more than thirty days",
        "insert into payout_hold (merchant_id, held_by, reason, held_at)
         select beneficiary_id, 'Li', 'goods', '2020-01-01' from payout where kind = 'settlement' limit 1;
         update payout set status = 'created', bank_reference = null",
    ),
    (
        "no payment that the channel refused waits for a person for more than three days",
        "alter table payout drop constraint payout_check, drop constraint payout_check1; update payout set status = 'failed', pay_on = '2020-01-01'",
    ),
    (
        "no payment that the channel contradicts itself about waits for two people for more than a week",
        "update payout set contradicted_attempt = 1, contradiction = 'named_twice', contradicted_on = '2020-01-01'",
    ),
    ("the audit trail is one chain up to its head", "update audit_head set entry_no = entry_no + 1"),
    ("the audit trail is one chain up to its head", "delete from audit_head"),
];

#[sqlx::test(migrator = "fenqi::MIGRATOR")]
async fn each_identity_finds_what_was_changed_behind_its_back(pool: PgPool) {
    let town = lived_in(pool).await;
    let mut connection = town.app.pool.acquire().await.unwrap();
    let mut silent = Vec::new();
    for identity in IDENTITIES {
        assert_eq!(check(&mut connection, identity, &mut None).await.unwrap(), [], "before anything was changed");
        let changes =
            TAMPERED.iter().chain(OF_DAYS).chain(OF_EVENTS).filter(|(sentence, _)| *sentence == identity.sentence);
        let changes: Vec<&str> = changes.map(|(_, change)| *change).collect();
        if changes.is_empty() {
            silent.push(format!("{}: say here how it is broken", identity.sentence));
        }
        for change in changes {
            let mut tampered = connection.begin().await.unwrap();
            // Not held back by what keeps posted rows from being changed.
            sqlx::raw_sql("set local session_replication_role = replica").execute(&mut *tampered).await.unwrap();
            if let Err(failure) = sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut *tampered).await {
                silent.push(format!("{}: {failure}", identity.sentence));
            } else if check(&mut tampered, identity, &mut None).await.unwrap().is_empty() {
                silent.push(format!("{}: nothing is found after: {change}", identity.sentence));
            }
            tampered.rollback().await.unwrap();
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
    let told: BTreeSet<&str> = TAMPERED.iter().chain(OF_DAYS).chain(OF_EVENTS).map(|(sentence, _)| *sentence).collect();
    assert_eq!(told.len(), IDENTITIES.len(), "an identity that is no more is told here");
}
