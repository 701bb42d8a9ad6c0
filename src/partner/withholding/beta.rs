//! Translates between our types and channel beta's protocol.

use super::answer::{Answer, ChannelFailure};
use super::file::{DailyFile, FileError, FileLine, check_text, number};
use super::wire::beta;
use super::{Heard, Order, Said, parse_order_no};
use crate::base::Fen;

pub fn batch(orders: &[Order]) -> beta::Batch {
    let order = |order: &Order| beta::Order {
        req_sn: order.withholding_id.uuid().simple().to_string(),
        contract_no: order.agreement_number.clone(),
        amt: yuan(order.amount),
        part: if order.partial_allowed { "Y" } else { "N" }.to_owned(),
        settle_day: order.business_day.date().format("%Y%m%d").to_string(),
    };
    beta::Batch { reqs: orders.iter().map(order).collect() }
}

pub fn answers(answers: beta::Answers) -> Vec<Said> {
    answers
        .rsps
        .into_iter()
        .filter_map(|said| {
            let withholding_id = parse_order_no(&said.req_sn)?;
            Some(Said { withholding_id, answer: answer(&said.ret_code, said.amt_paid.as_deref(), said.serial) })
        })
        .collect()
}

pub fn callback(body: &[u8]) -> Option<Heard> {
    let heard: beta::Callback = serde_json::from_slice(body).ok()?;
    Some(Heard {
        merchant_id: heard.mer_id,
        withholding_id: parse_order_no(&heard.req_sn)?,
        amount: fen(&heard.amt)?,
        answer: answer(&heard.ret_code, heard.amt_paid.as_deref(), heard.serial),
    })
}

/// An unmapped code is unclear: the order stays unknown until a mapped one comes. `1000`, no such request, counts only for a request
/// that no file names: beta's contract does not promise that it is not still on its way.
fn answer(code: &str, amt_paid: Option<&str>, serial: Option<String>) -> Answer {
    let failed = |failure| Answer::Failed { failure, code: code.to_owned() };
    match (code, amt_paid.and_then(fen), serial) {
        ("0000", Some(collected), Some(reference)) => Answer::Succeeded { collected, reference },
        ("2000", _, _) => Answer::Processing { code: code.to_owned() },
        ("3008", _, _) => failed(ChannelFailure::InsufficientFunds),
        ("3004" | "3051", _, _) => failed(ChannelFailure::CardInvalid),
        ("3999", _, _) => failed(ChannelFailure::Refused),
        ("1002", _, _) => failed(ChannelFailure::ChannelDown),
        ("1000", _, _) => Answer::Absent { code: code.to_owned() },
        _ => Answer::Unclear { code: code.to_owned() },
    }
}

/// `reqSn|serial|retCode|amt|cost` a line, then `END|count|sum of amounts taken|sum of costs`.
pub fn daily_file(text: &str) -> Result<DailyFile, FileError> {
    check_text(text)?;
    let mut file = DailyFile::default();
    for (index, row) in text.lines().enumerate() {
        let fields: Vec<&str> = row.split('|').collect();
        let broken = || FileError::Row(index + 1);
        match fields.as_slice() {
            ["END", count, sum, cost] => {
                file.end(number(count), fen(sum).map(Fen::get), fen(cost).map(Fen::get));
            }
            [order_no, serial, code, amount, cost] => file.lines.push(FileLine {
                withholding_id: parse_order_no(order_no).ok_or_else(broken)?,
                channel_reference: (*serial).to_owned(),
                answer: answer(code, Some(amount), Some((*serial).to_owned())),
                amount: fen(amount).ok_or_else(broken)?,
                cost: fen(cost).ok_or_else(broken)?,
            }),
            _ => return Err(broken()),
        }
    }
    file.foots()
}

fn yuan(amount: Fen) -> String {
    format!("{}.{:02}", amount.get() / 100, amount.get() % 100)
}

