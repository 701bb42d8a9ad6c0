//! Every key that may be configured, with what is allowed.

use crate::access::address;

/// One configuration key, such as `listen`. The environment (`FENQI_LISTEN`) wins over the file (`listen`).
pub struct Key {
    pub name: &'static str,
    /// `None` if the key is optional and has no default.
    pub default: Option<&'static str>,
    /// The allowed values, written so that it completes the sentence "allowed is …".
    pub allowed: &'static str,
    /// What the key is for, in a sentence.
    pub says: &'static str,
}

const fn key(name: &'static str, default: Option<&'static str>, allowed: &'static str, says: &'static str) -> Key {
    Key { name, default, allowed, says }
}

/// Every key. `docs/OPERATIONS.md` lists them, and a test compares the two.
pub const KEYS: &[Key] = &[
    key(
        "database_url",
        None,
        "an address such as postgres://user:password@host/database",
        "The database. `DATABASE_URL` is read too. Without it a private PostgreSQL runs in `var_dir`.",
    ),
    key(
        "database_connections",
        Some("16"),
        "a whole number from 2 to 200",
        "Connections that one process holds at most. `serve` and `work` hold one more to a database on another machine, to notice when it is gone.",
    ),
    key("var_dir", Some("var"), "a directory", "Where the private PostgreSQL and the generated key live."),
    key(
        "pg_bin",
        None,
        "the directory that holds initdb and postgres",
        "Where PostgreSQL's programs are, if not found by themselves.",
    ),
    key("listen", Some("127.0.0.1:8080"), "an address and port such as 127.0.0.1:8080", "Where `fenqi serve` listens."),
    key(
        "work_listen",
        None,
        "an address and port such as 127.0.0.1:9464",
        "Where `fenqi work` serves `/healthz`, `/readyz` and `/metrics`, and nothing else. Without it, nowhere.",
    ),
    key(
        "public_url",
        None,
        "an address such as https://pay.example.cn",
        "Where people reach the pages. If it begins with https, cookies are `Secure` and browsers ask for it by no other way for a year. Without it, http and `listen`.",
    ),
    key(
        "line_product",
        Some("harbour-standard"),
        "the code of a published product",
        "The product whose credit line people apply for on the pages.",
    ),
    key(
        "review_days",
        Some("30"),
        "a whole number from 1 to 365",
        "For how many days after an application was refused by automation alone its borrower may ask that a person looks at it.",
    ),
    key(
        "support_phone",
        None,
        "a telephone number such as 400-820-8820",
        "Whom people call: named where something was refused or went wrong, and under Me. Without it pages name nobody.",
    ),
    key(
        "support_hours",
        None,
        "two times of day in Shanghai such as 09:00-21:00",
        "From when to when somebody answers `support_phone`, every day.",
    ),
    key(
        "log",
        Some("info,sqlx=warn,tokio_cron_scheduler=warn"),
        "a filter such as info or fenqi=debug,sqlx=warn",
        "How much is logged to standard error.",
    ),
    key("log_format", Some("text"), "text or json", "`json` writes one object a line."),
    key(
        "calendar_file",
        None,
        "a TOML file in the shape of src/base/working_days.toml",
        "Years of working days beyond those that ship.",
    ),
    key(
        "day_files_at",
        Some("06:00"),
        "a time of day in Shanghai such as 06:00",
        "From when on, the day after a business day, its funders may fetch its files.",
    ),
    key(
        "day_files_kept_days",
        Some("400"),
        "a whole number from 30 to 40000",
        "How long the bytes of daily files are kept; manifests are kept for good, and files can be made again.",
    ),
    key(
        "calls_kept_days",
        Some("180"),
        "a whole number from 30 to 4000",
        "How long the interface log keeps a call to or from a partner; half a year, within which a partner's questions come.",
    ),
    key(
        "messages_kept_days",
        Some("400"),
        "a whole number from 30 to 40000",
        "How long messages to partners are kept after they ended; a funder asks for its events again within this time, so agree it with them. What waits or was given up is kept.",
    ),
    key(
        "notices_kept_days",
        Some("1100"),
        "a whole number from 365 to 40000",
        "How long borrowers, merchants, funders and operators find what they were told; three years and some, within which claims lapse.",
    ),
    key(
        "partners_file",
        None,
        "a TOML file with one [[partner]] table for each, such as the one under Partners",
        "Where the partners are, and the keys by which they and we know each other.",
    ),
    key(
        "outbound_proxy",
        None,
        "an address such as http://proxy.example.cn:3128, with user:password@ before the host if it asks for them",
        "A proxy through which partners and WeChat are called, but for this machine and partners that are `direct`. Without it they are called directly, whatever the environment says.",
    ),
    key(
        "trusted_proxies",
        None,
        "addresses and networks with commas, such as 10.0.0.0/8",
        "Proxies of yours: the address that they name in X-Forwarded-For is the caller's.",
    ),
    key(
        "metrics_from",
        Some(address::NEAR),
        "addresses and networks with commas, such as 10.0.0.0/8",
        "Who may read `/metrics`: this machine and private networks, unless it says otherwise. Everybody else finds no such page.",
    ),
    key(
        "wechat_file",
        None,
        "a TOML file such as the one under Partners",
        "The official account by which people sign in inside WeChat, and its message templates.",
    ),
    key(
        "sandbox_url",
        None,
        "an address such as http://127.0.0.1:8090",
        "A `fenqi sandbox` that plays every partner; only for trials, instead of `partners_file`.",
    ),
    key(
        "delivery_pause_ms",
        Some("2000"),
        "a whole number from 10 to 60000",
        "Milliseconds between two looks for messages to partners that wait.",
    ),
    key(
        "delivery_retry_ms",
        Some("5000"),
        "a whole number from 10 to 3600000",
        "Milliseconds after which a message that failed is tried again the first time; then twice as long each time, up to a day.",
    ),
    key("sandbox_seed", Some("1"), "a whole number", "The `--seed` of that sandbox, from which its keys come."),
    key(
        "risk_hook",
        Some("scorecard"),
        "scorecard, partner, or a scorecard file that ends in .toml",
        "Who decides on applications: the shipped scorecard, one of your own, or the partner named `risk`.",
    ),
    key(
        "master_key",
        None,
        "64 hexadecimal digits (make them with: openssl rand -hex 32)",
        "Seals personal data. Needed with `database_url`; with the private PostgreSQL one is generated in `var_dir`. Whoever loses it loses the data.",
    ),
    key(
        "master_key_number",
        Some("1"),
        "a whole number from 1 to 255",
        "The number by which sealed values name `master_key`; one higher after each rotation.",
    ),
    key(
        "former_master_keys",
        None,
        "number:key pairs with commas, such as 1:64 hexadecimal digits",
        "Keys that still open what was sealed under them.",
    ),
    key(
        "index_key",
        None,
        "64 hexadecimal digits",
        "Keys the blind indexes. Derived from `master_key` if left out, so it must be stated before `master_key` is rotated.",
    ),
];

pub(super) fn key_named(name: &str) -> &'static Key {
    KEYS.iter().find(|key| key.name == name).expect("every key that is read is listed")
}

pub(super) fn names() -> String {
    KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}
