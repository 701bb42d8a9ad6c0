-- All that a batch of purchases writes, in one statement: a round trip costs as much as the rows of several purchases. Locks the
-- lines and then the orders, each in the order of their ids, then the business day, and slices of the reserves last of all; writes
-- nothing unless lines, orders and day are as the batch was decided on. A row of `sale` is a purchase in order of arrival; a refused one
-- has no loan.
with used as (
    update credit_line
    set used_fen = ($43::bigint[])[changed.place], purchases_on = $29, purchases_count = ($44::int[])[changed.place],
        last_entry_no = ($45::bigint[])[changed.place]
    from unnest($42::uuid[]) with ordinality as changed(line_id, place)
    where credit_line.line_id = changed.line_id and credit_line.last_entry_no = ($49::bigint[])[changed.place]
    returning 1),
paid as (
    update merchant_code
    set status = 'paid', paid_purchase_id = payment.purchase_id
    from unnest($53::uuid[], $54::uuid[]) as payment(code_id, purchase_id)
    where merchant_code.code_id = payment.code_id and merchant_code.kind = 'order' and merchant_code.status = 'open'
    returning 1),
-- Each count runs its update when it is come to, and so in this order.
unchanged as materialized (
    select case when (select count(*) from used) < cardinality($42) then decide_again('a line has changed') is null
                when (select count(*) from paid) < cardinality($53) then decide_again('an order is no longer open') is null
                when hold_business_day() <> $29 then decide_again('the business day has moved on') is null
                else true end as is_so),
-- What has one size is read by its place: unnested, it costs three times as much a row. Of columns that a refused purchase leaves empty the
-- place is counted out where there is one, which of a batch is no dearer than to unnest them.
sale as materialized (
    select ($1::uuid[])[place] as purchase_id, ($2::uuid[])[place] as line_id, idempotency_key, request_sha256,
           ($5::uuid[])[place] as merchant_id, ($6::uuid[])[place] as code_id, ($7::uuid[])[place] as product_id,
           ($8::int[])[place] as product_version, ($9::smallint[])[place] as periods, ($10::bigint[])[place] as amount_fen, refusal,
           ($12::bigint[])[place] as discount_fee_fen, ($56::boolean[])[place] as discount_returned_on_refund,
           ($13::bigint[])[place] as subsidy_fen,
           ($14::uuid[])[place] as loan_id, ($15::uuid[])[place] as funder_id, grade, annual_rate,
           ($18::smallint[])[place] as statement_day, ($19::date[])[place] as first_statement_on,
           ($20::date[])[place] as last_statement_on, ($21::int[])[place] as first_due, ($22::int[])[place] as last_due,
           ($23::uuid[])[place] as posting_id, ($24::int[])[place] as first_leg, ($25::int[])[place] as last_leg,
           ($26::bigint[])[place] as entry_no, ($27::bigint[])[place] as used_after_fen, ($28::bigint[])[place] as limit_after_fen
    from unchanged, unnest($3::text[], $4::bytea[], $11::text[], $16::text[], $17::numeric[])
                    with ordinality as sale(idempotency_key, request_sha256, refusal, grade, annual_rate, place)
    where unchanged.is_so),
recorded as (
    insert into purchase (purchase_id, line_id, idempotency_key, request_sha256, merchant_id, code_id, product_id,
                          product_version, periods, amount_fen, status, refusal, loan_id, discount_fee_fen,
                          discount_returned_on_refund, subsidy_fen, business_day, created_at)
    select purchase_id, line_id, idempotency_key, request_sha256, merchant_id, code_id, product_id,
           product_version, periods, amount_fen, case when loan_id is null then 'refused' else 'authorised' end, refusal,
           loan_id, discount_fee_fen, discount_returned_on_refund, subsidy_fen, $29, $30
    from sale
    returning 1),
lent as (
    insert into loan (loan_id, line_id, purchase_id, funder_id, merchant_id, product_id, product_version, grade, periods,
                      annual_rate, principal_fen, status, statement_day, first_statement_on, last_statement_on,
                      schedule_version, made_on)
    select loan_id, line_id, purchase_id, funder_id, merchant_id, product_id, product_version, grade, periods,
           annual_rate, amount_fen, 'open', statement_day, first_statement_on, last_statement_on, 1, $29
    from sale where loan_id is not null
    returning 1),
scheduled as (
    insert into schedule (loan_id, line_id, version, reason, due_on, principal_fen, interest_fen, fee_fen, business_day)
    select loan_id, line_id, 1, 'made', ($31::date[])[first_due:last_due], ($32::bigint[])[first_due:last_due],
           ($33::bigint[])[first_due:last_due], ($34::bigint[])[first_due:last_due], $29
    from sale where loan_id is not null
    returning 1),
posted as (
    insert into posting (posting_id, line_id, funder_id, event, source_id, debit, credit, amount_fen, business_day, posted_at)
    select posting_id, line_id, funder_id, 'purchase', purchase_id, ($35::smallint[])[first_leg:last_leg],
           ($36::smallint[])[first_leg:last_leg], ($37::bigint[])[first_leg:last_leg], $29, $30
    from sale where loan_id is not null
    returning 1),
told as (
    insert into outbox (partner, kind, object_id, body, created_at, next_attempt_at)
    select partner, kind, object_id, body::jsonb, $30, $30
    from unnest($38::text[], $39::text[], $40::uuid[], $41::text[]) as message(partner, kind, object_id, body)
    where exists (select from sale)
    returning 1),
noticed as (
    insert into notice (audience, recipient_id, kind, body, business_day, created_at)
    select 'merchant', recipient_id, kind, body::jsonb, $29, $30
    from unnest($46::uuid[], $47::text[], $48::text[]) as notice(recipient_id, kind, body)
    where exists (select from sale)
    returning 1),
journalled as (
    insert into line_entry (line_id, entry_no, kind, used_change_fen, limit_change_fen, used_after_fen, limit_after_fen,
                            source_id, business_day, occurred_at)
    select line_id, entry_no, 'purchase', amount_fen, 0, used_after_fen, limit_after_fen, purchase_id, $29, $30
    from sale where loan_id is not null
    returning 1),
-- Counting makes the slices wait until all the rest is written, so that whoever locks the whole reserve waits for a moment only.
written as materialized (
    select (select count(*) from recorded) + (select count(*) from lent) + (select count(*) from scheduled)
           + (select count(*) from posted) + (select count(*) from told) + (select count(*) from noticed)
           + (select count(*) from journalled) as rows),
held as (
    update reserve_slice
    set used_fen = case when used_fen + hold.amount_fen <= leased_fen then used_fen + hold.amount_fen
                        else decide_again('a slice of a reserve ran short') end,
        source = coalesce(reserve_slice.source, hold.source)
    from written, unnest($50::uuid[], $51::bigint[], $52::text[]) as hold(funder_id, amount_fen, source)
    where reserve_slice.funder_id = hold.funder_id and reserve_slice.slice_no = $55 and written.rows > 0
    returning reserve_slice.funder_id, leased_fen - used_fen as left_fen)
select left_fen as "left!: Fen" from held order by funder_id