/// Fen from yuan with exactly two decimals; `None` also if it is more than an amount can be.
fn fen(yuan: &str) -> Option<Fen> {
    let (whole, cents) = yuan.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || cents.len() != 2 || !digits(cents) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    whole.checked_mul(100)?.checked_add(cents.parse().ok()?).map(Fen::new).filter(|fen| *fen <= Fen::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_letter_that_cannot_be_kept_is_damaged() {
        let text = format!("{:032x}|S\0|0000|0.07|0.00\nEND|1|0.07|0.00\n", 5);
        assert_eq!(daily_file(&text), Err(FileError::Row(1)));
    }

    #[test]
    fn a_line_of_the_file_means_what_its_code_means_in_an_answer() {
        let line = |code: &str, yuan: &str| {
            let text = format!("{:032x}|S1|{code}|{yuan}|0.00\nEND|1|{yuan}|0.00\n", 5);
            daily_file(&text).unwrap().lines.remove(0).answer
        };
        assert_eq!(line("0000", "0.07"), Answer::Succeeded { collected: Fen::new(7), reference: "S1".into() });
        let down = Answer::Failed { failure: ChannelFailure::ChannelDown, code: "1002".into() };
        assert_eq!(line("1002", "0.00"), down);
        assert_eq!(line("7777", "0.00"), Answer::Unclear { code: "7777".into() });
    }

    #[test]
    fn a_file_that_names_an_amount_and_no_success_is_not_believed() {
        let order = format!("{:032x}", 5);
        let text = format!("{order}|S1|3008|0.07|0.00\nEND|1|0.07|0.00\n");
        let refused = FileError::TakenWithoutSuccess(parse_order_no(&order).unwrap());
        assert_eq!(daily_file(&text), Err(refused));
    }

    #[test]
    fn a_malformed_answer_is_silence_about_its_own_order_alone() {
        let taken = format!(r#"{{"reqSn":"{:032x}","retCode":"0000","amtPaid":"0.07","serial":"S1","more":1}}"#, 1);
        for rest in ["", r#","retCode":0"#, r#","retCode":null"#, r#","retCode":"0000","amtPaid":0.07,"serial":"S2""#] {
            let text = format!(r#"{{"rsps":[{{"reqSn":"{:032x}"{rest}}},{taken}]}}"#, 2);
            let said = answers(serde_json::from_str(&text).unwrap());
            let [only] = &said[..] else { panic!("{rest}: {said:?}") };
            assert_eq!(only.answer, Answer::Succeeded { collected: Fen::new(7), reference: "S1".into() });
        }
    }

    #[test]
    fn a_success_that_is_incomplete_or_of_no_amount_is_unclear() {
        let amounts = [None, Some("7"), Some("-0.07"), Some("9999999999999999.00"), Some("99999999999999999999.00")];
        for amount in amounts {
            let said = answer("0000", amount, Some("S1".into()));
            assert_eq!(said, Answer::Unclear { code: "0000".into() }, "{amount:?}");
        }
        assert_eq!(answer("0000", Some("0.07"), None), Answer::Unclear { code: "0000".into() });
    }

    #[test]
    fn yuan_are_read_exactly_or_not_at_all() {
        assert_eq!(fen("123.45"), Some(Fen::new(12_345)));
        assert_eq!(fen("0.05"), Some(Fen::new(5)));
        assert_eq!((fen("1.5"), fen("1"), fen("-1.00"), fen("1.0a"), fen(".10")), (None, None, None, None, None));
        assert_eq!(yuan(Fen::new(12_305)), "123.05");
    }

    #[test]
    fn each_code_means_what_the_contract_says_whatever_else_is_named() {
        let said = |code: &str| answer(code, Some("0.07"), Some("S1".into()));
        for (code, failure) in [
            ("3008", ChannelFailure::InsufficientFunds),
            ("3004", ChannelFailure::CardInvalid),
            ("3051", ChannelFailure::CardInvalid),
            ("3999", ChannelFailure::Refused),
            ("1002", ChannelFailure::ChannelDown),
        ] {
            assert_eq!(said(code), Answer::Failed { failure, code: code.into() });
        }
        assert_eq!(said("2000"), Answer::Processing { code: "2000".into() });
        assert_eq!(said("1000"), Answer::Absent { code: "1000".into() });
        for code in ["", "0", "00000", "7777"] {
            assert_eq!(said(code), Answer::Unclear { code: code.into() });
        }
    }
}
