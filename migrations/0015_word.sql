-- The funder's final word on an application, and the risk partner's word on a purchase.

-- An application that the risk hook or a person has approved, under a product whose funder has the final word.
alter table application drop constraint application_status_check;
alter table application add constraint application_status_check
    check (status in ('submitted', 'referred', 'with_funder', 'approved', 'refused'));
-- Until when the funder may answer; then the product's default is applied. Stays after the decision.
alter table application add column answer_by timestamptz;
-- What was put to the funder: whose approval it was, and its limit, above which the funder does not go.
alter table application add column proposed_by text;
alter table application add column proposed_limit_fen bigint check (proposed_limit_fen > 0);
alter table application add constraint application_with_funder
    check (status <> 'with_funder' or (answer_by is not null and proposed_by is not null and proposed_limit_fen is not null));
-- Whose time is over is found by it.
create index application_with_funder_until on application (answer_by) where status = 'with_funder';
drop index application_one_open;
create unique index application_one_open on application (borrower_id, product_id)
    where status in ('submitted', 'referred', 'with_funder');

-- What the risk hook was asked about a purchase before it was decided, once for each key. Only products that ask write here.
create table purchase_question (
    line_id uuid not null,
    -- The purchase's own key: the same wish again is the same question.
    idempotency_key text not null,
    -- By which the partner knows it; a crash asks again under the same one.
    question_id uuid not null,
    -- The purchase's fingerprint, so that the same key with another body is not asked.
    request_sha256 bytea not null check (length(request_sha256) = 32),
    -- What the hook was told.
    facts jsonb not null,
    asked_at timestamptz not null,
    -- The first answer stands: the hook's, or that it was silent.
    answer text check (answer in ('allow', 'refuse', 'silent')),
    reason text,
    -- `rules` or `partner`; `callback` where the partner called back in time.
    answered_by text,
    answered_at timestamptz,
    -- What the partner said when it was decided already. Evidence; it changes nothing.
    late_answer text check (late_answer in ('allow', 'refuse')),
    late_reason text,
    late_at timestamptz,
    primary key (line_id, idempotency_key),
    unique (line_id, question_id),
    check ((answer is null) = (answered_at is null)),
    check ((late_answer is null) = (late_at is null))
);
