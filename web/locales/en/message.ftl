# A merchant’s messages.
shop-messages = Messages
shop-messages-none = No messages yet.
shop-message-see = See
merchant-notice-payment_received = Payments received: { $count }, { $amount_fen } in all
merchant-notice-purchase_voided = A purchase of { $amount_fen } was undone and is not settled
merchant-notice-refund = { $amount_fen } was refunded and is taken off your settlement
merchant-notice-settlement_paid = { $amount_fen } was paid to your account on { $paid_on }, bank reference { $bank_reference }
merchant-notice-settlement_delayed = { $amount_fen } could not be paid to your account yet. We see to it. If that account is closed, call customer service
merchant-notice-settlement_reversed = The bank says that { $amount_fen } under reference { $bank_reference } was not paid to your account after all. It is paid again
merchant-notice-merchant_accepted = Your application was accepted: you can take payments
merchant-notice-merchant_refused = Your application was not accepted: { $because }. Correct it and send it again
merchant-notice-merchant_passed_over = Your application was not accepted, because another application of the same company was. If nobody of your company sent that one, contact customer service
merchant-notice-merchant_suspended = You can take no payments for the time being, and can still refund. Call customer service to learn more
merchant-notice-merchant_resumed = You can take payments again
merchant-notice-merchant_closed = Your merchant account was closed, and you can take no more payments. Call customer service to learn more
merchant-notice-merchant_account_changed = What you sell is paid to another account from now on, which ends in { $account_tail }. If nobody of your company asked for that, call customer service at once
merchant-notice-merchant_agreement_changed =
    { $refund ->
        [returned] Your agreement was changed: from the next purchase on the discount fee is { $discount_rate }, and comes back when a purchase is refunded
       *[kept] Your agreement was changed: from the next purchase on the discount fee is { $discount_rate }, and stays when a purchase is refunded
    }
merchant-notice-merchant_payouts_held = What is to be paid to you is held back from now on. Each day is settled as before. Call customer service to learn more
merchant-notice-merchant_payouts_released = You are paid again: what was held back and is due goes to your account with the next payments
merchant-notice-other = You have a new message
shop-desk = Shop
