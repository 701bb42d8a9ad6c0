//! Notifies a merchant's cashier of what became of a payment.

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};

use super::address::{Guarded, NotifyUrl, Reach};
use super::wire::{Notification, SUCCESS, Verdict};
use crate::partner::CallError;
use crate::partner::call_log::CallLog;
use crate::partner::call_record::Ended;
use crate::partner::client::{Clocks, build_guarded};
use crate::partner::signature::{Identity, Stamp};

/// As long as WeChat Pay gives a cashier.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The largest answer that is read; a verdict takes forty bytes.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// Reaches every merchant's cashier, each at its own address.
pub struct Cashiers {
    http: reqwest::Client,
    reach: Reach,
    log: CallLog,
    clocks: Clocks,
}

/// Who is notified.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// Its name in the call log.
    pub partner: &'a str,
    pub url: &'a NotifyUrl,
}

impl Cashiers {
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn new(reach: Reach, log: CallLog, clocks: Clocks) -> reqwest::Result<Cashiers> {
        Ok(Cashiers { http: build_guarded(Guarded(reach))?, reach, log, clocks })
    }

    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Notifies a cashier in the name of `identity`.
    ///
    /// # Errors
    /// Why it counts as not taken; an explicit no is `Rejected`.
    pub async fn notify(
        &self,
        recipient: Recipient<'_>,
        identity: &Identity,
        notification: &Notification,
    ) -> Result<(), CallError> {
        let Recipient { partner, url } = recipient;
        let body = serde_json::to_vec(notification).map_err(|error| CallError::NotSent {
            partner: partner.to_owned(),
            reason: format!("the notification has no JSON: {error}"),
        })?;
        let called_at = self.clocks.business.now();
        let started = Instant::now();
        let mut heard = Heard { status: None, answer: Vec::new() };
        let sent = tokio::time::timeout(TIME_LIMIT, self.send(url, identity, &body, &mut heard)).await;
        let result = match sent {
            Ok(Ok(())) => judge(partner, &heard),
            Ok(Err(error)) => Err(CallError::of_sending(partner, &error)),
            Err(_) => {
                let reason = format!("no answer within {} ms", TIME_LIMIT.as_millis());
                Err(CallError::Unknown { partner: partner.to_owned(), reason })
            }
        };
        self.log
            .record(&Ended {
                partner,
                direction: "out",
                operation: "notify_merchant",
                call_key: &notification.event_no.to_string(),
                also: &[],
                request: &body,
                response: &heard.answer,
                outcome: result.as_ref().err().map_or("ok", CallError::outcome),
                http_status: heard.status,
                duration: started.elapsed(),
                called_at,
            })
            .await;
        result
    }

    async fn send(
        &self,
        url: &NotifyUrl,
        identity: &Identity,
        body: &[u8],
        heard: &mut Heard,
    ) -> Result<(), reqwest::Error> {
        let stamp = Stamp::fresh(self.clocks.wire.now());
        let authorization = identity.authorization("POST", &url.signed_part(), &stamp, body);
        let request = self.http.post(url.as_str()).body(body.to_vec());
        let request = request.header(AUTHORIZATION, authorization).header(CONTENT_TYPE, "application/json");
        let mut response = request.send().await?;
        heard.status = Some(response.status().as_u16());
        while let Some(chunk) = response.chunk().await? {
            let room = ANSWER_BYTES_MAX - heard.answer.len();
            heard.answer.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if heard.answer.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }
}

/// What has come back so far.
struct Heard {
    status: Option<u16>,
    answer: Vec<u8>,
}

fn judge(partner: &str, heard: &Heard) -> Result<(), CallError> {
    let status = heard.status.unwrap_or_default();
    let verdict: Option<Verdict> = serde_json::from_slice(&heard.answer).ok();
    match verdict {
        Some(verdict) if (200..300).contains(&status) && verdict.code == SUCCESS => Ok(()),
        Some(Verdict { code, message }) => Err(CallError::Rejected {
            partner: partner.to_owned(),
            status,
            code,
            message: message.unwrap_or_else(|| "no message".to_owned()),
        }),
        None => {
            let reason = format!("status {status} without {{\"code\": \"{SUCCESS}\"}}");
            Err(CallError::Unknown { partner: partner.to_owned(), reason })
        }
    }
}
