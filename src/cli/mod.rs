//! The command line: one file for each subcommand, and what they share. Start with [`main`]; `opening.rs` opens the configuration, the
//! database and the app for a command.

mod house;
mod funder;
mod notices;
mod payout;
mod breaks;
mod transfer;
mod claim;
mod line;
mod borrower;
mod application;
mod quote;
mod product;
mod partner;
mod merchant;
mod calls;
mod check_risk;
mod trial;
mod progress;
mod apply;
mod pay_order;
mod reserve;
mod files;
mod sign;
mod serve;
mod work;
mod sandbox;
mod jobs;
mod notify;
mod outbox;
mod template;
mod close;
mod verify;
mod replay;
mod bench;
mod demo;
mod migrate;
mod db;
mod audit;
mod by;
mod typed;
mod opening;
mod look_at;
mod listed;
mod stop;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use opening::{
    Database, Sharing, app_on, ensure_open, find_database, open_app, open_house, refuse_new_key, say_if_no_house,
    set_up,
};
pub use stop::stop_signal;

/// The exit code after Ctrl-C or a termination signal, as shells have it.
const INTERRUPTED: u8 = 130;
/// The exit code after the reader of standard output has closed it (`| head`), as shells have it.
const NOBODY_READS: u8 = 141;
/// The beginning of `println!`'s panic message when it cannot print; the cause follows.
const OUTPUT_FAILED: &str = "failed printing to stdout: ";
/// Where the address to listen on is set, if not on the command line; named in errors.
const LISTEN_SETTING: &str = "FENQI_LISTEN";

const AFTER_HELP: &str = "Configuration is read from the file that FENQI_CONFIG names (else ./fenqi.toml) and from the \
environment; docs/OPERATIONS.md lists every key. Without DATABASE_URL a private PostgreSQL runs under var/.\n\n\
Exit codes: 0 done, 1 failed or found something wrong (one sentence on standard error says what), 2 wrong usage, \
130 interrupted, 141 whoever read the output has gone.";

/// Fenqi (分期): an open consumer-finance installment platform.
#[derive(Parser)]
#[command(version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// One line per subcommand, in the order of use; its file has `Args` and `run`.
#[derive(Subcommand)]
enum Command {
    /// Serve pages, the partner API, health and metrics over HTTP
    Serve(serve::Args),
    /// Do background work, keep the timetable and deliver messages
    Work(work::Args),
    /// Play every partner over HTTP, for trials
    Sandbox(sandbox::Args),
    /// Show background work that is not done, try it again
    #[command(subcommand)]
    Jobs(jobs::Args),
    /// Show messages that a partner did not take, try them again
    #[command(subcommand)]
    Outbox(outbox::Args),
    /// End a business day, or go on with a close that was interrupted
    Close(close::Args),
    /// Check every identity of the books; silent when all hold, else exit code 1 and a list
    Verify(verify::Args),
    /// What people did by hand: show it, print its head, check a head that was kept
    #[command(subcommand)]
    Audit(audit::Args),
    /// Live through months of real purchases in a counterfeit world, report, and serve
    Demo(demo::Args),
    /// Play scenario files in scratch databases; name the first line that fails
    Replay(replay::Args),
    /// Measure speed against a baseline in the same run, on data of its own
    Bench(bench::Args),
    /// Bring the database to the newest migration
    Migrate(migrate::Args),
    /// Open a new house on its first business day
    #[command(subcommand)]
    House(house::Args),
    /// Open funders, set the terms of their reserves, list them
    #[command(subcommand)]
    Funder(funder::Args),
    /// Show notices to operators, newest last
    Notices(notices::Args),
    /// List payouts, send those that failed again, settle as two people those that the channel contradicts itself about
    #[command(subcommand)]
    Payout(payout::Args),
    /// Differences between channels' files and our books: list, propose what corrects one, confirm it as a second person
    #[command(subcommand)]
    Break(breaks::Args),
    /// Transfers that reached the platform's account: record one for a borrower's line, take it back as two people, list them
    #[command(subcommand)]
    Transfer(transfer::Args),
    /// Claims on guarantors: list them, ask for a late loan, say as two people that one is paid or was booked wrongly, withdraw one
    #[command(subcommand)]
    Claim(claim::Args),
    /// Applications that wait for a person: list them, decide one
    #[command(subcommand)]
    Application(application::Args),
    /// A borrower's line: show it or one of its loans, freeze or unfreeze it, set its limit, close it
    #[command(subcommand)]
    Line(line::Args),
    /// A borrower's account: give it another mobile, find it by a former one, close it for an owner who cannot
    #[command(subcommand)]
    Borrower(borrower::Args),
    /// Price a purchase or plain terms: the schedule and the true cost
    Quote(quote::Args),
    /// Check, publish, withdraw and list products
    Product(product::Args),
    /// Let partners call the API: add them, their keys, their scopes
    #[command(subcommand)]
    Partner(partner::Args),
    /// Merchants: list, show, decide on applications, suspend, change account, fee and people, print codes
    #[command(subcommand)]
    Merchant(merchant::Args),
    /// Search the interface log: every call to and from a partner
    Calls(calls::Args),
    /// Deposits and withdrawals that funders noted: list them, book a deposit that came, refuse either
    #[command(subcommand)]
    Reserve(reserve::Args),
    /// Make funders' daily files, or make them again to compare
    #[command(subcommand)]
    Files(files::Args),
    /// Print a signed curl command for any request to the API
    Sign(sign::Args),
    /// Start, stop or name the private PostgreSQL, for development
    Db(db::Args),
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Work(args) => work::run(args).await,
        Command::Sandbox(args) => sandbox::run(args).await,
        Command::Jobs(args) => jobs::run(args).await,
        Command::Outbox(args) => outbox::run(args).await,
        Command::Close(args) => close::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Migrate(args) => migrate::run(args).await,
        Command::House(args) => house::run(args).await,
        Command::Funder(args) => funder::run(args).await,
        Command::Notices(args) => notices::run(args).await,
        Command::Payout(args) => payout::run(args).await,
        Command::Break(args) => breaks::run(args).await,
        Command::Transfer(args) => transfer::run(args).await,
        Command::Claim(args) => claim::run(args).await,
        Command::Application(args) => application::run(args).await,
        Command::Line(args) => line::run(args).await,
        Command::Borrower(args) => borrower::run(args).await,
        Command::Quote(args) => quote::run(args).await,
        Command::Product(args) => product::run(args).await,
        Command::Partner(args) => partner::run(args).await,
        Command::Merchant(args) => merchant::run(args).await,
        Command::Calls(args) => calls::run(args).await,
        Command::Reserve(args) => reserve::run(args).await,
        Command::Files(args) => files::run(args).await,
        Command::Sign(args) => sign::run(args),
        Command::Db(args) => db::run(args).await,
    }
}

