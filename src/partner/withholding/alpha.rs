//! Translates between our types and channel alpha's protocol.

use super::answer::{Answer, ChannelFailure};
use super::file::{DailyFile, FileError, FileLine, check_text, number};
use super::wire::alpha;
use super::{Heard, Order, Said, parse_order_no};
use crate::base::Fen;

pub fn batch(orders: &[Order]) -> alpha::Batch {
    let order = |order: &Order| alpha::Order {
        out_order_no: order.withholding_id.uuid().simple().to_string(),
        agreement_no: order.agreement_number.clone(),
        amount: order.amount.get(),
        allow_part: order.partial_allowed,
        trade_date: order.business_day.to_string(),
    };
    alpha::Batch { orders: orders.iter().map(order).collect() }
}

pub fn answers(answers: alpha::Answers) -> Vec<Said> {
    answers
        .results
        .into_iter()
        .filter_map(|said| {
            let withholding_id = parse_order_no(&said.out_order_no)?;
            Some(Said { withholding_id, answer: answer(&said.code, said.paid_amount, said.trade_no) })
        })
        .collect()
}

pub fn callback(body: &[u8]) -> Option<Heard> {
    let heard: alpha::Callback = serde_json::from_slice(body).ok()?;
    Some(Heard {
        merchant_id: heard.mch_id,
        withholding_id: parse_order_no(&heard.out_order_no)?,
        amount: Fen::new(heard.amount),
        answer: answer(&heard.code, heard.paid_amount, heard.trade_no),
    })
}

/// An unmapped code is unclear: the order stays unknown until a mapped one comes.
fn answer(code: &str, paid_amount: Option<i64>, trade_no: Option<String>) -> Answer {
    let failed = |failure| Answer::Failed { failure, code: code.to_owned() };
    match (code, paid_amount, trade_no) {
        ("SUCCESS", Some(paid), Some(reference)) if (0..=Fen::MAX.get()).contains(&paid) => {
            Answer::Succeeded { collected: Fen::new(paid), reference }
        }
        ("PROCESSING", _, _) => Answer::Processing { code: code.to_owned() },
        ("BALANCE_LOW", _, _) => failed(ChannelFailure::InsufficientFunds),
        ("CARD_CLOSED" | "AGREEMENT_ENDED", _, _) => failed(ChannelFailure::CardInvalid),
        ("RISK_REFUSED", _, _) => failed(ChannelFailure::Refused),
        ("BANK_DOWN", _, _) => failed(ChannelFailure::ChannelDown),
        ("NOT_EXIST", _, _) => Answer::Absent { code: code.to_owned() },
        _ => Answer::Unclear { code: code.to_owned() },
    }
}

