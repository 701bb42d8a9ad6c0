-- A visit to a counter has one key, and a purchase one outcome for each key of its line. Who has several lines could confirm a plan of
-- another one while the first was not decided yet, and then both paid for one visit. So it is kept for which visit the PIN was last given,
-- and on which line.
alter table pin
    add column visit_key text,
    add column visit_line_id uuid,
    add constraint pin_visit check (num_nulls(visit_key, visit_line_id) in (0, 2));
