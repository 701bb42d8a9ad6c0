# 扫码付款。
pay-title = 付款
pay-to = 付款给
pay-amount = 付款金额
pay-available = 可用额度 { $amount }
pay-bounds = 单笔 { $least } 至 { $most }
pay-below-least = 金额低于分期付款的起点 { $least }。请提高金额，或用其他方式付款。
pay-above-most = 金额超过单笔上限 { $most }。请减少金额，或用其他方式付款。
pay-keypad = 数字键盘
pay-rub = 删除
pay-see-plans = 看分期方案
pay-expires = 请在 { $time } 前完成付款
pay-to-bills = 查看账单
pay-to-apply = 申请额度
back = 返回
back-home = 回首页
plans-title = 选择分期方案
plans-choose = 选择分期方案
plans-more = 其他期数（{ $count } 种）
plans-next = 下一步
plans-rates-what = 年化利率按实际每期还款计算：单利为月内部收益率乘以 12，复利（IRR）为月内部收益率按复利折算成一年。按期还款没有其他费用；逾期和提前结清的费用在确认付款前说明。
plan-once = 下期账单一次付清
plan-each = { $amount } × { $periods } 期
plan-uneven = 首期 { $first }，末期 { $last }，共 { $periods } 期
plan-pays-level = 每期 { $amount }
plan-pays-uneven = 首期 { $first }、末期 { $last }
plan-periods = { $periods } 期
plan-period = 第 { $period } 期
plan-free = 免息
plan-interest = 总利息 { $interest }
plan-guarantee = 总担保费 { $guarantee }
plan-rates = 年化利率 { $nominal }（单利），{ $effective }（复利 IRR）
plan-merchant-pays = 利息由商户承担，商户支付 { $subsidy }
plan-merchant-pays-part = 商户承担部分利息，商户支付 { $subsidy }
plan-changed-to =
    { $periods ->
        [1] 您选的一次付清：原来{ $before }、年化利率（单利）{ $before_rate }，现在{ $now }、年化利率（单利）{ $now_rate }。
       *[other] 您选的 { $periods } 期：原来{ $before }、年化利率（单利）{ $before_rate }，现在{ $now }、年化利率（单利）{ $now_rate }。
    }
plan-changed-gone =
    { $periods ->
        [1] 您选的一次付清方案不再提供。
       *[other] 您选的 { $periods } 期方案不再提供。
    }
