//! What a node remembers for a short time of requests that it could not authenticate, so that repeating them costs it little.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::address::network_of;

/// How many requests from one address in a minute may fail authentication or repeat a nonce. After that, until the next minute, only
/// requests that name an existing key are looked at, and for each key only until as many that named it from there have failed.
pub const NOT_BELIEVED_MAX: u32 = 120;
/// How long it is remembered that a key does not exist. A key that is used before it is added is accepted with that much delay.
pub const UNKNOWN_KEPT: TimeDelta = TimeDelta::seconds(5);
/// Addresses, and names of keys, remembered; when there are more, all are forgotten.
const REMEMBERED_MAX: usize = 10_000;
const MINUTE_SECONDS: i64 = 60;

/// One for each node, in memory: writing a row for each failed request would cost as much as it saves.
#[derive(Default)]
pub struct Strangers {
    addresses: Mutex<HashMap<IpAddr, Counted>>,
    /// Also counted by the named key, so that a partner behind the same address as a stranger is not shut out with it.
    named: Mutex<HashMap<(IpAddr, KeyName), Counted>>,
    unknown: Mutex<HashMap<KeyName, DateTime<Utc>>>,
}

#[derive(Clone, Copy)]
struct Counted {
    minute: i64,
    count: u32,
}

/// SHA-256 of a partner id and a serial number: a stranger could send very long ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyName([u8; 32]);

impl KeyName {
    pub fn of(mchid: &str, serial_no: &str) -> KeyName {
        // The length of the first keeps two different pairs from giving the same text.
        KeyName(Sha256::digest(format!("{}:{mchid}{serial_no}", mchid.len())).into())
    }
}

impl Strangers {
    /// The seconds until requests from this address are looked at again; `None` if they are now. `key` is the existing key that the request
    /// names, if any.
    pub fn seconds_blocked(&self, address: IpAddr, key: Option<KeyName>, now: DateTime<Utc>) -> Option<i64> {
        let network = network_of(address);
        let is_full =
            is_full(&self.addresses, &network, now) && key.is_none_or(|key| is_full(&self.named, &(network, key), now));
        is_full.then_some(MINUTE_SECONDS - now.timestamp().rem_euclid(MINUTE_SECONDS))
    }

    /// Counts a request that failed authentication, and the key that it named.
    pub fn count(&self, address: IpAddr, key: Option<KeyName>, now: DateTime<Utc>) {
        let network = network_of(address);
        count(&self.addresses, network, now);
        if let Some(key) = key {
            count(&self.named, (network, key), now);
        }
    }

    /// Whether a moment ago there was no key with that name. Entries from the future (before the clock was set back) are ignored.
    pub fn is_unknown(&self, name: KeyName, now: DateTime<Utc>) -> bool {
        locked(&self.unknown).get(&name).is_some_and(|asked_at| is_young(*asked_at, now))
    }

    /// Remembers that there is no key with that name.
    pub fn remember_unknown(&self, name: KeyName, now: DateTime<Utc>) {
        let mut unknown = locked(&self.unknown);
        if unknown.len() >= REMEMBERED_MAX {
            unknown.retain(|_, asked_at| is_young(*asked_at, now));
            forget_if_full(&mut unknown);
        }
        unknown.insert(name, now);
    }
}

fn is_young(asked_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - asked_at).abs() < UNKNOWN_KEPT
}

fn minute_of(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(MINUTE_SECONDS)
}

fn is_full<K: Eq + Hash>(counts: &Mutex<HashMap<K, Counted>>, key: &K, now: DateTime<Utc>) -> bool {
    let counted = locked(counts).get(key).copied();
    counted.is_some_and(|one| one.minute == minute_of(now) && one.count >= NOT_BELIEVED_MAX)
}

fn count<K: Eq + Hash>(counts: &Mutex<HashMap<K, Counted>>, key: K, now: DateTime<Utc>) {
    let (mut counts, minute) = (locked(counts), minute_of(now));
    if counts.len() >= REMEMBERED_MAX && !counts.contains_key(&key) {
        counts.retain(|_, one| one.minute == minute);
        forget_if_full(&mut counts);
    }
    let counted = counts.entry(key).or_insert(Counted { minute, count: 0 });
    if counted.minute != minute {
        *counted = Counted { minute, count: 0 };
    }
    counted.count = counted.count.saturating_add(1);
}

