//! When a channel is queried about an order on which it has given no final answer, and when a person is told to call it.

use chrono::TimeDelta;

/// How long after an order was sent its channel is first queried about it: longer than the call that sends it can last.
pub const FIRST_QUERY_AFTER: TimeDelta = TimeDelta::minutes(1);
/// The longest time between two queries about one order.
const QUERY_DELAY_MAX: TimeDelta = TimeDelta::hours(1);

/// After this many queries about one order an operator is told to call the channel. That takes about nine hours if the channel does not
/// answer; of a payout about a day, if it answers each time that it never received what is then sent again.
pub const QUERIES_BEFORE_NOTICE: i16 = 14;

/// How long to wait until the next query about an order that was queried `queries` times: a minute, then twice as long each time, up to an
/// hour.
pub fn query_delay(queries: i16) -> TimeDelta {
    // Six doublings of a minute are already more than an hour.
    (FIRST_QUERY_AFTER * (1 << queries.clamp(0, 6))).min(QUERY_DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_asked_about_ever_more_rarely_up_to_an_hour() {
        assert_eq!(query_delay(0), TimeDelta::minutes(1));
        assert_eq!(query_delay(3), TimeDelta::minutes(8));
        assert_eq!(query_delay(5), TimeDelta::minutes(32));
        assert_eq!(query_delay(6), TimeDelta::hours(1));
        assert_eq!(query_delay(i16::MAX), TimeDelta::hours(1));
    }
}
