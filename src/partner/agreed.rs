//! Answers that contain several statements about one thing: they count only if they are equal.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

/// What was said of each name. A name with two different statements is left out, because either might be the wrong one.
pub fn agreed<K: Eq + Hash, S: PartialEq>(said: impl IntoIterator<Item = (K, S)>) -> HashMap<K, S> {
    let mut by_name: HashMap<K, Option<S>> = HashMap::new();
    for (name, saying) in said {
        match by_name.entry(name) {
            Entry::Vacant(place) => {
                place.insert(Some(saying));
            }
            Entry::Occupied(place) if place.get().as_ref() == Some(&saying) => {}
            Entry::Occupied(mut place) => {
                place.insert(None);
            }
        }
    }
    by_name.into_iter().filter_map(|(name, saying)| Some((name, saying?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_alike_counts_and_what_is_said_in_two_ways_never_does() {
        let said = agreed([(1, "no"), (2, "yes"), (3, "no"), (1, "yes"), (2, "yes"), (1, "yes")]);
        assert_eq!(said, HashMap::from([(2, "yes"), (3, "no")]));
    }
}
