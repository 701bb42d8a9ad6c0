//! Whether the machine of the database is still there. Where it lost its power or its network, nobody closes its connections: the
//! driver asks for no keepalives, and whoever waits for a statement that the machine had taken would wait for ever.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::anyhow;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Connection, PgConnection};
use tokio::time::{sleep, timeout};

/// How long the machine may be silent: far longer than one stands still that comes back, and than a standby takes to take over.
pub const SILENCE_MAX: Duration = Duration::from_secs(300);
/// How often it is asked in this time.
const ASKED: u32 = 20;
/// How long after a connection was closed another is made.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until the machine of a pool's database is gone without a word, and says so: it did not answer for `silence_max`, or another is in
/// its place, which knows nothing of connections made before. Then nothing that waits for an answer is worth waiting for, and the process
/// should end, by which all that it had under way is taken up again.
///
/// It is asked over a connection beside the pool's, which is made anew when it is closed with a word: all others hear of that, too. A
/// server that is reached through a socket is on this machine, and is not asked.
pub async fn until_gone(pool: &PgPool, silence_max: Duration) -> anyhow::Error {
    let options = pool.connect_options();
    if is_here(&options) {
        return std::future::pending().await;
    }
    loop {
        let gone = match timeout(silence_max, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => watch(connection, silence_max).await,
            // Where it cannot be reached at present, whoever asks it something hears so.
            Ok(Err(_)) => None,
            Err(_) => Some(silent(silence_max)),
        };
        if let Some(gone) = gone {
            return gone;
        }
        sleep(PAUSE).await;
    }
}

/// `None` once the connection was closed with a word.
async fn watch(mut connection: PgConnection, silence_max: Duration) -> Option<anyhow::Error> {
    loop {
        match timeout(silence_max, connection.ping()).await {
            Ok(Ok(())) => sleep(silence_max / ASKED).await,
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
