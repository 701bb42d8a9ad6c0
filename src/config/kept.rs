//! Reads from the configuration for how many days data is kept.

use super::Values;
use crate::app::Kept;
use crate::day_file;

pub(super) fn day_files(values: &Values) -> anyhow::Result<day_file::Rules> {
    Ok(day_file::Rules {
        available_at: values.required("day_files_at", |_| true)?,
        kept_days: values.required("day_files_kept_days", |days| (30..=40_000).contains(days))?,
    })
}

pub(super) fn others(values: &Values) -> anyhow::Result<Kept> {
    Ok(Kept {
        calls_days: values.required("calls_kept_days", |days| (30..=4_000).contains(days))?,
        messages_days: values.required("messages_kept_days", |days| (30..=40_000).contains(days))?,
        notices_days: values.required("notices_kept_days", |days| (365..=40_000).contains(days))?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn configured(text: &str) -> anyhow::Result<Kept> {
        Ok(Config::read(Some(("fenqi.toml".to_owned(), text.to_owned())), std::iter::empty())?.kept)
    }

    #[test]
    fn what_ships_is_what_is_kept_by_default() {
        assert_eq!(configured("").unwrap(), Kept::SHIPPED);
        let longer = configured("messages_kept_days = 30\nnotices_kept_days = 40000").unwrap();
        assert_eq!(longer, Kept { messages_days: 30, notices_days: 40_000, ..Kept::SHIPPED });
    }

    #[test]
    fn nothing_is_kept_for_less_than_others_count_on() {
        for (text, key) in [("messages_kept_days = 29", "messages"), ("notices_kept_days = 364", "notices")] {
            let refused = format!("{:#}", configured(text).unwrap_err());
            assert!(refused.starts_with(&format!("`{key}_kept_days` is ")), "{refused}");
        }
    }
}
