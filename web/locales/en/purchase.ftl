# Paying by a scanned code.
pay-title = Pay
pay-to = Pay to
pay-amount = Amount
pay-available = { $amount } available
pay-bounds = One purchase: { $least } to { $most }
pay-below-least = The amount is too small for installments, which begin at { $least }. Raise it or pay another way.
pay-above-most = The amount is more than one purchase may be, which is { $most }. Lower it, or pay another way.
pay-keypad = Number keys
pay-rub = Delete
pay-see-plans = See plans
pay-expires = Please pay before { $time }
pay-to-bills = See my bills
pay-to-apply = Apply for a line
back = Back
back-home = Home
plans-title = Choose a plan
plans-choose = Choose a plan
plans-more = { $count ->
    [one] { $count } more plan
   *[other] { $count } more plans
}
plans-next = Next
plans-rates-what = Annual rates follow from the payments themselves: simple is the monthly internal rate of return times 12, compound (IRR) is that monthly rate compounded over a year. There are no other charges if you pay as planned; what paying late or early costs is said before you confirm.
plan-once = All at once with the next bill
plan-each = { $amount } × { $periods } payments
plan-uneven = { $first } first, { $last } last, { $periods } payments
plan-pays-level = { $amount } each
plan-pays-uneven = { $first } at first and { $last } at the end
plan-periods = { $periods } payments
plan-period = Payment { $period }
plan-free = No interest
plan-interest = Interest { $interest } in all
plan-guarantee = guarantee charge { $guarantee } in all
plan-rates = { $nominal } a year (simple), { $effective } (compound, IRR)
plan-merchant-pays = The merchant pays the interest: { $subsidy }
plan-merchant-pays-part = The merchant pays part of the interest: { $subsidy }
plan-changed-to =
    { $periods ->
        [one] To pay all at once was { $before } at { $before_rate } a year (simple), and is { $now } at { $now_rate } now.
       *[other] Your { $periods } payments were { $before } at { $before_rate } a year (simple), and are { $now } at { $now_rate } now.
    }
plan-changed-gone =
    { $periods ->
        [one] Your plan to pay all at once is no longer sold.
       *[other] Your plan of { $periods } payments is no longer sold.
    }
plan-details = How much is due, and when
plan-column-period = No.
plan-column-due = Due on
plan-column-payment = Payment
part-principal = Principal
part-interest = Interest
confirm-title = Confirm
confirm-plan = Plan
confirm-each = Each payment
confirm-last = the last one { $amount }
confirm-interest = Interest in all
confirm-guarantee = Guarantee charge in all
confirm-total = To repay in all
rate-nominal = Annual rate (simple)
rate-effective = Annual rate (compound, IRR)
confirm-subsidy = Paid by the merchant
confirm-subsidy-by = { $subsidy } of the interest
confirm-first-due = First payment due
confirm-card = Repaid from the card
confirm-expires = Order expires
confirm-other-plan = Another plan
confirm-consent = This is a loan, to be repaid as it falls due. By entering your PIN you borrow by this plan to pay { $merchant }, and agree that it is repaid from your bank card as it falls due.
confirm-pay = Pay { $amount }
confirm-no-card = Bind a bank card first: what falls due is taken from it. Then you come back to this payment, with its amount and plan.
confirm-lost = The network is gone, and it is not known yet whether you have paid. Asking again for the same payment; you will not pay twice.
confirm-asking = Paying, one moment.
confirm-give-up = Still no connection. Check your network and press the button again: the same payment succeeds only once.
method-equal_installment = equal payments
method-equal_principal = equal principal
method-flat_fee = equal interest each time
method-interest_first = interest first
method-interest_free = interest-free
result-title = Payment
result-paid = Paid
result-paid-at = Paid on { $time }
flash-paid-before = This was paid before; nothing was paid just now.
result-refused = Not paid
result-nothing-owed = You owe nothing for this, and your line was not used.
result-voided = Payment undone
result-voided-what = { $amount } at { $merchant } was undone. Your line is free again and there is nothing to repay.
result-first-payment = First payment
result-time = Paid at
result-refunded = Refunded
result-refund = { $amount } was refunded on { $day }.
result-refund-fell = { $fell } of it came off what you owe.
result-back-under-way = { $amount } is on its way back to your card. When it shows depends on your bank.
result-back-sent = { $amount } was sent back to your card on { $time }. When it shows depends on your bank.
result-back-failed = { $amount } could not be sent back to your card yet; we are seeing to it. Please make sure that a bank card of yours is bound.
result-number = Number
result-show-merchant = The merchant has been told; you can show this page to the cashier.
result-done = Done
result-see-loan = See the loan
result-again = Try again
closed-title = Cannot be paid now
refusal-plan_changed = The plans or their prices have just changed. Please look at them again and choose. You have not borrowed anything.
refusal-schedule_changed = A new business day has begun since this page was opened, and due days or amounts of this plan have changed. Look at them again and enter your PIN. You have not borrowed anything.
refusal-paid_another = This page was used for another payment already. What it shows now is not paid: check amount and plan and enter your PIN again.
refusal-no_line = You have no credit line yet. Once it is approved, scan the code again to pay.
refusal-link_malformed = A link begins with https:// and has at most 500 characters.
elsewhere-title = Please do not pay in { $app }
elsewhere-wechat = Open WeChat and scan this code again with its Scan,
elsewhere-browser = or copy the link below and open it in your phone’s browser.
elsewhere-link = Link to pay
elsewhere-other = Pay with { $app }
elsewhere-other-what = Another page that the merchant offers. It is not paid in installments, and we do not answer for it.
elsewhere-other-go = Open the merchant’s page
other-app-alipay = Alipay
other-app-unionpay = UnionPay
other-app-douyin = Douyin
other-app-dingtalk = DingTalk
other-app-jd = JD
other-app-feishu = Feishu
other-app-meituan = Meituan
other-app-weibo = Weibo
other-app-qq = QQ
scan-tab = Scan
scan-title = Scan to pay
scan-what = Point the camera at the merchant’s code.
scan-in-wechat = Scan the merchant’s code with WeChat’s Scan and the payment page opens. Or scan it here.
scan-by-wechat = Scan with WeChat
scan-camera = Camera
scan-start = Open the camera
scan-picture = Choose a picture
scan-looking = Point it at the code
scan-denied = The camera did not open. Allow it in your settings, or choose a picture of the code.
scan-no-camera = This device has no camera to use. Choose a picture of the code, or enter the link printed on it.
scan-no-script = Scripts are switched off in your browser, so the camera cannot be used here. Scan with your phone’s own camera, or enter the link printed on the code.
scan-go = Go on
scan-again = Scan again
field-scanned = Link on the code
hint-scanned = The address printed under the code; it ends in 22 letters and digits
error-code_not_ours = This is not a code of one of our merchants. Please check it
error-amount_format = Enter an amount with digits and a point only
error-amount_zero = The amount must be more than 0
error-amount_too_fine = An amount has at most two decimals
error-amount_too_large = This amount is too large. Please check it
why-this = Where these numbers come from
why-short = how it comes about
why-terms = By the terms of “{ $product }”, version { $version }, rounded to the nearest fen.
why-rest = principal { $principal } − { $before } of the payments before = { $part }
why-level = payment { $payment } − interest { $interest } = { $part }
why-level-kept = payment { $payment } − interest { $interest }, never below 0 or above the balance = { $part }
why-split = { $principal } ÷ { $periods } = { $part }
why-split-kept = { $principal } ÷ { $periods }, at most the balance = { $part }
why-free = an interest-free period
why-month = balance { $balance } × { $rate } a year ÷ 12 = { $part }
why-days = balance { $balance } × { $rate } a year × { $days ->
        [one] { $days } day
       *[other] { $days } days
    } ÷ { $basis } = { $part }
