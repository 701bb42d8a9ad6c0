//! Listening and serving until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use tokio::net::TcpListener;

use crate::app::App;
use crate::purchase::LiveReceipts;
use crate::router::{health_router, router_with};

/// How long requests in flight may take to end once we are told to stop.
const DRAIN: Duration = Duration::from_secs(15);

/// Opens the port. `setting` is the option or key that the address came from, which the error names.
pub async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) => match error.kind() {
            std::io::ErrorKind::AddrInUse => bail!(
                "port {} of {} is in use by another program; stop that one or set {setting} to another port",
                address.port(),
                address.ip()
            ),
            std::io::ErrorKind::PermissionDenied => {
                bail!("port {} needs rights that this user lacks; set {setting} to a port above 1023", address.port())
            }
            _ => bail!("cannot listen on {address}: {error}; set {setting} to an address of this machine"),
        },
    }
}

/// Serves every URL until `stop` resolves, then lets requests in flight end.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (told, mut hears) = tokio::sync::watch::channel(false);
    let live = LiveReceipts::new(app.clone());
    let open_pages = live.clone();
    let stop = async move {
        stop.await;
        // Live pages would otherwise stay open until their time limit.
        open_pages.close();
        tracing::info!("stopping: no new connections, requests in flight end");
        told.send(true).ok();
    };
    let service = router_with(app, live).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop);
    let drained = async move {
        // The sender lives as long as the server, so this waits until we are told to stop.
        let heard = hears.wait_for(|told| *told).await.is_ok();
        if heard {
            tokio::time::sleep(DRAIN).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = serving.into_future() => Ok(served?),
        () = drained => {
            tracing::warn!("some requests did not end within {} seconds and were cut", DRAIN.as_secs());
            Ok(())
        }
    }
}

/// Serves health and metrics alone, for as long as the caller waits.
pub async fn serve_health(listener: TcpListener, app: App) -> anyhow::Result<()> {
    let service = health_router(app).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
