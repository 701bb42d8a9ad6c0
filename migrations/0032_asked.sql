-- Whom the risk hook's question was put to: the id by which that partner signs, as it stands in its configuration. Only it may
-- answer late, whoever is configured by then. Null where no partner was asked, and of what was asked before this was noted: a
-- late answer to it is heard from nobody.
alter table application add column asked_partner text;
alter table purchase_question add column asked_partner text;
