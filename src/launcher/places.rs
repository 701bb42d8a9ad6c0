//! Where a private cluster lives, and the account that it runs as.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::SOCKET;
use crate::base::hex::hex_encode;

/// A Unix socket's path holds at most 107 bytes on Linux; `/.s.PGSQL.5432` takes 14 of them.
const SOCKET_DIR_BYTES_MAX: usize = 107 - 14;

/// The directories of one cluster.
pub(super) struct Places {
    pub(super) home: PathBuf,
    pub(super) socket: PathBuf,
}

impl Places {
    /// Creates the home, gives it to the account, and falls back to places that the account can reach.
    pub(super) fn choose(home: &Path, account: Option<&Account>) -> anyhow::Result<Places> {
        let wanted = create_private(home, account)?;
        let home = match account {
            Some(account) if !account.reaches(&wanted) => {
                create_private(&Path::new("/var/lib").join(format!("fenqi-{}", short_hash(&wanted))), Some(account))?
            }
            _ => wanted,
        };
        let socket = home.join("socket");
        let is_short = socket.as_os_str().len() <= SOCKET_DIR_BYTES_MAX;
        let socket = if is_short { socket } else { short_socket_dir(&home, account)? };
        let socket = create_private(&socket, account)?;
        Ok(Places { home, socket })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn version_file(&self) -> PathBuf {
        self.data().join("PG_VERSION")
    }

    /// The major version that made the cluster, where there is one.
    pub(super) fn made_by(&self) -> Option<String> {
        fs::read_to_string(self.version_file()).ok().map(|version| version.trim().to_owned())
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join("server.log")
    }

    /// The log of the previous server.
    pub(super) fn log_before(&self) -> PathBuf {
        self.home.join("server.log.1")
    }

    /// Present while `fenqi db start` wants the server to outlive other processes.
    pub(super) fn kept_mark(&self) -> PathBuf {
        self.home.join("kept")
    }

    /// Takes the lock of the process that is responsible for the server; `None` if another process holds it.
    pub(super) fn try_own(&self) -> anyhow::Result<Option<File>> {
        let path = self.home.join("owner.lock");
        let lock = File::create(&path)
            .with_context(|| format!("cannot write {}; name another directory in FENQI_VAR_DIR", path.display()))?;
        Ok(lock.try_lock().is_ok().then_some(lock))
    }

    fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    /// The process of the server, if it is alive.
    pub(super) fn postmaster(&self) -> Option<u32> {
        let file = fs::read_to_string(self.pid_file()).ok()?;
        let pid: u32 = file.lines().next()?.trim().parse().ok()?;
        // Pids are reused, so the process's name counts too, and its owner and directory: it may belong to another cluster.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.starts_with("postgres") && !self.is_of_another(pid)).then_some(pid)
    }

    /// Whether a process cannot be the server of this data directory: that one would run as the directory's owner and have it as its
    /// working directory. The working directory of other users' processes can often not be read; then the owner alone decides.
    fn is_of_another(&self, pid: u32) -> bool {
        let Ok(data) = fs::metadata(self.data()) else { return true };
        let process = PathBuf::from(format!("/proc/{pid}"));
        fs::metadata(&process).is_ok_and(|owned| owned.uid() != data.uid())
            || fs::metadata(process.join("cwd")).is_ok_and(|cwd| (cwd.dev(), cwd.ino()) != (data.dev(), data.ino()))
    }

    /// Removes the pid file and the socket's lock file of a server that ended with its machine or container. Otherwise PostgreSQL would
    /// take any process of its account that has this pid by now for that server, and refuse to start.
    pub(super) fn clear_leftovers(&self) {
        let started = fs::read_to_string(self.pid_file()).ok().and_then(|file| server_started(&file));
        let is_left = started.zip(machine_started()).is_some_and(|(server, machine)| server < machine);
        if is_left && self.postmaster().is_none() {
            for file in [self.pid_file(), self.socket.join(format!("{SOCKET}.lock"))] {
                fs::remove_file(file).ok();
            }
        }
    }
}

/// When a server started, by its pid file: seconds since 1970.
fn server_started(file: &str) -> Option<u64> {
    file.lines().nth(2)?.trim().parse().ok()
}

/// When the first process of the machine or container started.
fn machine_started() -> Option<u64> {
    started_by(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/1/stat").ok()?)
}

/// When process 1 started, in seconds since 1970. `machine` is `/proc/stat`, whose `btime` is the time of boot; `first` is
/// `/proc/1/stat`, whose field 22 (the twentieth word after the name in brackets) is the start in hundredths of a second after boot.
fn started_by(machine: &str, first: &str) -> Option<u64> {
    let booted: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let (_, words) = first.rsplit_once(')')?;
    let hundredths: u64 = words.split_whitespace().nth(19)?.parse().ok()?;
    Some(booted + hundredths / 100)
}

/// A directory in a shared place such as `/tmp`, for when the home's path is too long for a socket. Others may write there, so only a
/// directory that is ours is used, and no symbolic link is followed.
fn short_socket_dir(home: &Path, account: Option<&Account>) -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_RUNTIME_DIR").filter(|_| !is_root()).map_or_else(|| "/tmp".into(), PathBuf::from);
    let place = base.join(format!("fenqi-{}", short_hash(home)));
    let own = fs::metadata("/proc/self").context("cannot read /proc/self")?.uid();
    match fs::symlink_metadata(&place) {
        Ok(there) if !there.is_dir() || ![own, account.map_or(own, |account| account.uid)].contains(&there.uid()) => {
            bail!("{} belongs to somebody else; remove it or choose another FENQI_VAR_DIR", place.display())
        }
        Ok(_) | Err(_) => Ok(place),
    }
}

/// A directory with mode 0700 that belongs to the account (or to us), with its absolute path.
fn create_private(path: &Path, account: Option<&Account>) -> anyhow::Result<PathBuf> {
    let shown = path.display();
    fs::create_dir_all(path)
        .with_context(|| format!("cannot create the directory {shown}; name another in FENQI_VAR_DIR"))?;
    let path = path.canonicalize().with_context(|| format!("cannot open the directory {shown}"))?;
    if let Some(account) = account {
        // Taking over somebody else's directory would lock its owner out.
        let owner = fs::metadata(&path)?.uid();
        if ![0, account.uid].contains(&owner) {
            let way = format!("choose another FENQI_VAR_DIR, or give it away: chown -R {} {shown}", account.name);
            bail!("{shown} belongs to another user ({owner}); run as that one, {way}");
        }
        chown(&path, Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot give {shown} to its account"))?;
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(|error| {
        let why = match error.kind() {
            // In a shared place such as /tmp somebody else may have made it first.
            ErrorKind::PermissionDenied => "belongs to somebody else; remove it or choose another FENQI_VAR_DIR",
            _ => "cannot be written to; choose another FENQI_VAR_DIR",
        };
        anyhow::Error::new(error).context(format!("{shown} {why}"))
    })?;
    Ok(path)
}

/// The unprivileged account that the server runs as when we are root, because PostgreSQL refuses to run as root.
pub(super) struct Account {
    name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// `None` where we are not root.
    pub(super) fn to_drop_to() -> anyhow::Result<Option<Account>> {
        if !is_root() {
            return Ok(None);
        }
        let table = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let found = ["postgres", "nobody"].into_iter().find_map(|name| Account::parse(&table, name));
        let account =
            found.context("PostgreSQL refuses to run as root and there is no account `postgres` or `nobody`")?;
        Ok(Some(account))
    }

    fn parse(table: &str, name: &str) -> Option<Account> {
        let row = table.lines().find_map(|row| row.strip_prefix(name)?.strip_prefix(':'))?;
        let mut fields = row.split(':').skip(1);
        Some(Account { name: name.to_owned(), uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }

    /// Whether the account can enter the directory: every directory above it must let it pass.
    fn reaches(&self, directory: &Path) -> bool {
        let mut test = Command::new("test");
        test.arg("-x").arg(directory.join(".")).current_dir("/").uid(self.uid).gid(self.gid);
        let reached = test.status().is_ok_and(|status| status.success());
        if !reached {
            tracing::debug!("{} cannot be reached by {}", directory.display(), self.name);
        }
        reached
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn short_hash(path: &Path) -> String {
    hex_encode(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_server_stands_in_the_data() {
        let home = std::env::temp_dir().join(format!("fenqi-places-{}", std::process::id()));
        let places = Places { socket: home.join("socket"), home };
        fs::create_dir_all(places.data()).unwrap();
        let mut server = Command::new("sleep").arg("600").current_dir(places.data()).spawn().unwrap();
        let found = [server.id(), std::process::id()].map(|pid| places.is_of_another(pid));
        server.kill().unwrap();
        server.wait().unwrap();
        fs::remove_dir_all(&places.home).unwrap();
        assert_eq!(found, [false, true]);
    }

    #[test]
    fn a_container_starts_after_its_machine_whatever_its_first_process_is_called() {
        let machine = "cpu  1 2 3\nbtime 1767225600\nprocesses 9\n";
        let first = |name: &str, hundredths: u64| {
            format!("1 ({name}) S 0 1 1 0 -1 4194560 16 0 0 0 2 3 0 0 20 0 1 0 {hundredths} 1024 200 0\n")
        };
        assert_eq!(started_by(machine, &first("systemd", 0)), Some(1_767_225_600));
        assert_eq!(started_by(machine, &first("a (b) c", 8_640_099)), Some(1_767_312_000));
        assert_eq!(started_by("", &first("sh", 0)), None);
        assert_eq!(server_started("57\n/var/pg/data\n1767225601\n5432\n"), Some(1_767_225_601));
        assert_eq!(server_started("57\n"), None);
    }
}
