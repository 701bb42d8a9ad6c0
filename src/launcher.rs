//! Runs a private PostgreSQL: finds its programs, initialises and starts the server, adopts one that a crashed process left running, and
//! stops it. Start with [`Server`].

mod settings;
mod places;

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use places::{Account, Places};
use settings::settings;

/// The oldest PostgreSQL whose SQL we use (`nulls not distinct` in an index, lz4 settings).
pub const MAJOR_MIN: u32 = 15;
/// Crash recovery replays at most `max_wal_size`, which takes minutes on a slow disk.
const START_SECONDS_MAX: u32 = 600;
/// A server writes its pid file before anything that takes time.
const PID_FILE_SECONDS_MAX: u32 = 10;
/// A fast shutdown writes one checkpoint.
const STOP_SECONDS_MAX: u32 = 120;
/// Often enough that nobody notices the waiting.
const POLLS_PER_SECOND: u32 = 50;
const POLL: Duration = Duration::from_millis(1_000 / POLLS_PER_SECOND as u64);
const SOCKET: &str = ".s.PGSQL.5432";

/// Whether commits survive a power cut. `None` is for tests only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Full,
    None,
}

/// Where the cluster lives and how it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster's own directory, such as `var/pg`; created when missing.
    pub home: PathBuf,
    /// The directory of `initdb` and `postgres`, when it is not to be searched for.
    pub bin: Option<PathBuf>,
    pub durability: Durability,
}

/// A running server. Whoever started or adopted it stops it on drop; whoever shares it leaves it running.
pub struct Server {
    places: Places,
    account: Option<Account>,
    bin: PathBuf,
    /// Held while we are responsible for the server; the system releases it when the process dies.
    owner_lock: Option<File>,
    /// The process that we spawned; it may not have written its pid file yet.
    child: Option<Child>,
}

impl Server {
    /// Starts the server, or adopts one that a dead process left; refused while another process owns it.
    pub async fn start(options: &Options) -> anyhow::Result<Server> {
        let server = Server::prepare(options)?;
        if server.owner_lock.is_none() {
            bail!(
                "another fenqi is running with the database in {}; stop it first, or set FENQI_VAR_DIR to another directory",
                options.home.display()
            );
        }
        server.ready(options.durability).await
    }

    /// Like `start`, but uses the server of another process where one owns it.
    pub async fn start_or_share(options: &Options) -> anyhow::Result<Server> {
        Server::prepare(options)?.ready(options.durability).await
    }

    /// The URL of a database of this server. It states the port and the SSL mode too; otherwise `PGPORT` and `PGSSLMODE` of the environment,
    /// which are meant for another server, would apply.
    pub fn url(&self, database: &str) -> String {
        let socket = percent_encode(&self.places.socket);
        format!("postgres://fenqi@localhost:5432/{database}?sslmode=disable&host={socket}")
    }

    /// Leaves the server running when this process ends, until `stop_kept`.
    pub fn keep(mut self) -> anyhow::Result<()> {
        fs::write(self.places.kept_mark(), "").context("cannot mark the server as kept")?;
        self.owner_lock = None;
        Ok(())
    }

    /// Stops the server, whoever started it. Does nothing if none runs.
    pub fn stop_kept(options: &Options) -> anyhow::Result<()> {
        let Some(server) = Server::running(options)? else { return Ok(()) };
        fs::remove_file(server.places.kept_mark()).ok();
        server.shut_down()
    }

    /// The running server, whoever started it; `None` if none runs. Dropping it leaves the server running.
    pub fn running(options: &Options) -> anyhow::Result<Option<Server>> {
        if !options.home.exists() {
            return Ok(None);
        }
        let account = Account::to_drop_to()?;
        let places = Places::choose(&options.home, account.as_ref())?;
        if places.postmaster().is_none() {
            return Ok(None);
        }
        let bin = find_bin(options.bin.as_deref(), places.made_by().as_deref())?;
        Ok(Some(Server { places, account, bin, owner_lock: None, child: None }))
    }

    fn prepare(options: &Options) -> anyhow::Result<Server> {
        let account = Account::to_drop_to()?;
        let places = Places::choose(&options.home, account.as_ref())?;
        let bin = find_bin(options.bin.as_deref(), places.made_by().as_deref())?;
        let owner_lock = places.try_own()?;
        let server = Server { places, account, bin, owner_lock, child: None };
        // If another process owns the cluster, that process has made and checked it.
        if server.owner_lock.is_some() {
            server.check_version()?;
        }
        Ok(server)
    }