/// `out_order_no,trade_no,code,amount,cost` a line, then `#count,sum of amounts taken,sum of costs`.
pub fn daily_file(text: &str) -> Result<DailyFile, FileError> {
    check_text(text)?;
    let mut file = DailyFile::default();
    for (index, row) in text.lines().enumerate().skip(1) {
        let fields: Vec<&str> = row.split(',').collect();
        let broken = || FileError::Row(index + 1);
        match fields.as_slice() {
            [count, sum, cost] if count.starts_with('#') => {
                file.end(number(&count[1..]), number(sum), number(cost));
            }
            [order_no, trade_no, code, amount, cost] => {
                let amount = number(amount).ok_or_else(broken)?;
                file.lines.push(FileLine {
                    withholding_id: parse_order_no(order_no).ok_or_else(broken)?,
                    channel_reference: (*trade_no).to_owned(),
                    answer: answer(code, Some(amount), Some((*trade_no).to_owned())),
                    amount: Fen::new(amount),
                    cost: Fen::new(number(cost).ok_or_else(broken)?),
                });
            }
            _ => return Err(broken()),
        }
    }
    file.foots()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_letter_that_cannot_be_kept_is_damaged() {
        let text = format!("heading\n{:032x},T\0,SUCCESS,7,0\n#1,7,0\n", 5);
        assert_eq!(daily_file(&text), Err(FileError::Row(2)));
    }

    #[test]
    fn a_line_of_the_file_means_what_its_code_means_in_an_answer() {
        let line = |code: &str, amount: i64| {
            let text = format!("heading\n{:032x},T1,{code},{amount},0\n#1,{amount},0\n", 5);
            daily_file(&text).unwrap().lines.remove(0).answer
        };
        assert_eq!(line("SUCCESS", 7), Answer::Succeeded { collected: Fen::new(7), reference: "T1".into() });
        let closed = Answer::Failed { failure: ChannelFailure::CardInvalid, code: "CARD_CLOSED".into() };
        assert_eq!(line("CARD_CLOSED", 0), closed);
        assert_eq!(line("PROCESSING", 0), Answer::Processing { code: "PROCESSING".into() });
        assert_eq!(line("E_777", 0), Answer::Unclear { code: "E_777".into() });
    }

    #[test]
    fn a_file_that_names_an_amount_and_no_success_is_not_believed() {
        for code in ["BALANCE_LOW", "PROCESSING", "E_777"] {
            let text = format!("heading\n{:032x},T1,{code},7,0\n#1,7,0\n", 5);
            let order = parse_order_no(&no(5)).unwrap();
            assert_eq!(daily_file(&text), Err(FileError::TakenWithoutSuccess(order)), "{code}");
        }
    }

    fn no(last: u8) -> String {
        format!("{last:032x}")
    }

    #[test]
    fn a_malformed_answer_is_silence_about_its_own_order_alone() {
        let taken =
            format!(r#"{{"out_order_no":"{}","code":"SUCCESS","paid_amount":7,"trade_no":"T1","x":[]}}"#, no(1));
        let second = no(2);
        let of_second = |rest: &str| format!(r#"{{"out_order_no":"{second}",{rest}}}"#);
        for malformed in [
            "null".to_owned(),
            format!(r#"{{"out_order_no":"{second}"}}"#),
            r#"{"out_order_no":"none of ours","code":"BALANCE_LOW"}"#.to_owned(),
            of_second(r#""code":null"#),
            of_second(r#""code":"SUCCESS","paid_amount":0.5,"trade_no":"T2""#),
            of_second(r#""code":"SUCCESS","paid_amount":"7","trade_no":"T2""#),
            of_second(r#""code":"SUCCESS","paid_amount":1e99,"trade_no":"T2""#),
        ] {
            let text = format!(r#"{{"results":[{malformed},{taken}]}}"#);
            let said = answers(serde_json::from_str(&text).unwrap());
            let [only] = &said[..] else { panic!("{malformed}: {said:?}") };
            assert_eq!(only.withholding_id.uuid().simple().to_string(), no(1));
            assert_eq!(only.answer, Answer::Succeeded { collected: Fen::new(7), reference: "T1".into() });
        }
    }

    #[test]
    fn a_success_that_is_incomplete_or_of_no_amount_is_unclear() {
        for (paid, reference) in
            [(None, Some("T1")), (Some(7), None), (Some(-1), Some("T1")), (Some(i64::MAX), Some("T1"))]
        {
            let said = answer("SUCCESS", paid, reference.map(str::to_owned));
            assert_eq!(said, Answer::Unclear { code: "SUCCESS".into() }, "{paid:?} {reference:?}");
        }
        let silent =
            ["", "{}", "[]", "null", "<html></html>", r#"{"mch_id":"m","out_order_no":null,"code":"SUCCESS"}"#];
        for body in silent {
            assert!(callback(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn a_file_of_more_than_any_amount_does_not_foot() {
        let row = |amount: i64| format!("{},T1,SUCCESS,{amount},0\n", no(5));
        let (most, more) = (i64::MAX, Fen::MAX.get() + 1);
        let overflowing = format!("heading\n{}{}#2,{most},0\n", row(most), row(most));
        assert_eq!(daily_file(&overflowing), Err(FileError::DoesNotFoot));
        assert_eq!(daily_file(&format!("heading\n{}#1,{more},0\n", row(more))), Err(FileError::DoesNotFoot));
    }

    #[test]
    fn each_code_means_what_the_contract_says_whatever_else_is_named() {
        let said = |code: &str| answer(code, Some(7), Some("T1".into()));
        for (code, failure) in [
            ("BALANCE_LOW", ChannelFailure::InsufficientFunds),
            ("CARD_CLOSED", ChannelFailure::CardInvalid),
            ("AGREEMENT_ENDED", ChannelFailure::CardInvalid),
            ("RISK_REFUSED", ChannelFailure::Refused),
            ("BANK_DOWN", ChannelFailure::ChannelDown),
        ] {
            assert_eq!(said(code), Answer::Failed { failure, code: code.into() });
        }
        assert_eq!(said("PROCESSING"), Answer::Processing { code: "PROCESSING".into() });
        assert_eq!(said("NOT_EXIST"), Answer::Absent { code: "NOT_EXIST".into() });
        for code in ["", "success", "SUCCESS ", "E_777"] {
            assert_eq!(said(code), Answer::Unclear { code: code.into() });
        }
    }
}
