//! The person who runs a command.

use std::os::unix::fs::MetadataExt as _;

use crate::audit::Person;
use crate::cli::typed::filled;

/// The option `--by` of commands that may be run without naming a person.
#[derive(clap::Args)]
pub struct By {
    /// Who does it; the user of the operating system who is logged in, if left out
    #[arg(long, value_parser = filled)]
    by: Option<String>,
}

impl By {
    pub fn person(&self) -> Person {
        self.by.as_deref().map_or_else(|| Person::system_user(&user()), Person::typed)
    }
}

/// Who does it, and why.
#[derive(clap::Args)]
pub struct Who {
    /// Who does it
    #[arg(long, value_parser = filled)]
    pub by: String,
    /// Why, for whoever asks later
    #[arg(long, value_parser = filled)]
    pub reason: String,
}

/// The user who logged in, even if they have become another one since (`sudo`); if that is not known, the user that the program runs as.
/// The name, if this machine knows it, else the number.
fn user() -> String {
    let logged_in = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let running = || std::fs::metadata("/proc/self").ok().map(|own| own.uid());
    let Some(uid) = login(&logged_in).or_else(running) else { return "unknown".to_owned() };
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&users, uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
}

/// Parses `/proc/self/loginuid`. The highest number means that nobody logged in, for example in a container or under a timer.
fn login(text: &str) -> Option<u32> {
    text.trim().parse::<u32>().ok().filter(|uid| *uid != u32::MAX)
}

/// `users` are as /etc/passwd lists them.
fn name_of(users: &str, uid: u32) -> Option<&str> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// Commands that look, that do what the house does by itself all the time, or that are for trials; with those below them.
    const FREE: [&str; 48] = [
        "application list",
        "audit",
        "bench",
        "borrower former",
        "break list",
        "break show",
        "calls",
        "claim list",
        "db",
        "demo",
        "files check",
        "files make",
        "funder list",
        "funder show",
        "jobs list",
        "line loan",
        "line show",
        "merchant code",
        "merchant list",
        "merchant show",
        "migrate",
        "notices",
        "outbox deliver",
        "outbox kinds",
        "outbox list",
        "outbox show",
        "outbox status",
        "outbox try",
        "partner apply",
        "partner check-risk",
        "partner history",
        "partner key generate",
        "partner list",
        "partner owners",
        "partner pay-order",
        "partner platform-key list",
        "payout list",
        "product check",
        "product list",
        "quote",
        "replay",
        "reserve list",
        "sandbox",
        "serve",
        "sign",
        "transfer list",
        "verify",
        "work",
    ];

    /// A command's words, for all that has no commands below it.
    fn leaves(command: &clap::Command, above: &str, found: &mut Vec<(String, bool)>) {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let words = format!("{above} {}", below.get_name()).trim_start().to_owned();
            if below.has_subcommands() {
                leaves(below, &words, found);
            } else {
                found.push((words, below.get_arguments().any(|argument| argument.get_long() == Some("by"))));
            }
        }
    }

    #[test]
    fn whatever_changes_the_house_says_who_types_it() {
        let mut program = Cli::command();
        program.build();
        let mut found = Vec::new();
        leaves(&program, "", &mut found);
        let covers = |free: &str, words: &str| {
            words.strip_prefix(free).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        for (words, says_who) in &found {
            // Whose deeds are looked for is said there, not who looks.
            let is_free = FREE.iter().any(|free| covers(free, words));
            assert!(is_free != *says_who || words == "audit list", "fenqi {words}: --by {says_who}");
        }
        for free in FREE {
            assert!(found.iter().any(|(words, _)| covers(free, words)), "there is no fenqi {free}");
        }
    }

    #[test]
    fn whoever_gives_no_name_is_known_by_the_account() {
        let users = "root:x:0:0:root:/root:/bin/bash\nlina:x:1000:1000:Li Na:/home/lina:/bin/bash\n";
        assert_eq!([0, 1_000, 1_001].map(|uid| name_of(users, uid)), [Some("root"), Some("lina"), None]);
        assert_eq!(["1000\n", "4294967295", ""].map(login), [Some(1_000), None, None]);
        let named = By { by: Some("Li Na".to_owned()) };
        assert_eq!(named.person().name(), "Li Na");
        assert!(!By { by: None }.person().name().is_empty());
    }
}
