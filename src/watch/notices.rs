//! Notices to operators about the house and its partners.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::model::Outage;
use super::store::{EndingKey, FailedJob};
use crate::base::id::ApplicationId;
use crate::base::{BusinessDay, When};
use crate::notice::Notice;

/// No call to a partner was answered for long.
pub fn partner_down(outage: Outage<'_>, when: When) -> Notice {
    Notice::to_operators("partner_down", json!({ "partner": outage.partner, "since": outage.since }), when)
}

/// A partner of which operators were told that it is down has answered.
pub fn partner_back(outage: Outage<'_>, answered_at: DateTime<Utc>, when: When) -> Notice {
    let body = json!({ "partner": outage.partner, "since": outage.since, "answered_at": answered_at });
    Notice::to_operators("partner_back", body, when)
}

/// Something waits for a partner that the configuration does not name.
pub fn partner_missing(partner: &str, when: When) -> Notice {
    Notice::to_operators("partner_missing", json!({ "partner": partner }), when)
}

/// The table of working days ends with `last`; `None` where it does not even have the present day.
pub fn calendar_ends(last: Option<BusinessDay>, when: When) -> Notice {
    Notice::to_operators("calendar_ends", json!({ "last": last }), when)
}

/// A partner's key ends soon, after which it cannot call us any more.
pub fn key_ends(key: &EndingKey, when: When) -> Notice {
    let body = json!({ "partner": key.partner, "serial_no": key.serial_no, "expires_at": key.expires_at });
    Notice::to_operators("key_ends", body, when)
}

/// A job fails again and again; its work waits.
pub fn job_failing(job: &FailedJob, when: When) -> Notice {
    Notice::to_operators("job_failing", named(job), when)
}

/// A job was given up; its work is not done.
pub fn job_dead(job: &FailedJob, when: When) -> Notice {
    Notice::to_operators("job_dead", named(job), when)
}

/// Jobs of this kind have been due for long and have not ended; their work waits.
pub fn job_waits(kind: &str, when: When) -> Notice {
    Notice::to_operators("job_waits", json!({ "kind": kind }), when)
}

fn named(job: &FailedJob) -> Value {
    json!({ "job": job.job_id, "kind": job.kind })
}

/// Messages to a partner were given up.
pub fn messages_dead(partner: &str, when: When) -> Notice {
    Notice::to_operators("messages_dead", json!({ "partner": partner }), when)
}

/// The close of a day has run for too long.
pub fn close_stuck(day: BusinessDay, when: When) -> Notice {
    Notice::to_operators("close_stuck", json!({ "day": day }), when)
}

/// An applicant has waited for a person for long; `oldest` is the application that has waited longest.
pub fn application_waits(oldest: ApplicationId, when: When) -> Notice {
    Notice::to_operators("application_waits", json!({ "oldest": oldest }), when)
}

/// The clock of one of our machines is ahead of the database's, or behind it. By how much is left to the log, so that this
/// notice is the same all day and told once.
pub fn clocks_differ(machine_is: &'static str, when: When) -> Notice {
    Notice::to_operators("clocks_differ", json!({ "machine": machine_is }), when)
}