    async fn ready(mut self, durability: Durability) -> anyhow::Result<Server> {
        // A server that is stopping has its pid file but accepts nothing any more.
        for _ in 0..STOP_SECONDS_MAX * POLLS_PER_SECOND {
            if self.places.postmaster().is_none() || self.accepts() {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
        // If another process owns the cluster, that process is starting the server right now.
        if !self.accepts() && self.owner_lock.is_some() {
            self.spawn_anew(durability)?;
        }
        self.wait_until_it_answers(durability).await?;
        Ok(self)
    }

    /// Becomes the owner if the process that owned the cluster has ended meanwhile, and its server with it.
    fn take_over(&mut self, durability: Durability) -> anyhow::Result<()> {
        self.owner_lock = self.places.try_own()?;
        if self.owner_lock.is_some() {
            self.check_version()?;
            self.spawn_anew(durability)?;
        }
        Ok(())
    }

    fn spawn_anew(&mut self, durability: Durability) -> anyhow::Result<()> {
        // The mark is stale: the server that it was made for has ended.
        fs::remove_file(self.places.kept_mark()).ok();
        self.places.clear_leftovers();
        self.child = Some(self.spawn(durability)?);
        Ok(())
    }

    /// Initialises the cluster where there is none, and refuses one of another major version.
    fn check_version(&self) -> anyhow::Result<()> {
        let binary = major_version(&self.bin)?;
        if binary < MAJOR_MIN {
            bail!("PostgreSQL {binary} in {} is too old; install {MAJOR_MIN} or newer", self.bin.display());
        }
        let file = self.places.version_file();
        if !file.exists() {
            self.initialise()?;
        }
        let cluster = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if cluster.trim() != binary.to_string() {
            bail!(
                "the database in {} was made by PostgreSQL {made} but {} is version {binary}; name the directory of \
                 version {made}'s initdb in FENQI_PG_BIN (install it if it is gone), or dump with it and restore (see \
                 docs/OPERATIONS.md)",
                self.places.home.display(),
                self.bin.display(),
                made = cluster.trim(),
            );
        }
        Ok(())
    }

    /// `initdb` into a directory beside, then a rename, so that a killed first start leaves no half cluster.
    fn initialise(&self) -> anyhow::Result<()> {
        let unfinished = self.places.home.join("data.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).context("cannot remove an unfinished cluster")?;
        }
        let output = self
            .command("initdb")
            .arg("-D")
            .arg(&unfinished)
            .args(["--username=fenqi", "--auth=trust", "--encoding=UTF8", "--locale=C", "--data-checksums"])
            .output()
            .context("cannot run initdb")?;
        if !output.status.success() {
            bail!("initdb failed: {}", cause_told(&output.stderr));
        }
        fs::rename(&unfinished, self.places.data()).context("cannot move the new cluster into place")
    }

    fn spawn(&self, durability: Durability) -> anyhow::Result<Child> {
        // Keep the log of the previous server, if there was one.
        fs::rename(self.places.log(), self.places.log_before()).ok();
        let log = File::create(self.places.log()).context("cannot create the server's log")?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.places.data()).arg("-k").arg(&self.places.socket);
        for setting in settings(durability, self.wal_compression()) {
            command.arg("-c").arg(setting);
        }
        // Its own process group, so that Ctrl-C and a terminal that closes reach us alone and we stop the server last.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().context("cannot start postgres")
    }

    /// lz4 costs a tenth of the older method, but not every build has it.
    fn wal_compression(&self) -> &'static str {
        let mut probe = self.command("postgres");
        probe.arg("-D").arg(self.places.data()).args(["-C", "wal_compression", "-c", "wal_compression=lz4"]);
        if probe.output().is_ok_and(|output| output.status.success()) { "lz4" } else { "on" }
    }

