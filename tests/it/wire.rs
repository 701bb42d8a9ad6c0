//! Test helper: a network connection between a test and its database that can go silent without being closed.

use std::path::PathBuf;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// A forwarder in front of the database that can fall silent, as where the database's machine loses its power and another one
/// takes its place.
pub struct Wire {
    silences: watch::Sender<()>,
}

impl Wire {
    /// Opens one in front of a pool's database; also returns the options to connect through it.
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

    /// From now on nothing is forwarded on the present connections, and none of them is closed. Later ones work.
    pub fn fall_silent(&self) {
        self.silences.send_replace(());
    }
}

/// Forwards one connection until it ends or falls silent.
async fn carry(mut near: TcpStream, mut far: UnixStream, mut silences: watch::Receiver<()>) {
    let is_silent = tokio::select! {
        biased;
        fallen = silences.changed() => fallen.is_ok(),
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => false,
    };
    if is_silent {
        // The server loses its peer, too.
        drop(far);
        while silences.changed().await.is_ok() {}
        // Reset in the end, as by a machine that has taken its place and does not know the connection.
        near.set_zero_linger().unwrap();
    }
}

/// The Unix socket of a test's server.
pub fn socket_of(pool: &PgPool) -> PathBuf {
    let server = pool.connect_options();
    let directory = server.get_socket().expect("tests speak to PostgreSQL through its socket");
    directory.join(format!(".s.PGSQL.{}", server.get_port()))
}

/// Options to connect to a pool's database through a port of this machine.
pub fn options_through(pool: &PgPool, port: u16) -> PgConnectOptions {
    let server = pool.connect_options();
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(server.get_username())
        .database(server.get_database().unwrap())
        .ssl_mode(PgSslMode::Disable)
}
