//! `fenqi sign`: prints a signed curl command for any request to the API.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::base::Clock;
use crate::partner::signature::{Identity, Stamp};

#[derive(clap::Args)]
pub struct Args {
    /// GET, POST, PUT or DELETE
    method: String,
    /// The whole address, such as http://127.0.0.1:8080/api/v1/me
    url: String,
    /// The partner's name
    #[arg(long)]
    partner: String,
    /// The key's serial number
    #[arg(long)]
    serial: String,
    /// The file with the private key: PKCS #8 in PEM, or for SM2 64 hexadecimal digits
    #[arg(long)]
    key: PathBuf,
    /// The body, exactly as it is sent
    #[arg(long, conflicts_with = "body_file")]
    body: Option<String>,
    /// A file with the body
    #[arg(long)]
    body_file: Option<PathBuf>,
    /// One key, one outcome; made up if left out
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Another header, such as 'If-Match: "3"'
    #[arg(long)]
    header: Vec<String>,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let shown = args.key.display();
    let text = std::fs::read_to_string(&args.key).with_context(|| format!("cannot read {shown}"))?;
    let identity = Identity::from_text(&args.partner, &args.serial, &text)
        .with_context(|| format!("{shown} holds no private key in PEM, and no 64 hexadecimal digits"))?;
    let body = match (&args.body, &args.body_file) {
        (Some(body), _) => Some(body.clone()),
        (None, Some(path)) => {
            Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?)
        }
        (None, None) => None,
    };
    let method = args.method.to_uppercase();
    let path_from = args.url.find("://").and_then(|at| args.url[at + 3..].find('/').map(|slash| at + 3 + slash));
    let path = path_from.map(|at| &args.url[at..]).context("the address has no path; give it whole, with http://")?;
    let stamp = Stamp::fresh(Clock::System.now());
    let authorization = identity.authorization(&method, path, &stamp, body.as_deref().unwrap_or_default().as_bytes());
    let mut parts = vec![r"curl -sS -i -w '\n'".to_owned(), format!("-X {}", quoted(&method))];
    parts.push(format!("-H {}", quoted(&format!("Authorization: {authorization}"))));
    if method != "GET" {
        let key = args.idempotency_key.unwrap_or_else(|| stamp.nonce.clone());
        parts.push(format!("-H {}", quoted(&format!("Idempotency-Key: {key}"))));
    }
    parts.extend(args.header.iter().map(|header| format!("-H {}", quoted(header))));
    if let Some(body) = body {
        parts.push("-H 'Content-Type: application/json'".to_owned());
        parts.push(format!("--data-binary {}", quoted(&body)));
    }
    parts.push(quoted(&args.url));
    println!("{}", parts.join(" "));
    Ok(ExitCode::SUCCESS)
}

/// As one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_body_stays_one_word() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
