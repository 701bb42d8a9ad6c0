-- All lines of a borrower, closed ones too, as a payment that is taken back makes them owe again: pages, unbinding a card and closing an
-- account look for them. The index that keeps one line of each funder knows only those that are not closed.
create index credit_line_by_borrower on credit_line (borrower_id);