impl Command {
    /// Whether the command handles the signal to stop itself, and ends in order.
    fn stops_in_order(&self) -> bool {
        matches!(self, Command::Serve(_) | Command::Work(_))
    }
}

/// The whole program: parses, runs, and turns an error into one sentence on standard error.
pub fn main() -> ExitCode {
    let command = Cli::parse().command;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("cannot start the program's threads")),
    };
    be_quiet_when_output_fails();
    // Printing panics if nobody reads or the disk is full. The panic drops the command's future, which stops what it started (see `run`).
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(command))));
    // A thread that still waits for standard input must not keep an interrupted program alive.
    runtime.shutdown_background();
    match outcome {
        Ok(ended) => ended.unwrap_or_else(|error| fail(&error)),
        Err(panic) => match panic.downcast_ref::<String>().and_then(|said| said.strip_prefix(OUTPUT_FAILED)) {
            Some(cause) if cause.contains("Broken pipe") => ExitCode::from(NOBODY_READS),
            Some(cause) => fail(&anyhow::anyhow!(
                "standard output cannot be written ({cause}), and what was done is not told; make room there, or write elsewhere"
            )),
            None => resume_unwind(panic),
        },
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    if command.stops_in_order() {
        return dispatch(command).await;
    }
    // Dropping the command's future stops the private server and removes scratch databases.
    tokio::select! {
        outcome = dispatch(command) => outcome,
        () = stop_signal() => Ok(ExitCode::from(INTERRUPTED)),
    }
}

fn be_quiet_when_output_fails() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.payload_as_str().is_some_and(|said| said.starts_with(OUTPUT_FAILED)) {
            usual(panic);
        }
    }));
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use clap::CommandFactory;

    use super::*;

    fn documents() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut documents = vec![root.join("README.md")];
        for folder in ["docs", "docs/integrate"] {
            let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
            documents.extend(entries.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
        }
        documents
    }

    /// What stands behind `fenqi ` in code, up to the command's end or what another one gives to it.
    fn commands(text: &str) -> Vec<&str> {
        let mut commands = Vec::new();
        for (place, name) in text.match_indices("fenqi ") {
            let before = text[..place].chars().next_back();
            if before.is_none_or(|before| "\n`(".contains(before)) {
                let rest = &text[place + name.len()..];
                commands.extend(rest.split(['\n', '`', '|', '#', ';', '&', '(', ')']).next());
            }
        }
        commands
    }

    #[test]
    fn every_command_and_option_that_the_documents_name_exists() {
        let mut program = Cli::command();
        program.build();
        let mut told = 0;
        for path in documents() {
            let text = std::fs::read_to_string(&path).unwrap().replace("\\\n", " ");
            for line in commands(&text) {
                let mut command: &clap::Command = &program;
                let mut words = line.split_whitespace().peekable();
                while let Some(word) = words.peek() {
                    let Some(found) = command.find_subcommand(word) else { break };
                    command = found;
                    words.next();
                }
                let is_whole = !command.has_subcommands() || words.peek().is_none_or(|word| word.starts_with('-'));
                assert!(is_whole, "{} names `fenqi {line}`", path.display());
                for word in words {
                    let Some(option) = word.trim_start_matches('[').strip_prefix("--") else { continue };
                    let is_known = command.get_arguments().any(|argument| argument.get_long() == Some(option));
                    assert!(is_known, "{} names `fenqi {line}`, which has no --{option}", path.display());
                }
                told += 1;
            }
        }
        assert!(told > 100, "only {told} are found");
    }
}
