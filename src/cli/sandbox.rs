//! `fenqi sandbox`: the counterfeit partners over HTTP, for trials.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use crate::base::Clock;
use crate::cli::set_up;
use crate::http;
use crate::partner::is_base_url;
use crate::sandbox::{self, Silence, World, WorldSettings};

#[derive(clap::Args)]
pub struct Args {
    /// Where to listen on this machine
    #[arg(long, default_value_t = 8090)]
    port: u16,
    /// The seed of its keys and faults; the platform's `sandbox_seed` must be the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Results are called back to this address and `/{partner}`
    #[arg(long, default_value = "http://127.0.0.1:8080/partner", value_parser = callback_base)]
    callback: String,
    /// Keep silent by holding the connection for this many seconds instead of breaking it
    #[arg(long)]
    hold_seconds: Option<u64>,
}

pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    set_up()?;
    let listener = http::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port)), "--port").await?;
    let world = World::new(WorldSettings {
        seed: args.seed,
        clock: Clock::System,
        wire_clock: Clock::System,
        silence: args.hold_seconds.map_or(Silence::Drop, |seconds| Silence::Hold(Duration::from_secs(seconds))),
        callback_base: Some(args.callback),
    })?;
    let address = listener.local_addr()?;
    println!("the sandbox plays {} at http://{address}", sandbox::PARTNERS.join(", "));
    println!("start the platform with FENQI_SANDBOX_URL=http://{address} FENQI_SANDBOX_SEED={}", args.seed);
    sandbox::serve(listener, world).await?;
    Ok(ExitCode::SUCCESS)
}

/// Checks an address to which a partner's name is appended; with another form, no callback would ever arrive.
fn callback_base(text: &str) -> Result<String, String> {
    let base = text.trim_end_matches('/');
    if is_base_url(base) {
        Ok(base.to_owned())
    } else {
        Err("an address begins with http:// or https://, such as http://127.0.0.1:8080/partner".to_owned())
    }
}
