//! Features use each other only in the stated order, and only through their front doors.

use std::collections::{BTreeMap, BTreeSet};

use super::{Role, Source, expand, none, sources};

/// Folders whose files play the roles of a feature. One may know those before it. The audit trail, access and passcodes
/// stand below all of them, funders' files above.
pub const ORDER: [&str; 17] = [
    "audit",
    "access",
    "passcode",
    "product",
    "borrower",
    "credit",
    "merchant",
    "funder",
    "purchase",
    "loan",
    "bill",
    "repayment",
    "overdue",
    "claim",
    "settlement",
    "reconcile",
    "day_file",
];

/// What a feature knows of one after it, and why.
const AHEAD: [(&str, &str, &str); 13] = [
    ("product", "funder", "terms name their funder, who must exist when they are published"),
    ("product", "loan", "terms are proved, and quotes priced, by building the schedules of loans"),
    ("credit", "funder", "a borrower is told by name whose line it is"),
    ("credit", "bill", "the home page tells what is billed, and an account is closed when nothing is owed"),
    ("credit", "repayment", "the home page tells what is withheld next"),
    ("merchant", "purchase", "the first page of a merchant tells the day's takings"),
    ("purchase", "loan", "a purchase makes a loan, and a refund takes from it"),
    ("purchase", "bill", "a refund takes from what is billed and unpaid too"),
    ("purchase", "repayment", "a refund waits while its loan is being paid off, and asks what is late"),
    ("purchase", "settlement", "a refund shows the merchant's open day first, and what is owed back is paid out"),
    ("bill", "overdue", "what a billed installment owes has its penalty in it"),
    ("repayment", "overdue", "what is collected has penalty in it"),
    ("repayment", "settlement", "what nobody owed is paid back to the card"),
];

#[test]
fn features_know_those_before_them() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources() {
        let Some(own) = ORDER.iter().position(|feature| *feature == source.folder()) else { continue };
        for reference in source.references() {
            let target = reference.split("::").next().unwrap_or_default();
            if ORDER.iter().position(|feature| *feature == target).is_none_or(|place| place <= own) {
                continue;
            }
            match AHEAD.iter().find(|(from, to, _)| *from == source.folder() && *to == target) {
                Some((from, to, _)) => {
                    used.insert((*from, *to));
                }
                None => wrong.push(format!("{} may not know crate::{reference}, which comes after it", source.path)),
            }
        }
    }
    for (from, to, _) in AHEAD.iter().filter(|(from, to, _)| !used.contains(&(*from, *to))) {
        wrong.push(format!("{from} does not know {to} any more"));
    }
    none(wrong);
}

/// What acts or has pages is a feature, but for the messages that all features write.
const NO_FEATURE: &str = "outbox";

#[test]
fn every_feature_has_its_place() {
    let sources = sources();
    let is_page = |source: &Source| source.stem() == "h5" || source.stem().ends_with("_h5");
    let features = sources.iter().filter(|source| source.role() == Role::Actions || is_page(source));
    let features: BTreeSet<&str> = features.map(Source::folder).collect();
    let unplaced = features.iter().filter(|folder| **folder != NO_FEATURE && !ORDER.contains(*folder));
    none(unplaced.map(|folder| format!("{folder} is a feature without a place")).collect());
    let folders: BTreeSet<&str> = sources.iter().map(Source::folder).collect();
    none(
        ORDER
            .iter()
            .filter(|placed| !folders.contains(*placed))
            .map(|placed| format!("there is no {placed}"))
            .collect(),
    );
}

