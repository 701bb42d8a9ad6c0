# 打印的收款码。
poster-title = 收款码
poster-what = 打印出来放在收银台。顾客扫码输入金额，分期付款，钱在下一个工作日到您的账户。
poster-alt = { $merchant } 的收款码，内容是 { $link }
poster-print = 打印（A5）
poster-print-what = 打印正好一张 A5。也可以下载 SVG 交给印刷店，多大都清楚。
poster-svg = 下载 SVG
poster-headline = 扫码分期付款
poster-scan = 打开微信扫一扫，或用手机相机
poster-choose = 输入金额，选分几期
poster-confirm = 输入支付密码，请店员确认收款
