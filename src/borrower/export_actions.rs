//! The export: everything that is kept about a person, handed to that person.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::actions::profile;
use super::export_store::{self, Export, SealedCard};
use super::model::BorrowerRefusal;
use super::{mobile_store, store};
use crate::app::App;
use crate::base::id::{self, BorrowerId, CardId};
use crate::error::Outcome;
use crate::vault::Field;

/// Everything about a person as one JSON document, with name and numbers in clear. The caller has made sure who asks, and
/// names their device. That the document was handed out is recorded first, and stands in it.
pub async fn export(app: &App, borrower_id: BorrowerId, device: &str) -> Outcome<Value, BorrowerRefusal> {
    let person = profile(app, borrower_id).await?;
    let mut connection = app.pool.acquire().await?;
    let now = app.clock.now();
    let export = Export { export_id: id::mint(now), borrower_id, device, at: now };
    export_store::insert_export(&mut connection, export).await?;
    let mut gathered = export_store::gather(&mut connection, borrower_id).await?;
    drop(connection);
    gathered["person"] = json!({
        "borrower_id": borrower_id,
        "name": person.name.reveal(),
        "id_number": person.resident_id.reveal(),
        "mobile": person.mobile.reveal(),
    });
    open_cards(app, borrower_id, &mut gathered["cards"]).await?;
    gathered["mobile_changes"] = former_mobiles(app, borrower_id).await?;
    gathered["exported_at"] = json!(now);
    Ok(gathered)
}

/// The person's former mobiles, each with how it came to be changed; null where there are none.
async fn former_mobiles(app: &App, borrower_id: BorrowerId) -> anyhow::Result<Value> {
    let mut connection = app.pool.acquire().await?;
    let people = store::find_people(&mut connection, &[borrower_id]).await?;
    let person = people.first().ok_or(BorrowerRefusal::BorrowerUnknown)?;
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed)?;
    let mut changes = Vec::new();
    for change in mobile_store::list_changes(&mut connection, borrower_id).await? {
        changes.push(json!({
            "former_mobile": key.open(Field::Mobile, &change.former_sealed)?,
            "changed_by": change.changed_by,
            "reason": change.reason,
            "at": change.changed_at,
        }));
    }
    Ok(if changes.is_empty() { Value::Null } else { json!(changes) })
}

/// Adds to each card its number, and the mobile that its bank knows, in clear.
async fn open_cards(app: &App, borrower_id: BorrowerId, cards: &mut Value) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let people = store::find_people(&mut connection, &[borrower_id]).await?;
    let person = people.first().ok_or(BorrowerRefusal::BorrowerUnknown)?;
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed)?;
    let sealed = export_store::list_sealed_cards(&mut connection, borrower_id).await?;
    let open = |card: &SealedCard| -> anyhow::Result<(CardId, [String; 2])> {
        let number = key.open(Field::CardNumber, &card.number_sealed)?;
        Ok((card.card_id, [number, key.open(Field::CardMobile, &card.mobile_sealed)?]))
    };
    put_beside(cards, sealed.iter().map(open).collect::<anyhow::Result<_>>()?);
    Ok(())
}

/// Cards are matched by id, because another one may have been bound since the rest was read.
fn put_beside(cards: &mut Value, opened: Vec<(CardId, [String; 2])>) {
    let opened: HashMap<String, [String; 2]> =
        opened.into_iter().map(|(card_id, texts)| (card_id.uuid().to_string(), texts)).collect();
    for card in cards.as_array_mut().into_iter().flatten() {
        if let Some([number, mobile]) = card["card_id"].as_str().and_then(|card_id| opened.get(card_id)).cloned() {
            card["number"] = json!(number);
            card["mobile"] = json!(mobile);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn a_card_that_was_bound_meanwhile_does_not_shift_the_numbers() {
        let began = DateTime::UNIX_EPOCH;
        let (earlier, later) = (CardId::mint(began), CardId::mint(began + TimeDelta::seconds(1)));
        let mut cards = json!([{ "card_id": later.uuid() }]);
        let of = |number: &str| [number.to_owned(), "13800138000".to_owned()];
        put_beside(&mut cards, vec![(earlier, of("6222021234567894")), (later, of("6222021234567800"))]);
        assert_eq!(cards, json!([{ "card_id": later.uuid(), "number": "6222021234567800", "mobile": "13800138000" }]));
    }
}
