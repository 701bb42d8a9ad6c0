-- What a person does with the own data: takes a consent back, takes everything along.

-- When a consent was taken back. That it was given stays as it was.
alter table consent add column withdrawn_at timestamptz;

-- Each time that somebody was handed everything that is kept about them, names and numbers in clear.
create table data_export (
    borrower_id uuid not null,
    export_id uuid not null,
    device text not null,
    exported_at timestamptz not null,
    primary key (borrower_id, export_id)
);