plan-details = 看每期还多少、哪天还
plan-column-period = 期数
plan-column-due = 还款日
plan-column-payment = 应还
part-principal = 本金
part-interest = 利息
confirm-title = 确认付款
confirm-plan = 分期方案
confirm-each = 每期应还
confirm-last = 最后一期 { $amount }
confirm-interest = 总利息
confirm-guarantee = 总担保费
confirm-total = 还款总额
rate-nominal = 年化利率（单利）
rate-effective = 年化利率（复利，IRR）
confirm-subsidy = 商户贴息
confirm-subsidy-by = 商户承担 { $subsidy }
confirm-first-due = 首期还款日
confirm-card = 还款银行卡
confirm-expires = 订单有效期至
confirm-other-plan = 换个方案
confirm-consent = 这是一笔借款，以后要按期归还。输入支付密码即表示：您同意按以上方案借款，用于向{ $merchant }付款，并从绑定的银行卡按期还款。
confirm-pay = 确认付款 { $amount }
confirm-no-card = 付款前请先绑定一张银行卡，以后每期还款从这张卡扣。绑好后会回到这笔付款，金额和方案都还在。
confirm-lost = 网络断了，付款结果还不清楚。正在用同一笔付款再次询问，不会重复付款。
confirm-asking = 正在付款，请稍候。
confirm-give-up = 还是连不上。请检查网络后再点一次“确认付款”：同一笔付款只会成功一次。
method-equal_installment = 等额本息
method-equal_principal = 等额本金
method-flat_fee = 每期等额利息
method-interest_first = 先息后本
method-interest_free = 免息
result-title = 付款结果
result-paid = 付款成功
result-paid-at = 已于 { $time } 付款
flash-paid-before = 这笔款先前已经付过，这次没有再付。
result-refused = 付款没有成功
result-nothing-owed = 没有产生借款，也没有占用额度。
result-voided = 付款已撤销
result-voided-what = { $merchant }的 { $amount } 已撤销，额度已恢复，无需还款。
result-first-payment = 首期应还
result-time = 付款时间
result-refunded = 已退款
result-refund = { $day }退款 { $amount }。
result-refund-fell = 其中 { $fell } 抵减了您的欠款。
result-back-under-way = { $amount } 正在退回您的银行卡，到账时间以银行为准。
result-back-sent = { $amount } 已于 { $time } 退回您的银行卡，到账时间以银行为准。
result-back-failed = { $amount } 还没有退回您的银行卡，我们正在处理。请确认已绑定银行卡。
result-number = 交易号
result-show-merchant = 商户已经收到付款通知，可以让收银员看这一页。
result-done = 完成
result-see-loan = 看借款详情
result-again = 重新付款
closed-title = 现在不能付款
refusal-plan_changed = 分期方案或价格刚刚更新，请看过新的方案后再选。没有产生借款。
refusal-schedule_changed = 打开本页后已进入新的营业日，这个方案的还款日或金额有变化。请重新核对，再输入密码。您还没有借款。
refusal-paid_another = 这个页面已经用来付过另一笔款。下面这笔还没有付，请核对金额和方案，再输入一次支付密码。
refusal-no_line = 您还没有可用的额度。申请通过后再扫一次码就可以付款。
refusal-link_malformed = 链接须以 https:// 开头，最多 500 个字符。
elsewhere-title = 请不要在{ $app }里付款
elsewhere-wechat = 打开微信，用“扫一扫”再扫一次这个码；
elsewhere-browser = 或者复制下面的链接，在手机浏览器里打开。
elsewhere-link = 付款链接
elsewhere-other = 用{ $app }付款
elsewhere-other-what = 商户提供的另一个收款页面，不是分期付款，也不由我们负责。
elsewhere-other-go = 打开商户的收款页面
other-app-alipay = 支付宝
other-app-unionpay = 云闪付
other-app-douyin = 抖音
other-app-dingtalk = 钉钉
other-app-jd = 京东
other-app-feishu = 飞书
other-app-meituan = 美团
other-app-weibo = 微博
other-app-qq = QQ
scan-tab = 扫码
scan-title = 扫码付款
scan-what = 把相机对准商户的收款码。
scan-in-wechat = 用微信的“扫一扫”扫商户的收款码，就会打开付款页面。也可以在这里扫。
scan-by-wechat = 微信扫一扫
scan-camera = 相机
scan-start = 打开相机
scan-picture = 从相册选
scan-looking = 请对准收款码
scan-denied = 相机没有打开。请在系统设置里允许使用相机，或从相册选一张收款码照片。
scan-no-camera = 这台设备没有可用的相机。可以从相册选一张收款码照片，或输入收款码上的链接。
scan-no-script = 浏览器关闭了脚本功能，这里不能用相机。请用手机自带的相机扫码，或输入收款码上的链接。
scan-go = 去付款
scan-again = 重新扫码
field-scanned = 收款码上的链接
hint-scanned = 例如收款码下方印的网址，最后一段是 22 位字母和数字
error-code_not_ours = 这不是我们商户的收款码，请核对后再试
error-amount_format = 请输入金额，只用数字和小数点
error-amount_zero = 金额须大于 0
error-amount_too_fine = 金额最多两位小数
error-amount_too_large = 金额太大了，请核对
why-this = 这些数字怎么来的
why-short = 怎么算的
why-terms = 按产品“{ $product }”第 { $version } 版条款计算，四舍五入到分。
why-rest = 借款本金 { $principal } − 前面各期本金 { $before } = { $part }
why-level = 每期还款 { $payment } − 利息 { $interest } = { $part }
why-level-kept = 每期还款 { $payment } − 利息 { $interest }，不少于 0、不超过剩余本金 = { $part }
why-split = { $principal } ÷ { $periods } 期 = { $part }
why-split-kept = { $principal } ÷ { $periods } 期，不超过剩余本金 = { $part }
why-free = 免息期，不计利息
why-month = 剩余本金 { $balance } × 年利率 { $rate } ÷ 12 = { $part }
why-days = 剩余本金 { $balance } × 年利率 { $rate } × { $days } 天 ÷ { $basis } = { $part }
why-per-period = 借款本金 { $principal } × 每期利率 { $rate } = { $part }
why-per-period-kept = 借款本金 { $principal } × 每期利率 { $rate }，不超过总额 { $total } 中还没有计的部分 = { $part }
why-per-period-rest = 借款本金 { $principal } × 每期利率 { $rate } × { $periods } 期 = { $total }；{ $total } − 前面各期 { $before } = { $part }
why-guarantee = 借款本金 { $principal } × 每期担保费率 { $rate } = { $part }
why-guarantee-kept = 借款本金 { $principal } × 每期担保费率 { $rate }，不超过总额 { $total } 中还没有计的部分 = { $part }
why-guarantee-rest = 借款本金 { $principal } × 每期担保费率 { $rate } × { $periods } 期 = { $total }；{ $total } − 前面各期 { $before } = { $part }
why-guarantee-free = 这一期不收担保费
why-subsidy = 利息 { $gross } − 商户承担 { $subsidy } = 您承担 { $interest }
why-no-interest = 免息，不计利息
why-balance = 剩余本金：借款本金 { $principal } − 前面各期本金 { $before } = { $balance }
why-payment = 每期还款：{ $principal } × 年利率 { $rate } ÷ 12 ÷ (1 − (1 + { $rate } ÷ 12)^−{ $periods }) = { $payment }
why-payment-free = 每期还款：{ $principal } ÷ { $periods } = { $payment }
why-payment-months = 每期还款 { $payment }：前 { $free } 期不计利息，以后每期按年利率 { $rate } ÷ 12 计息时，使 { $principal } 在 { $periods } 期后正好还清的相等金额
why-payment-actual = 每期还款 { $payment }：按年利率 { $rate } 和实际计息天数，使 { $principal } 在 { $periods } 期后正好还清的相等金额
why-rescaled = 原利息 { $old } × (剩余本金 { $before } × 退款前 { $before_days } 天 + { $after } × 退款后 { $after_days } 天) ÷ ({ $before } × { $days } 天) = { $new }
why-rescaled-again = 原定利息 { $old } × ({ $borne }) ÷ ({ $before } × { $days } 天) = { $new }
why-rescaled-balance = 剩余本金 { $balance } × { $days } 天
why-rescaled-fee = 原利息 { $old } × 未出账本金 { $after } ÷ 退款前 { $before } = { $new }
why-rescaled-guarantee = 原担保费 { $old } × 未出账本金 { $after } ÷ 退款前 { $before } = { $new }
why-rescaled-fee-again = 历次退款前的利息 { $old } × 未出账本金 { $after } ÷ 当时 { $before } = { $new }
why-rescaled-guarantee-again = 历次退款前的担保费 { $old } × 未出账本金 { $after } ÷ 当时 { $before } = { $new }
why-no-guarantee-left = 没有剩余本金，不再收担保费
why-nothing-left = 没有剩余本金，不再计息
why-in-all = 合计