why-per-period = principal { $principal } × { $rate } a period = { $part }
why-per-period-kept = principal { $principal } × { $rate } a period, at most what is left of { $total } in all = { $part }
why-per-period-rest = principal { $principal } × { $rate } × { $periods ->
        [one] { $periods } period
       *[other] { $periods } periods
    } = { $total }; { $total } − { $before } of the periods before = { $part }
why-guarantee = principal { $principal } × { $rate } a period for the guarantor = { $part }
why-guarantee-kept = principal { $principal } × { $rate } a period for the guarantor, at most what is left of { $total } in all = { $part }
why-guarantee-rest = principal { $principal } × { $rate } × { $periods ->
        [one] { $periods } period
       *[other] { $periods } periods
    } for the guarantor = { $total }; { $total } − { $before } of the periods before = { $part }
why-guarantee-free = a period without a guarantee charge
why-subsidy = interest { $gross } − { $subsidy } that the merchant pays = { $interest } that you pay
why-no-interest = no interest is charged
why-balance = balance: principal { $principal } − { $before } of the payments before = { $balance }
why-payment = payment: { $principal } × { $rate } a year ÷ 12 ÷ (1 − (1 + { $rate } ÷ 12)^−{ $periods }) = { $payment }
why-payment-free = payment: { $principal } ÷ { $periods } = { $payment }
why-payment-months = payment { $payment }: the one equal amount that clears { $principal } in { $periods ->
        [one] { $periods } payment
       *[other] { $periods } payments
    } if the first { $free ->
        [one] period bears
       *[other] { $free } periods bear
    } no interest, and each later one { $rate } a year ÷ 12
why-payment-actual = payment { $payment }: the one equal amount that clears { $principal } in { $periods ->
        [one] { $periods } payment
       *[other] { $periods } payments
    } at { $rate } a year over the days that bear interest
why-rescaled = interest before { $old } × (balance { $before } × { $before_days ->
        [one] { $before_days } day
       *[other] { $before_days } days
    } before the refund + { $after } × { $after_days ->
        [one] { $after_days } day
       *[other] { $after_days } days
    } after) ÷ ({ $before } × { $days ->
        [one] { $days } day
       *[other] { $days } days
    }) = { $new }
why-rescaled-again = interest as agreed { $old } × ({ $borne }) ÷ ({ $before } × { $days ->
        [one] { $days } day
       *[other] { $days } days
    }) = { $new }
why-rescaled-balance = balance { $balance } × { $days ->
        [one] { $days } day
       *[other] { $days } days
    }
why-rescaled-fee = interest before { $old } × principal not billed { $after } ÷ { $before } before the refund = { $new }
why-rescaled-guarantee = guarantee charge before { $old } × principal not billed { $after } ÷ { $before } before the refund = { $new }
why-rescaled-fee-again = interest before the refunds { $old } × principal not billed { $after } ÷ { $before } then = { $new }
why-rescaled-guarantee-again = guarantee charge before the refunds { $old } × principal not billed { $after } ÷ { $before } then = { $new }
why-no-guarantee-left = no principal is left, so no guarantee charge is asked for
why-nothing-left = no principal is left, so no interest is charged
why-in-all = In all
