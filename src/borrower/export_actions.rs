//! Handing a person everything that is kept about them.

use serde_json::{Value, json};

use super::actions::profile;
use super::export_store;
use super::model::BorrowerRefusal;
use crate::app::App;
use crate::base::id::BorrowerId;
use crate::error::Outcome;

/// Everything about a person as one JSON document, name and numbers in clear. Whoever calls has made sure who asks.
pub async fn export(app: &App, borrower_id: BorrowerId) -> Outcome<Value, BorrowerRefusal> {
    let person = profile(app, borrower_id).await?;
    let mut gathered = export_store::gather(&mut *app.pool.acquire().await?, borrower_id).await?;
    gathered["person"] = json!({
        "borrower_id": borrower_id,
        "name": person.name.reveal(),
        "id_number": person.resident_id.reveal(),
        "mobile": person.mobile.reveal(),
    });
    gathered["exported_at"] = json!(app.clock.now());
    Ok(gathered)
}
