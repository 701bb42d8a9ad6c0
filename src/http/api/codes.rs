//! Every problem code of the API, with its HTTP status. A code that is not listed here is never answered; each handler declares which of
//! them its operation can answer.

pub struct Code {
    pub code: &'static str,
    pub status: u16,
    /// What it means and what to do, in a sentence.
    pub says: &'static str,
}

const fn code(status: u16, code: &'static str, says: &'static str) -> Code {
    Code { code, status, says }
}

pub const CODES: &[Code] = &[
    // The request's form.
    code(400, "body_not_json", "The body is not JSON."),
    code(400, "body_not_utf8", "The body is not UTF-8."),
    code(400, "body_not_taken", "The operation takes no body, and one was sent."),
    code(400, "duplicate_key", "A key stands twice in one object."),
    code(400, "nested_too_deep", "Lists and objects nest deeper than any message of ours."),
    code(400, "unknown_field", "A field is not part of this message."),
    code(400, "missing_field", "A required field is missing."),
    code(400, "wrong_type", "A value is of another type than the document says."),
    code(400, "fen_not_integer", "An amount is a whole number of fen; a fraction is not rounded but refused."),
    code(400, "number_out_of_range", "A number is smaller or larger than the document allows."),
    code(400, "value_not_allowed", "A text is not one of those that the document allows."),
    code(400, "unknown_parameter", "A query parameter is not one of this operation's; leave it out."),
    code(400, "missing_parameter", "A required query parameter is missing."),
    code(400, "duplicate_parameter", "A query parameter stands twice."),
    code(
        400,
        "parameter_malformed",
        "A query parameter's value is not what the document allows; a space, + or & in it is written with %.",
    ),
    code(400, "cursor_malformed", "The cursor is no next_cursor that this list gave; begin again without one."),
    code(400, "idempotency_key_missing", "A request that changes something needs the header Idempotency-Key."),
    code(400, "idempotency_key_malformed", "One idempotency key is given, of 1 to 64 printable ASCII characters."),
    // Who asks.
    code(401, "signature_malformed", "The header Authorization is missing or not in its form."),
    code(
        401,
        "signature_stale",
        "The timestamp is more than five minutes away from our clock; set yours, and sign anew.",
    ),
    code(
        401,
        "signature_wrong",
        "No living key by that partner id and serial number made this signature of method, URL, timestamp, nonce and body as they \
         arrived.",
    ),
    code(401, "nonce_reused", "The nonce was used before; each request needs its own."),
    code(
        403,
        "address_not_allowed",
        "The request comes from an address that is not on the partner's list; the platform's operator may add it.",
    ),
    code(
        403,
        "scope_missing",
        "The operation needs a scope that was not granted; GET /me lists yours, and the platform's operator grants more.",
    ),
    code(
        403,
        "same_holder",
        "What needs two people was asked for by a key of the same holder; a key of another holder does it.",
    ),
    // What is asked for.
    code(404, "not_found", "There is nothing by that name, or it is another's."),
    code(405, "method_not_allowed", "The address does not take that method."),
    code(409, "idempotency_key_reused", "The idempotency key was used for another request; give each request its own."),
    code(409, "idempotency_in_progress", "The first request under this key still runs; ask again with the same key."),
    code(412, "precondition_failed", "Somebody changed it since; read it again."),
    code(413, "body_too_large", "The body is larger than 256 KiB."),
    code(415, "media_type_not_supported", "The body must be application/json in UTF-8, and not packed."),
    code(428, "precondition_required", "What two may edit needs the header If-Match with the ETag that was read."),
    code(429, "rate_exceeded", "More requests than the partner's rate allows in this minute; see Retry-After."),
    code(
        429,
        "too_many_not_believed",
        "Too many requests from this address were not believed in this minute: name your key, or see Retry-After.",
    ),
    // Orders, purchases and refunds of merchants.
    code(409, "merchant_not_active", "The merchant does not take payments at present; ask the platform's operator."),
    code(
        409,
        "order_reference_taken",
        "The reference was used for an order of another amount or expiry; take another reference.",
    ),
    code(409, "order_paid", "The order was paid; void or refund its purchase."),
    code(409, "order_voided", "The order was paid and its purchase voided; open a new order for a new sale."),
    code(422, "order_reference_malformed", "An order's reference has 1 to 25 letters, digits, - or _."),
    code(422, "order_expiry_out_of_bounds", "An order expires later than now, and within 30 days."),
    code(422, "amount_out_of_bounds", "The amount is outside what is allowed here."),
    code(422, "amount_not_sold", "No plan is sold at the merchant for this amount, so nobody could pay the order."),
    code(409, "purchase_was_voided", "The purchase was voided; nothing of it is left to give back."),
    code(409, "past_cut_off", "The business day of the purchase is over; refund it instead."),
    code(409, "before_cut_off", "The business day of the purchase is not over; void it instead."),
    code(409, "repaid_before", "Money was paid on the purchase's loan already; refund it from tomorrow on."),
    code(409, "payoff_in_progress", "The loan is being paid off; wait for the bank's answer."),
    code(
        422,
        "refund_exceeds_purchase",
        "Less of the purchase is left than was asked for; GET the purchase says what was refunded.",
    ),
    code(409, "customer_erased", "The customer's card is forgotten; give the money back to the customer directly."),
    // Products.
    code(422, "product_invalid", "The product file has faults; a check lists them."),
    code(422, "product_unproven", "The product's schedules do not all hold; a check lists the cases."),
    code(422, "product_of_other_funder", "The terms name another funder than you."),
    code(409, "product_code_taken", "The product's code is taken; choose another one."),
    code(409, "product_text_withdrawn", "This very text was taken off sale; change it to publish it anew."),
    code(
        409,
        "product_valid_later",
        "Another version is sold until these terms are valid; publish them on their first day.",
    ),
    code(409, "product_expired", "The last day of these terms has passed, and another version is sold."),
    code(422, "grade_not_allowed", "The product is not sold to this grade."),
    code(422, "periods_not_sold", "The product is not sold in this number of periods."),
    code(422, "schedule_impossible", "No schedule clears this amount in these periods."),
    code(422, "simulation_malformed", "A statement day is from 1 to 28, a due day from 1 to 31."),
    code(409, "draft_approved_before", "The draft was approved; submit another one."),
    code(409, "draft_not_approved", "The draft was not approved by a second key yet."),
    // Applications.
    code(404, "application_unknown", "There is no such application, or another partner was asked about it."),
    code(409, "application_not_referred", "The application does not wait for a decision of yours."),
    code(422, "decision_malformed", "The decision lacks what it needs, or has what it does not."),
    code(422, "grade_unknown", "The product has no such grade."),
    code(422, "limit_out_of_bounds", "The limit is outside the product's bounds, or above what was asked for."),
    code(422, "limit_above_proposal", "The limit may be lowered below what was proposed, not raised above it."),
    code(422, "grade_differs", "The grade is not the one that was proposed; leave it out."),
    code(409, "decision_too_late", "The time to answer is over; the product's default applies."),
    code(404, "question_unknown", "No purchase was asked about by that line and question."),
    code(409, "answer_too_late", "The purchase was decided without this answer, or on another one."),
    // Reserves.
    code(
        409,
        "reserve_order_refused",
        "The order was refused; a deposit is opened again by the same notice under a new idempotency key.",
    ),
    code(
        409,
        "reference_booked_with_other_amount",
        "The bank's reference was used with another amount; compare it with the bank's statement.",
    ),
    code(422, "reference_malformed", "A bank reference stands on one line and has 1 to 128 characters."),
    code(409, "reserve_not_available", "Less is free to withdraw than was asked for."),
    code(
        422,
        "low_water_marks_not_falling",
        "Each low-water mark is above zero and below the one before it, with up to seven below the first.",
    ),
    // Daily files.
    code(409, "file_not_ready", "The day's files are not there yet; the detail and Retry-After say when."),
    code(410, "file_expired", "The bytes are not kept any more; ask the platform to make them again."),
    code(416, "range_not_satisfiable", "The range begins after the end of the file."),
    // Events and notifications.
    code(404, "unknown_event", "There is no such event."),
    code(
        410,
        "events_not_kept",
        "Events up to the number that the detail names are not kept any more, and what is asked for is or begins among them; read what \
         they told where it stands, and go on after that number.",
    ),
    code(404, "unknown_event_kind", "There is no such kind of event; GET /events/kinds lists them."),
    code(409, "event_not_failed", "The event has not failed, or has been delivered or discarded."),
    code(422, "reason_missing", "A reason of 1 to 200 characters on one line is needed."),
    code(409, "event_not_told", "Your core is not told of events of this kind; name a template to try one."),
    code(
        422,
        "event_range_malformed",
        "A range is given by two numbers or two times in order, of up to a million events.",
    ),
    code(422, "template_wrong", "The template does not serve the kind's example; the detail says where."),
    code(422, "template_not_json", "What the template gives is no JSON object."),
    code(422, "template_too_much", "The template writes too much or works too long."),
    code(422, "template_path_malformed", "A path begins with one slash and has letters, digits and -._~/ in it."),
    code(422, "notify_url_malformed", "The address is not https, is too long, or has a user or fragment in it."),
    code(422, "notify_url_private", "The address stands in a private network, where we call nobody."),
    // Ours.
    code(500, "failed", "Something failed on our side; ask again with the same idempotency key."),
    code(503, "house_not_open", "The platform has not opened its first business day yet; ask again later."),
    code(503, "timed_out", "It took too long; what came of it is not known. Ask again with the same idempotency key."),
];

pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// Splits `code: detail`, if the code is one of ours.
pub fn split(text: &str) -> Option<(&'static str, &str)> {
    let (first, detail) = text.split_once(": ")?;
    find(first).map(|known| (known.code, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_stands_twice() {
        for (place, code) in CODES.iter().enumerate() {
            assert!(CODES[place + 1..].iter().all(|other| other.code != code.code), "{}", code.code);
        }
    }
}
