//! Wires between a test and its database, which do what networks do.

use std::path::PathBuf;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Carries until it falls silent, as where the database's machine has lost its power and another has taken its place.
pub struct Wire {
    silences: watch::Sender<()>,
}

impl Wire {
    /// Lays one to a pool's database, and says what leads through it.
    pub async fn lay(pool: &PgPool) -> (Wire, PgConnectOptions) {
        let socket = socket_of(pool);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = options_through(pool, listener.local_addr().unwrap().port());
        let (silences, falling) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = UnixStream::connect(&socket).await.unwrap();
                let mut silences = falling.clone();
                silences.mark_unchanged();
                tokio::spawn(carry(near, far, silences));
            }
        });
        (Wire { silences }, options)
    }

    /// From now on nothing is heard on the connections that there are, and none of them is closed. Those made later carry.
    pub fn fall_silent(&self) {
        self.silences.send_replace(());
    }
}

async fn carry(mut near: TcpStream, mut far: UnixStream, mut silences: watch::Receiver<()>) {
    let is_silent = tokio::select! {
        biased;
        fallen = silences.changed() => fallen.is_ok(),
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => false,
    };
    if is_silent {
        // The server, too, is without the one at the other end.
        drop(far);
        while silences.changed().await.is_ok() {}
        // Refused in the end, as by a machine in its place that knows nothing of it.
        near.set_zero_linger().unwrap();
    }
}

/// The socket of a test's server.
pub fn socket_of(pool: &PgPool) -> PathBuf {
    let server = pool.connect_options();
    let directory = server.get_socket().expect("tests speak to PostgreSQL through its socket");
    directory.join(format!(".s.PGSQL.{}", server.get_port()))
}

/// Leads to a pool's database by way of a port of this machine.
pub fn options_through(pool: &PgPool, port: u16) -> PgConnectOptions {
    let server = pool.connect_options();
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(server.get_username())
        .database(server.get_database().unwrap())
        .ssl_mode(PgSslMode::Disable)
}
