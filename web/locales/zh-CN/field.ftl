# 字段旁的错误，各页共用。
error-missing = 请填写这一项
error-resident_id_format = 身份证号为 18 位，最后一位是数字或 X
error-resident_id_region = 身份证号前两位不是有效的地区
error-resident_id_birth_date = 身份证号中的出生日期不存在
error-resident_id_check = 身份证号有一位不对，请逐位核对
error-credit_code_format = 统一社会信用代码为 18 位数字和大写字母（不含 I、O、S、V、Z）
error-credit_code_check = 统一社会信用代码有一位不对，请逐位核对
error-organisation_code_check = 统一社会信用代码中的组织机构代码不对，请逐位核对
error-card_number_format = 银行卡号为 12 至 19 位数字
error-card_number_check = 银行卡号有一位不对，请逐位核对
error-mobile_format = 请输入 11 位大陆手机号