    async fn wait_until_it_answers(&mut self, durability: Durability) -> anyhow::Result<()> {
        let url = self.url("postgres");
        for _ in 0..START_SECONDS_MAX * POLLS_PER_SECOND {
            if self.owner_lock.is_none() && self.places.postmaster().is_none() {
                self.take_over(durability)?;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() {
                bail!("PostgreSQL did not start: {}", self.last_words());
            }
            if self.accepts() && <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("PostgreSQL did not answer within {START_SECONDS_MAX} seconds; see {}", self.places.log().display())
    }

    fn accepts(&self) -> bool {
        UnixStream::connect(self.places.socket.join(SOCKET)).is_ok()
    }

    fn last_words(&self) -> String {
        let log = fs::read(self.places.log()).unwrap_or_default();
        format!("{} (all of it in {})", cause_told(&log), self.places.log().display())
    }

    /// A fast shutdown (SIGINT): sessions end, a checkpoint is written.
    fn shut_down(&self) -> anyhow::Result<()> {
        let seconds = STOP_SECONDS_MAX.to_string();
        let output = self
            .command("pg_ctl")
            .args(["stop", "-m", "fast", "-w", "-s", "-t", &seconds, "-D"])
            .arg(self.places.data())
            // In its own process group, so that a second Ctrl-C or a closed terminal does not interrupt the shutdown.
            .process_group(0)
            .output()
            .context("cannot run pg_ctl")?;
        if !output.status.success() && self.places.postmaster().is_some() {
            bail!("PostgreSQL did not stop: {}", cause_told(&output.stderr));
        }
        Ok(())
    }

    /// A program of PostgreSQL, run as the unprivileged account where we are root.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir("/").env("LC_ALL", "C");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let is_kept = self.owner_lock.is_none() || self.places.kept_mark().exists();
        if is_kept {
            return;
        }
        // If we are interrupted right after spawning, wait for the pid file: otherwise the server would come up with nobody to stop it.
        for _ in 0..PID_FILE_SECONDS_MAX * POLLS_PER_SECOND {
            if self.places.postmaster().is_some() || !self.child.as_mut().is_some_and(is_alive) {
                break;
            }
            std::thread::sleep(POLL);
        }
        if self.places.postmaster().is_none() {
            return;
        }
        if let Err(error) = self.shut_down() {
            tracing::error!("{error:#}");
        }
    }
}

fn is_alive(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(None))
}

/// Another of PostgreSQL's programs beside the server, such as `pgbench`.
pub fn program(options: &Options, name: &str) -> anyhow::Result<PathBuf> {
    Ok(find_bin(options.bin.as_deref(), None)?.join(name))
}

/// The directory of `initdb`: as told, else on `PATH`, else where `pg_config` or Debian put it (newest first). Of several, that of
/// the version that made the cluster: Debian keeps it beside a newer one.
fn find_bin(told: Option<&Path>, made_by: Option<&str>) -> anyhow::Result<PathBuf> {
    let has_initdb = |directory: &Path| directory.join("initdb").is_file() && directory.join("postgres").is_file();
    if let Some(told) = told {
        if !has_initdb(told) {
            bail!("FENQI_PG_BIN is {}, which holds no initdb and postgres", told.display());
        }
        // The programs are started in another directory than ours.
        return std::path::absolute(told).with_context(|| format!("cannot open the directory {}", told.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        candidates.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    candidates.extend(debian.into_iter().map(|(_, directory)| directory));
    // A link on `PATH` may stand apart from the programs that initdb looks for beside itself.
    let resolve = |directory: PathBuf| Some(directory.join("initdb").canonicalize().ok()?.parent()?.to_owned());
    let found: Vec<PathBuf> = candidates.into_iter().filter_map(resolve).filter(|place| has_initdb(place)).collect();
    let made_it = |place: &&PathBuf| {
        made_by.is_some_and(|made_by| major_version(place).is_ok_and(|major| major.to_string() == made_by))
    };
    found.iter().find(made_it).or(found.first()).cloned().context(
        "no PostgreSQL is installed; install it (Debian: apt-get install postgresql), name the directory of its initdb \
         in FENQI_PG_BIN, or set DATABASE_URL to a database of yours",
    )
}

/// The number after `postgres (PostgreSQL) `.
fn major_version(bin: &Path) -> anyhow::Result<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output();
    let output = output.with_context(|| format!("cannot run {}", bin.join("postgres").display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let major = number.and_then(|number| number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    major.with_context(|| format!("{} does not tell its version", bin.join("postgres").display()))
}

fn percent_encode(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The cause that a failed program names; what it says after that is only about its clean-up.
fn cause_told(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines = || text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let is_cause = |line: &&str| ["FATAL", "ERROR", "error:"].iter().any(|word| line.contains(word));
    lines().find(is_cause).or_else(|| lines().next()).unwrap_or("it said nothing").to_owned()
}
