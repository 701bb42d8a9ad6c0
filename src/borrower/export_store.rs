//! SQL of the export: everything that is kept about a person.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::base::id::{BorrowerId, CardId};

/// Every row about a borrower, by table. Sealed columns are left out: the caller opens and adds them.
pub async fn gather(connection: &mut PgConnection, borrower_id: BorrowerId) -> sqlx::Result<Value> {
    sqlx::query_scalar!(
        r#"with line as (select line_id from credit_line where borrower_id = $1)
           select jsonb_build_object(
               'cards', (select jsonb_agg(jsonb_build_object('card_id', card_id, 'ends_in', number_tail, 'status', status,
                                                             'is_default', is_default, 'agreement_number', agreement_number,
                                                             'signed_at', agreement_signed_at) order by card_id)
                         from bank_card where borrower_id = $1),
               'card_signings', (select jsonb_agg(jsonb_build_object('card_id', card_id, 'ends_in', number_tail,
                                                                     'status', status, 'started_at', started_at)
                                                  order by card_id)
                                 from card_signing where borrower_id = $1),
               'agreements', (select jsonb_agg(jsonb_build_object('kind', c.kind, 'version', t.version, 'text', t.body,
                                                                  'device', c.device, 'agreed_at', c.agreed_at,
                                                                  'withdrawn_at', c.withdrawn_at)
                                               order by c.agreed_at)
                              from consent c join consent_text t on t.sha256 = c.text_sha256 where c.borrower_id = $1),
               'applications', (select jsonb_agg(to_jsonb(a) - 'request_sha256' order by a.created_at)
                                from application a where a.borrower_id = $1),
               'lines', (select jsonb_agg(to_jsonb(l) order by l.line_id) from credit_line l where l.borrower_id = $1),
               'line_entries', (select jsonb_agg(to_jsonb(e) order by e.line_id, e.entry_no)
                                from line_entry e join line using (line_id)),
               'purchases', (select jsonb_agg(to_jsonb(p) - 'request_sha256' order by p.purchase_id)
                             from purchase p join line using (line_id)),
               'refunds', (select jsonb_agg(to_jsonb(r) - 'request_sha256' order by r.refund_id)
                           from refund r join line using (line_id)),
               'loans', (select jsonb_agg(to_jsonb(n) order by n.loan_id) from loan n join line using (line_id)),
               'schedules', (select jsonb_agg(to_jsonb(s) order by s.loan_id, s.version) from schedule s join line using (line_id)),
               'bills', (select jsonb_agg(to_jsonb(b) order by b.line_id, b.due_on) from bill b join line using (line_id)),
               'bill_lines', (select jsonb_agg(to_jsonb(i) order by i.loan_id, i.period)
                              from bill_line i join line using (line_id)),
               'purchase_questions', (select jsonb_agg(to_jsonb(q) - 'request_sha256' order by q.asked_at)
                                      from purchase_question q join line using (line_id)),
               'paid_back', (select jsonb_agg(jsonb_build_object('amount_fen', amount_fen, 'status', status, 'pay_on', pay_on,
                                                                 'bank_reference', bank_reference, 'at', created_at)
                                              order by created_at)
                             from payout where kind = 'borrower' and beneficiary_id = $1),
               'ledger_entries', (select jsonb_agg(to_jsonb(p) order by p.posted_at, p.posting_id)
                                  from posting p join line using (line_id)),
               'wechat_linked_at', (select linked_at from wechat_identity where borrower_id = $1),
               'pin_set_at', (select set_at from pin where borrower_id = $1),
               'withholdings', (select jsonb_agg(to_jsonb(w) - 'is_pending' order by w.withholding_id)
                                from withholding w join line using (line_id)),
               'repayments', (select jsonb_agg(to_jsonb(y) order by y.repayment_id)
                              from repayment y join line using (line_id)),
               'messages', (select jsonb_agg(jsonb_build_object('kind', kind, 'body', body, 'at', created_at) order by notice_no)
                            from notice where audience = 'borrower' and recipient_id = $1),
               'wechat_messages', (select jsonb_agg(jsonb_build_object('kind', kind, 'wanted', wanted, 'allowed', allowed)
                                                    order by kind)
                                   from wechat_subscription where borrower_id = $1),
               'exports', (select jsonb_agg(jsonb_build_object('device', device, 'at', exported_at) order by exported_at)
                           from data_export where borrower_id = $1),
               'sessions', (select jsonb_agg(jsonb_build_object('device', device, 'began_at', created_at,
                                                                'last_seen_at', last_seen_at) order by created_at)
                            from session where subject_id = $1 and kind = 'borrower')) as "gathered!""#,
        borrower_id.uuid()
    )
    .fetch_one(connection)
    .await
}

/// That a person was handed everything.
pub struct Export<'a> {
    pub export_id: Uuid,
    pub borrower_id: BorrowerId,
    pub device: &'a str,
    pub at: DateTime<Utc>,
}

/// Records that a person was handed everything.
pub async fn insert_export(connection: &mut PgConnection, export: Export<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into data_export (borrower_id, export_id, device, exported_at) values ($1, $2, $3, $4)",
        export.borrower_id.uuid(),
        export.export_id,
        export.device,
        export.at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The sealed parts of a card: its number, and the mobile that the bank knows.
pub struct SealedCard {
    pub card_id: CardId,
    pub number_sealed: Vec<u8>,
    pub mobile_sealed: Vec<u8>,
}

/// All cards of a borrower, sealed.
pub async fn list_sealed_cards(
    connection: &mut PgConnection,
    borrower_id: BorrowerId,
) -> sqlx::Result<Vec<SealedCard>> {
    sqlx::query_as!(
        SealedCard,
        r#"select card_id as "card_id: CardId", number_sealed, mobile_sealed from bank_card
           where borrower_id = $1 order by card_id"#,
        borrower_id.uuid()
    )
    .fetch_all(connection)
    .await
}
