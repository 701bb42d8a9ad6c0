-- A borrower may ask that a person looks at what automation alone has refused (个人信息保护法, article 24), once for each application: when that
-- was, and the refusal until then: its code, whose it was and when, for decided_by and decided_at are that person's from then on. It is
-- before a person, as one that the risk hook refers.
alter table application
    add column review_asked_at timestamptz,
    add column review_of text,
    add column review_of_by text,
    add column review_of_at timestamptz,
    add constraint application_review check (num_nulls(review_asked_at, review_of, review_of_by, review_of_at) in (0, 4)),
    -- Automation has had its say; a funder's silence may still end what a person has approved.
    add constraint application_review_by_person
        check (review_asked_at is null or (status <> 'submitted' and coalesce(decided_by, '') not in ('scorecard', 'partner')));

-- What a borrower is told of a refusal says whether it is a person's word on an earlier one; until now it never was.
update notice set body = '{"review": false}'::jsonb || body where audience = 'borrower' and kind = 'application_refused';
