# 商户的消息。
shop-messages = 消息
shop-messages-none = 还没有消息。
shop-message-see = 查看
merchant-notice-payment_received = 收到 { $count } 笔付款，共 { $amount_fen }
merchant-notice-purchase_voided = 一笔 { $amount_fen } 的交易已撤销，不结算
merchant-notice-refund = 退款 { $amount_fen } 已完成，从结算里扣减
merchant-notice-settlement_paid = 结算款 { $amount_fen } 已于{ $paid_on }打到您的账户，银行流水号 { $bank_reference }
merchant-notice-settlement_delayed = 结算款 { $amount_fen } 没能打到您的账户，我们正在处理。如果这个账户已注销，请联系客服
merchant-notice-settlement_reversed = 银行告知，结算款 { $amount_fen }（流水号 { $bank_reference }）实际没有打到您的账户，会重新打款
merchant-notice-merchant_accepted = 入网申请已通过，可以收款了
merchant-notice-merchant_refused = 入网申请没有通过：{ $because }。可以修改后重新提交
merchant-notice-merchant_passed_over = 入网申请没有通过，因为这家企业的另一份申请已经通过。如果那份不是贵公司提交的，请联系客服
merchant-notice-merchant_suspended = 您暂时不能收款，仍可以退款。请联系客服了解情况
merchant-notice-merchant_resumed = 您又可以收款了
merchant-notice-merchant_closed = 您的商户账户已关闭，不能再收款。请联系客服了解情况
merchant-notice-merchant_account_changed = 您的结算账户已更换，今后的结算款打到尾号 { $account_tail } 的账户。如果贵公司没有人提出过更换，请立即联系客服
merchant-notice-merchant_agreement_changed =
    { $refund ->
        [returned] 您的协议已变更：从下一笔交易起，每笔手续费为 { $discount_rate }，退款时退还
       *[kept] 您的协议已变更：从下一笔交易起，每笔手续费为 { $discount_rate }，退款时不退还
    }
merchant-notice-merchant_payouts_held = 平台从现在起暂时停止向您打款，每天照常结算。请联系客服了解情况
merchant-notice-merchant_payouts_released = 平台已恢复向您打款，暂停期间到期的款项会随下一批打款打到您的账户
merchant-notice-other = 您有一条新消息
shop-desk = 门店
