//! Identities detect tampering with the days that funders were told of: each change by plain SQL is among the findings.

const DAY_FILES: &str = "a day's files are those that its manifest lists, with all their bytes";

/// An identity's sentence, and a change after which it is not true.
pub const OF_DAYS: &[(&str, &str)] = &[
    (
        "a day's manifest is the text that was signed",
        "update funder_day set manifest = manifest || ' ' where made_at is not null",
    ),
    (
        "every footing of a day's manifest comes out",
        "update funder_day set manifest = jsonb_set(manifest::jsonb, '{footings,0,left_fen}', '-1')::text
         where made_at is not null;
         update funder_day set manifest_sha256 = sha256(convert_to(manifest, 'UTF8')) where made_at is not null",
    ),
    (
        "the figures of a day's manifest are the sums of its files and of its trial balance",
        "update funder_day_file set sums = (select jsonb_object_agg(key, value::bigint + 1) from jsonb_each_text(sums))
         where sums <> '{}'",
    ),
    ("what came in on a day is what its files tell", "update repayment set amount_fen = amount_fen + 1"),
    (
        "the books of a day open as those of the day before closed",
        "update funder_day set manifest = jsonb_set(manifest::jsonb, '{figures,book.cash.opening_fen}', '1')::text
         where made_at is not null;
         update funder_day set manifest_sha256 = sha256(convert_to(manifest, 'UTF8')) where made_at is not null",
    ),
    // Of an account that the day before, or the day after, does not name at all.
    (
        "the books of a day open as those of the day before closed",
        "update funder_day set manifest = (manifest::jsonb #- '{figures,book.cash.closing_fen}')::text where made_at is not null;
         update funder_day set manifest_sha256 = sha256(convert_to(manifest, 'UTF8')) where made_at is not null",
    ),
    (
        "the books of a day open as those of the day before closed",
        "update funder_day set manifest = (manifest::jsonb #- '{figures,book.cash.opening_fen}')::text where made_at is not null;
         update funder_day set manifest_sha256 = sha256(convert_to(manifest, 'UTF8')) where made_at is not null",
    ),
    (DAY_FILES, "update funder_day_file set sha256 = sha256('x')"),
    (DAY_FILES, "delete from funder_day_file where table_name = 'loans'"),
    // What was signed is listed, and a byte more would be given out.
    (DAY_FILES, r"update funder_day_chunk set content = content || '\x00'"),
    (
        "days are closed one after another, each to its end",
        "delete from close_run where business_day = (select min(business_day) + 1 from close_run)",
    ),
    (
        "days are closed one after another, each to its end",
        "update close_chunk set done_at = null where business_day = (select min(business_day) from close_run) and step = 'interest'",
    ),
    (
        "the files of a day are made within three days",
        "insert into funder_day (funder_id, business_day, recorded_at) select funder_id, '2020-01-01', now() from funder",
    ),
];