fn locked<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget_if_full<K, V>(remembered: &mut HashMap<K, V>) {
    if remembered.len() >= REMEMBERED_MAX {
        remembered.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_is_never_believed_is_looked_at_so_often_in_a_minute() {
        let (strangers, now) = (Strangers::default(), DateTime::UNIX_EPOCH + TimeDelta::seconds(10));
        for _ in 0..NOT_BELIEVED_MAX {
            assert_eq!(strangers.seconds_blocked(address("203.0.113.7"), None, now), None);
            strangers.count(address("203.0.113.7"), None, now);
        }
        assert_eq!(strangers.seconds_blocked(address("203.0.113.7"), None, now), Some(50));
        assert_eq!(strangers.seconds_blocked(address("203.0.113.8"), None, now), None);
        assert_eq!(strangers.seconds_blocked(address("203.0.113.7"), None, now + TimeDelta::seconds(50)), None);
        strangers.count(address("203.0.113.7"), None, now + TimeDelta::seconds(50));
        assert_eq!(strangers.seconds_blocked(address("203.0.113.7"), None, now + TimeDelta::seconds(51)), None);
    }

    #[test]
    fn a_key_that_nobody_had_is_asked_for_again_soon_though_the_clock_is_set_back() {
        let (strangers, now) = (Strangers::default(), DateTime::UNIX_EPOCH + TimeDelta::days(2));
        let name = KeyName::of("core", "C-1");
        strangers.remember_unknown(name, now);
        assert!(strangers.is_unknown(name, now + UNKNOWN_KEPT - TimeDelta::milliseconds(1)));
        assert!(!strangers.is_unknown(name, now + UNKNOWN_KEPT));
        assert!(!strangers.is_unknown(name, now - TimeDelta::days(1)));
    }

    #[test]
    fn a_key_of_a_partner_is_looked_at_beside_a_stranger_until_it_is_not_believed_as_often() {
        let (strangers, now) = (Strangers::default(), DateTime::UNIX_EPOCH);
        let (shared, elsewhere) = (address("203.0.113.7"), address("203.0.113.8"));
        let (core, other) = (Some(KeyName::of("core", "C-1")), Some(KeyName::of("core", "C-2")));
        (0..NOT_BELIEVED_MAX).for_each(|_| strangers.count(shared, None, now));
        assert_eq!(strangers.seconds_blocked(shared, None, now), Some(60));
        for _ in 0..NOT_BELIEVED_MAX {
            assert_eq!(strangers.seconds_blocked(shared, core, now), None);
            strangers.count(shared, core, now);
        }
        assert_eq!(strangers.seconds_blocked(shared, core, now), Some(60));
        assert_eq!(strangers.seconds_blocked(shared, other, now), None);
        assert_eq!(strangers.seconds_blocked(elsewhere, core, now), None);
        assert_eq!(strangers.seconds_blocked(shared, core, now + TimeDelta::seconds(60)), None);
    }

    #[test]
    fn addresses_of_one_network_are_one_stranger() {
        let (strangers, now) = (Strangers::default(), DateTime::UNIX_EPOCH);
        (0..NOT_BELIEVED_MAX).for_each(|last| strangers.count(address(&format!("2001:db8::{last:x}")), None, now));
        assert!(strangers.seconds_blocked(address("2001:db8::ffff:0:0:1"), None, now).is_some());
        assert!(strangers.seconds_blocked(address("2001:db8:0:1::1"), None, now).is_none());
    }

    #[test]
    fn a_key_that_nobody_has_is_asked_for_again_after_five_seconds() {
        let (strangers, now) = (Strangers::default(), DateTime::UNIX_EPOCH);
        let name = KeyName::of("nobody", "N-1");
        assert!(!strangers.is_unknown(name, now));
        strangers.remember_unknown(name, now);
        assert!(strangers.is_unknown(name, now + TimeDelta::milliseconds(4_999)));
        assert!(!strangers.is_unknown(KeyName::of("nobody", "N-2"), now));
        assert!(!strangers.is_unknown(name, now + UNKNOWN_KEPT));
    }

    #[test]
    fn what_is_remembered_stays_within_its_bounds() {
        let (strangers, now) = (Strangers::default(), DateTime::UNIX_EPOCH);
        for number in 0..=u32::try_from(REMEMBERED_MAX).unwrap() {
            strangers.count(IpAddr::V4(number.into()), Some(KeyName::of("core", &number.to_string())), now);
            strangers.remember_unknown(KeyName::of("nobody", &number.to_string()), now);
        }
        assert!(locked(&strangers.addresses).len() <= REMEMBERED_MAX);
        assert!(locked(&strangers.named).len() <= REMEMBERED_MAX);
        assert!(locked(&strangers.unknown).len() <= REMEMBERED_MAX);
    }
}
