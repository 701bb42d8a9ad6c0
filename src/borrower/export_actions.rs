//! The export: everything that is kept about a person, handed to that person.

use serde_json::{Value, json};

use super::actions::profile;
use super::export_store::{self, Export};
use super::model::BorrowerRefusal;
use super::store;
use crate::app::App;
use crate::base::id::{self, BorrowerId};
use crate::error::Outcome;
use crate::vault::Field;

/// Everything about a person as one JSON document, name and numbers in clear. Whoever calls has made sure who asks, and says on
/// which device: that it was handed out is recorded first, and stands in it.
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
    gathered["exported_at"] = json!(now);
    Ok(gathered)
}

/// Puts the number of each card, and the mobile that its bank knows, in clear beside the rest.
async fn open_cards(app: &App, borrower_id: BorrowerId, cards: &mut Value) -> anyhow::Result<()> {
    let mut connection = app.pool.acquire().await?;
    let people = store::find_people(&mut connection, &[borrower_id]).await?;
    let person = people.first().ok_or(BorrowerRefusal::BorrowerUnknown)?;
    let key = app.vault.open_person_key(borrower_id.uuid(), &person.person_key_sealed)?;
    let sealed = export_store::list_sealed_cards(&mut connection, borrower_id).await?;
    // Both are in the order of their ids.
    for (card, (_, number, mobile)) in cards.as_array_mut().into_iter().flatten().zip(sealed) {
        card["number"] = json!(key.open(Field::CardNumber, &number)?);
        card["mobile"] = json!(key.open(Field::CardMobile, &mobile)?);
    }
    Ok(())
}
