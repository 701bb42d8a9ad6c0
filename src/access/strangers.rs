//! What a node remembers for moments of requests that it did not believe, so that asking again and again costs it little.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

/// Requests of one address in a minute that are looked at and not believed; after them none is looked at until the next minute.
pub const NOT_BELIEVED_MAX: u32 = 120;
/// How long a partner id and serial number that name no key are remembered. A key that is used before it was added is believed so
/// much later.
pub const UNKNOWN_KEPT: TimeDelta = TimeDelta::seconds(5);
/// Addresses, and names of keys, remembered; with more, everything is forgotten.
const REMEMBERED_MAX: usize = 10_000;
const MINUTE_SECONDS: i64 = 60;

/// One for each node: a row for each stranger would cost what it is to save.
#[derive(Default)]
pub struct Strangers {
    addresses: Mutex<HashMap<IpAddr, Counted>>,
    unknown: Mutex<HashMap<KeyName, DateTime<Utc>>>,
}

#[derive(Clone, Copy)]
struct Counted {
    minute: i64,
    count: u32,
}

/// SHA-256 of a partner id and a serial number, which a stranger may make as long as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyName([u8; 32]);

impl KeyName {
    pub fn of(mchid: &str, serial_no: &str) -> KeyName {
        // With the length of one, no two pairs are written alike.
        KeyName(Sha256::digest(format!("{}:{mchid}{serial_no}", mchid.len())).into())
    }
}

impl Strangers {
    /// The seconds until requests of this address are looked at again, if they are not now.
    pub fn must_wait(&self, address: IpAddr, now: DateTime<Utc>) -> Option<i64> {
        let (minute, into_it) =
            (now.timestamp().div_euclid(MINUTE_SECONDS), now.timestamp().rem_euclid(MINUTE_SECONDS));
        let counted = held(&self.addresses).get(&network(address)).copied();
        let is_full = counted.is_some_and(|one| one.minute == minute && one.count >= NOT_BELIEVED_MAX);
        is_full.then_some(MINUTE_SECONDS - into_it)
    }

    /// Counts a request that was looked at and not believed.
    pub fn count(&self, address: IpAddr, now: DateTime<Utc>) {
        let minute = now.timestamp().div_euclid(MINUTE_SECONDS);
        let (mut addresses, network) = (held(&self.addresses), network(address));
        if addresses.len() >= REMEMBERED_MAX && !addresses.contains_key(&network) {
            addresses.retain(|_, one| one.minute == minute);
            forget_if_full(&mut addresses);
        }
        let counted = addresses.entry(network).or_insert(Counted { minute, count: 0 });
        if counted.minute != minute {
            *counted = Counted { minute, count: 0 };
        }
        counted.count = counted.count.saturating_add(1);
    }

    /// Whether nobody had a key of that name a moment ago.
    pub fn is_unknown(&self, name: KeyName, now: DateTime<Utc>) -> bool {
        held(&self.unknown).get(&name).is_some_and(|asked_at| now - *asked_at < UNKNOWN_KEPT)
    }

    /// Remembers that nobody has a key of that name.
    pub fn remember_unknown(&self, name: KeyName, now: DateTime<Utc>) {
        let mut unknown = held(&self.unknown);
        if unknown.len() >= REMEMBERED_MAX {
            unknown.retain(|_, asked_at| now - *asked_at < UNKNOWN_KEPT);
            forget_if_full(&mut unknown);
        }
        unknown.insert(name, now);
    }
}

fn held<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget_if_full<K, V>(remembered: &mut HashMap<K, V>) {
    if remembered.len() >= REMEMBERED_MAX {
        remembered.clear();
    }
}

/// Whom an address belongs to: of IPv6, everybody has at least the last 64 bits to himself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
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
            assert_eq!(strangers.must_wait(address("203.0.113.7"), now), None);
            strangers.count(address("203.0.113.7"), now);
        }
        assert_eq!(strangers.must_wait(address("203.0.113.7"), now), Some(50));
        assert_eq!(strangers.must_wait(address("203.0.113.8"), now), None);
        assert_eq!(strangers.must_wait(address("203.0.113.7"), now + TimeDelta::seconds(50)), None);
        strangers.count(address("203.0.113.7"), now + TimeDelta::seconds(50));
        assert_eq!(strangers.must_wait(address("203.0.113.7"), now + TimeDelta::seconds(51)), None);
    }

    #[test]
    fn addresses_of_one_network_are_one_stranger() {
        let (strangers, now) = (Strangers::default(), DateTime::UNIX_EPOCH);
        (0..NOT_BELIEVED_MAX).for_each(|last| strangers.count(address(&format!("2001:db8::{last:x}")), now));
        assert!(strangers.must_wait(address("2001:db8::ffff:0:0:1"), now).is_some());
        assert!(strangers.must_wait(address("2001:db8:0:1::1"), now).is_none());
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
            strangers.count(IpAddr::V4(number.into()), now);
            strangers.remember_unknown(KeyName::of("nobody", &number.to_string()), now);
        }
        assert!(held(&strangers.addresses).len() <= REMEMBERED_MAX);
        assert!(held(&strangers.unknown).len() <= REMEMBERED_MAX);
    }
}
