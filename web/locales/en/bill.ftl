# Bills and loans.
bills-title = Bills
bills-owed = Owed now
bills-owed-why = What is left of the bills below, penalty interest until today included
bills-late = { $amount } of it is late. Please pay it soon
bills-late-why = Those whose days of grace are over:
bills-pay = Pay now
bills-next = The next bill comes on { $day }
bills-nothing = Nothing is owed now
bills-open = To pay
bills-open-none = No bill is to be paid
bills-past = Paid
bills-past-none = No bill has been paid yet
bill-title = Bill
bill-due = Due on { $day }
bill-grace = No penalty interest if paid by { $day }
bill-installments =
    { $count ->
        [one] { $count } installment
       *[other] { $count } installments
    }
bill-paid-on = Paid on { $day }
bill-owed = Left to pay
bill-sum-why =
    { $count ->
        [one] What { $count } installment asks for, less { $paid } paid. Tap an amount to see how it comes about.
       *[other] What { $count } installments ask for, less { $paid } paid. Tap an amount to see how it comes about.
    }
bill-as-billed = As it was billed:
bill-period = Payment { $period } of { $periods }
bill-paid = Paid
bill-left = Left
part-penalty = Penalty interest
part-fee = Interest each time
part-guarantee = Guarantee charge
part-guarantee_payoff = Guarantee charge, and for paying off early
loans-title = My loans
loans-none = No loans yet.
loan-title = Loan
loan-left = Principal left
loan-principal = Principal
loan-paid = Principal paid
loan-returned = Taken off by refunds
loan-state = State
loan-state-open = Being repaid
loan-state-paid = Paid off
loan-state-refunded = Refunded
loan-state-voided = Undone
loan-rate = Contract rate a year
loan-left-why = principal { $principal } − paid { $paid } − refunded { $returned } = { $left }
loan-paid-why = Principal paid, payment by payment:
loan-undone-why = The purchase was undone: the loan of { $principal } is no more, and nothing is to be repaid.
loan-schedule = Schedule
loan-row-left = { $amount } left
loan-agreement = Loan agreement
state-paid = Paid
state-part = Paid in part
state-late = Late
state-grace = In grace
state-billed = To pay
state-coming = Not billed yet
state-gone = Nothing to pay
why-agreed = As agreed on { $day }
why-changed = Changed since
why-today = Owed today
why-asked = Asked for in all
why-paid-off = paid off early, as part of the payment that ended the loan
paid-by-withholding = Taken from the card
paid-by-transfer = By bank transfer
paid-by-channel_file = Taken from the card
paid-by-reversal = Taken back
paid-counts-from = counts from { $day }
why-grace =
    { $days ->
        [one] There is { $days } day of grace after the due day; later, penalty interest counts from the day after the due day.
       *[other] There are { $days } days of grace after the due day; later, penalty interest counts from the day after the due day.
    }
why-penalty-rate = Penalty rate a year: contract rate { $contract } × { $multiple } = { $rate }
why-overdue-principal = overdue principal
why-overdue-with-interest = overdue principal and interest
why-penalty-base = { $overdue }: { $sum }
why-penalty-days = { $overdue } { $unpaid } × { $count ->
        [one] { $count } day
       *[other] { $count } days
    } since { $since } = { $days } yuan-days
why-penalty-days-more = { $before } yuan-days until then + { $overdue } { $unpaid } × { $count ->
        [one] { $count } day
       *[other] { $count } days
    } since { $since } = { $days } yuan-days
why-penalty = Penalty interest: { $days } yuan-days × { $rate } a year ÷ { $basis } = { $penalty }
why-penalty-daily = Penalty interest: { $days } yuan-days × { $rate } a day = { $penalty }
version-made = Made
version-refund = Computed anew after a refund
version-payoff = Paid off early
version-restored = The money of the payoff did not come: as before
entries-title = Ledger entries
entries-none = No entries yet.
entry-legs = Debit { $debit }, credit { $credit }
event-purchase = Purchase
event-void = Undone
event-refund = Refund
event-repayment = Repayment
account-bank = bank
account-reserve_available = reserve, available
account-reserve_held = reserve, held
account-merchant_payable = owed to merchants
account-fee_income = merchant fee income
account-subsidy_payable = subsidy owed on
account-channel_receivable = due from the channel
account-channel_cost = channel cost
account-collections_payable = collections owed to the funder
account-share_income = share income
account-borrower_payable = owed back to borrowers
account-loan_principal = loan principal
account-funding_in_transit = funding in transit
account-reserve_at_platform = reserve at the platform
account-interest_receivable = interest due
account-interest_income = interest income
account-fee_receivable = interest or guarantee charge due each time
account-funder_fee_income = income of interest or guarantee charge each time
account-penalty_income = penalty income
account-subsidy_income = subsidy income
account-collections_in_transit = collections in transit
account-cash = cash
account-share_expense = share expense
account-charged_off = charged off
account-charge_off_loss = charge-off loss
account-recovery_income = recovery income
account-claims_received = claims received
account-guarantor_payable = owed to the guarantor
contract-terms = Terms of this loan
contract-product = Product
contract-version = version { $version }
contract-lender = Lender
contract-merchant = Paid to
contract-made = Made on
contract-rate-period = Rate each time
contract-rate-monthly = ; a twelfth of it each period
contract-rate-days = ; by the days of each period, a year counted as { $basis }
contract-rate-free =
    { $periods ->
        [one] ; no interest in the first payment
       *[other] ; no interest in the first { $periods } payments
    }
contract-guarantee = { $rate } of the amount bought, each payment; less in proportion after a refund; if you pay off early, by the rule for interest
contract-guarantee-free =
    { $periods ->
        [one] ; none in the first payment
       *[other] ; none in the first { $periods } payments
    }
contract-penalty-multiple = { $multiple } times the contract rate a year, counted over { $basis } days
contract-penalty-daily = { $rate } a day
contract-penalty-base = , on unpaid principal and interest
contract-grace = Grace
contract-days =
    { $days ->
        [one] { $days } day
       *[other] { $days } days
    }
contract-payoff-fee = ; { $rate } of the principal for paying off early
contract-order = A payment settles
contract-order-after = A payment settles, of what is more than { $days ->
        [one] { $days } day
       *[other] { $days } days
    } overdue
contract-text = The credit agreement in full
payoff-title = Pay off early
payoff-rule-to_date = interest to the day of the payoff
payoff-rule-current_period = interest of the running period
payoff-rule-all = all interest that is left
payoff-rule-none = no interest that is not billed
