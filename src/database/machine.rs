//! Notices when the database's machine has disappeared. When it loses power or network, nobody closes its connections; the driver sets
//! no TCP keepalives, so a caller that waits for the answer to a statement would wait for ever.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::anyhow;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Connection, PgConnection};
use tokio::time::{sleep, timeout};

/// How long the machine may be silent: far longer than a pause that it recovers from, and than a standby needs to take over.
pub const SILENCE_MAX: Duration = Duration::from_secs(300);
/// Pings within that time.
const PINGS: u32 = 20;
/// The pause before reconnecting after the connection was closed.
const PAUSE: Duration = Duration::from_secs(1);

/// Returns only when the machine of the pool's database has disappeared without closing its connections: it did not answer for
/// `silence_max`, or another machine has taken its address and does not know our connections. Statements that still wait will never be
/// answered, so the process should end; whatever it was doing is taken up again by the next one.
///
/// The machine is pinged over one connection outside the pool. If that is closed in the normal way, it is opened again: the pool's
/// connections are told so themselves. A server that is reached through a Unix socket is on this machine and is never pinged.
pub async fn until_gone(pool: &PgPool, silence_max: Duration) -> anyhow::Error {
    let options = pool.connect_options();
    if is_here(&options) {
        return std::future::pending().await;
    }
    loop {
        let gone = match timeout(silence_max, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => watch(connection, silence_max).await,
            // It cannot be reached at present. Callers get that error themselves, so nobody hangs.
            Ok(Err(_)) => None,
            Err(_) => Some(silent(silence_max)),
        };
        if let Some(gone) = gone {
            return gone;
        }
        sleep(PAUSE).await;
    }
}

/// Pings until the machine is gone, which is returned, or until the connection is closed in the normal way: `None`.
async fn watch(mut connection: PgConnection, silence_max: Duration) -> Option<anyhow::Error> {
    loop {
        match timeout(silence_max, connection.ping()).await {
            Ok(Ok(())) => sleep(silence_max / PINGS).await,
            Ok(Err(sqlx::Error::Io(error))) if error.kind() == ErrorKind::ConnectionReset => {
                return Some(anyhow!(
                    "the database's machine is gone: the one in its place knows nothing of our connections"
                ));
            }
            Ok(Err(_)) => return None,
            Err(_) => return Some(silent(silence_max)),
        }
    }
}

fn silent(silence_max: Duration) -> anyhow::Error {
    anyhow!("the database's machine is gone: it was silent for {silence_max:?}")
}

fn is_here(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some() || options.get_host().starts_with('/')
}
