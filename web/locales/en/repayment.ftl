# Repaying, and paying off early.
repay-title = Pay
repay-how-much = How much
repay-all = All of it, { $amount }
repay-part = A part of it
repay-amount = Amount in yuan
error-amount_or_all = All of it was chosen, and an amount typed too. Nothing was charged: pay this amount, or choose all and leave the field empty
repay-card = From the card
repay-card-tail = ending in { $tail }
repay-card-default = default
repay-bind-card = Bind a bank card
repay-pending = { $amount } is being collected; you can pay again once the bank has said what became of it.
repay-pending-see = See how it stands
repay-what = The bill that fell due first is settled first. Of each installment a guarantee charge, penalty and interest come before principal as a rule; once it is overdue for more days than your agreement names, principal comes first.
repay-lost = The network is gone, and it is not known yet whether the payment was ordered. Asking again for the same payment; you will not be charged twice.
repay-asking = Sending, one moment.
repay-give-up = Still no connection. Check your network and press again: the same payment is taken only once.
repay-other-line = Another line owes { $amount }
repay-line-settled = Nothing is owed on this credit line any more, and nothing was charged.
payoff-total = To pay off today
payoff-holds = Holds on { $day }
payoff-billed = Billed and not paid
payoff-billed-why = what is left of this loan on bills that were cut, with penalty interest to today
payoff-principal = Principal not billed yet
payoff-principal-why = the principal of all later payments
payoff-interest = Interest not billed yet
payoff-fee = For paying off early
payoff-fee-why = { $principal } × { $rate } = { $fee }
payoff-to-date = principal { $balance } × { $rate } a year × { $days ->
        [one] { $days } day
       *[other] { $days } days
    } since { $from } ÷ 365 = { $interest }
payoff-to-date-fee = with what the running period’s interest has earned so far:
payoff-at-most = never more than the schedule asks for, so { $most }
payoff-current-period = the interest of the period that began on { $from }
payoff-all =
    { $periods ->
        [one] all interest of the { $periods } payment that is left
       *[other] all interest of the { $periods } payments that are left
    }
payoff-waived = interest that is not billed is not charged
payoff-guarantee = Guarantee charge not billed yet
payoff-guarantee-to-date = the running period’s charge { $whole } × { $days ->
        [one] { $days } day
       *[other] { $days } days
    } so far ÷ { $period_days ->
        [one] { $period_days } day
       *[other] { $period_days } days
    } = { $charge }
payoff-guarantee-current = the guarantee charge of the period that began on { $from }
payoff-guarantee-all =
    { $periods ->
        [one] the guarantee charge of the { $periods } payment that is left
       *[other] the guarantee charges of the { $periods } payments that are left
    }
payoff-guarantee-waived = a guarantee charge that is not billed is not asked for
payoff-quoted-before = as it was quoted on the earlier day on which the payoff was ordered
payoff-see-schedule = See the schedule
payoff-go = Pay off { $amount }
order-title = Payment
order-is-created = Going to the bank
order-is-submitted = Waiting for the bank
order-is-unknown = The bank has not said yet
order-is-succeeded = Paid
order-is-failed = Not charged
order-is-reversed = This payment did not arrive
order-is-found = Paid after all
order-what-created = It goes to the bank at any moment. This page updates itself; you may leave, and will get a message.
order-what-submitted = The bank has it and mostly answers in seconds. This page updates itself; you may leave, and will get a message.
order-what-unknown = The money may have been taken, or it may not. We do not know yet and are asking the bank. Please do not pay again; nothing else is collected before this is known.
order-what-succeeded = It has been booked. The principal in it no longer counts as used of your line.
order-what-failed = Nothing was taken.
order-what-found = The bank’s daily account shows that this was taken, although it first said that it was not. It has been booked.
failure-insufficient_funds = There was not enough money on the card, and nothing was taken. Top it up or use another card.
failure-card_invalid = This card can no longer be charged, and nothing was taken. Use another card or bind it again.
failure-channel_down = The way to the bank is down, and nothing was taken. Please try again later.
failure-refused = The bank refused, and nothing was taken. Use another card, or ask your bank.
failure-superseded = This was never sent, and nothing was taken: another payment came first, or less is owed by now.
failure-reversed = The bank first said that this was paid; its daily account shows that it was not. What it had settled is owed again.
failure-other = The bank could not take it, and nothing was taken. Use another card, or ask your bank.
purpose-due = Collected on the due day
purpose-button = Paying bills
purpose-payoff = Paying off early
order-asked-due = What was left of the bills that had fallen due when it was ordered.
order-asked-button = The amount that you chose to pay.
order-asked-payoff = What it took to end this loan when it was ordered.
order-settled = What the money settled
order-parts = Principal + interest + penalty
order-parts-guarantee = Principal + interest + guarantee charge + penalty
order-for = For
order-time = Ordered at
order-excess = Left over, goes back to the card
order-again = Try again
order-cards = My cards
order-look = Look again