/// Rules are open: whoever calls them does nothing but compute. What reads, writes or shows is reached by the names that the
/// feature's `mod.rs` tells.
#[test]
fn features_are_entered_by_the_front_door() {
    let sources = sources();
    let house = House::of(&sources);
    let mut wrong = BTreeSet::new();
    for source in sources.iter().filter(|source| ORDER.contains(&source.folder())) {
        for reference in house.names_used(source) {
            let [feature, module, name] = reference.splitn(3, "::").collect::<Vec<_>>()[..] else { continue };
            let name = name.split("::").next().unwrap_or_default();
            let is_inside = house.is_behind_the_door(feature, module);
            if feature != source.folder() && is_inside && !house.tells(feature, module, name) {
                wrong.insert(format!("{} enters {feature}::{module} for {name}, not by its mod.rs", source.path));
            }
        }
    }
    none(wrong.into_iter().collect());
}

/// Features with their modules and what their `mod.rs` tells of them.
struct House<'a> {
    roles: BTreeMap<(&'a str, &'a str), Role>,
    told: BTreeSet<String>,
}

impl House<'_> {
    fn of(sources: &[Source]) -> House<'_> {
        let mut house = House { roles: BTreeMap::new(), told: BTreeSet::new() };
        for source in sources.iter().filter(|source| ORDER.contains(&source.folder())) {
            house.roles.insert((source.folder(), source.stem()), source.role());
            if source.role() == Role::Front {
                let code = source.code.join("\n");
                for (place, told) in code.match_indices("pub use ") {
                    let mut names = Vec::new();
                    expand(&code[place + told.len()..], "", &mut names);
                    house.told.extend(names.iter().map(|name| format!("{}::{name}", source.folder())));
                }
            }
        }
        house
    }

    fn is_behind_the_door(&self, feature: &str, module: &str) -> bool {
        matches!(self.roles.get(&(feature, module)), Some(Role::Store | Role::Actions | Role::Face))
    }

    fn tells(&self, feature: &str, module: &str, name: &str) -> bool {
        self.told.contains(&format!("{feature}::{module}::{name}"))
    }

    /// The paths below other features that a file uses: those that it writes out, and those that begin with a feature or a module
    /// of one that it imports.
    fn names_used(&self, source: &Source) -> Vec<String> {
        let code = source.code.join("\n");
        let mut used = source.references();
        for imported in source.references() {
            let module = imported.split_once("::");
            let is_module = module.is_some_and(|(feature, module)| self.roles.contains_key(&(feature, module)));
            if imported != source.folder() && (ORDER.contains(&imported.as_str()) || is_module) {
                let own_name = imported.rsplit("::").next().unwrap_or_default();
                let called = other_name(&code, own_name).unwrap_or(own_name);
                used.extend(paths_from(&code, called).into_iter().map(|rest| format!("{imported}::{rest}")));
            }
        }
        used
    }
}

/// The name that a file gives to what it imports.
fn other_name<'a>(code: &'a str, imported: &str) -> Option<&'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    [
        format!("::{imported} as "),
        format!(" {imported} as "),
        format!("{{{imported} as "),
        format!("{imported}::{{self as "),
    ]
    .iter()
    .find_map(|naming| code.find(naming.as_str()).map(|place| &code[place + naming.len()..]))
    .map(|named| &named[..named.find(|c: char| !is_name(c)).unwrap_or(named.len())])
}

/// What follows `name::` wherever a path begins with it.
fn paths_from(code: &str, name: &str) -> Vec<String> {
    let begin = format!("{name}::");
    let mut paths = Vec::new();
    for (place, _) in code.match_indices(&begin) {
        let goes_on = code[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if !goes_on {
            expand(&code[place + begin.len()..], "", &mut paths);
        }
    }
    paths
}

#[test]
fn paths_are_followed_from_what_is_imported() {
    let code = "use crate::bill::{self, own_actions as own};\nuse crate::credit::store as lines;\n\
                bill::store::find(x); own::list(y); lines::lock(z); rebill::none(); a::bill::none();";
    assert_eq!(paths_from(code, "bill"), ["store::find"]);
    assert_eq!(other_name(code, "own_actions"), Some("own"));
    assert_eq!(other_name(code, "store"), Some("lines"));
    assert_eq!(other_name(code, "bill"), None);
    assert_eq!(paths_from(code, "lines"), ["lock"]);
}
