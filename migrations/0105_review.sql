-- A borrower may ask that a person looks at what automation alone has refused (个人信息保护法, article 24), once for each application: when that
-- was, and the code it was refused by until then. It is before a person from then on, as one that the risk hook refers.
alter table application
    add column review_asked_at timestamptz,
    add column review_of text,
    add constraint application_review check ((review_asked_at is null) = (review_of is null));
