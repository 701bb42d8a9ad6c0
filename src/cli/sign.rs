//! `fenqi sign`: prints a signed curl command for any request to the API.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::base::Clock;
use crate::partner::signature::{Identity, Stamp};
use crate::text_file;

#[derive(clap::Args)]
pub struct Args {
    /// The HTTP method, such as GET, POST or PUT
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
    /// The idempotency key: one key, one outcome; made up if left out
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Another header, such as 'If-Match: "3"'
    #[arg(long, value_parser = header)]
    header: Vec<String>,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let shown = args.key.display();
    let text = text_file::read_key(&args.key).with_context(|| format!("cannot read {shown}"))?;
    let identity = Identity::from_text(&args.partner, &args.serial, &text)
        .with_context(|| format!("{shown} holds no private key in PEM, and no 64 hexadecimal digits"))?;
    println!("{}", command(&args, &identity)?);
    Ok(ExitCode::SUCCESS)
}

/// The curl command. Its options keep curl from changing what is signed: no globbing of brackets and braces, no removal of dots in a path,
/// no reading of a file for a body that begins with `@`.
fn command(args: &Args, identity: &Identity) -> anyhow::Result<String> {
    let body = match (&args.body, &args.body_file) {
        (Some(body), _) => body.clone().into_bytes(),
        (None, Some(path)) => std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?,
        (None, None) => Vec::new(),
    };
    let method = args.method.to_uppercase();
    // The fragment after # is not sent.
    let url = args.url.split('#').next().unwrap_or_default();
    let stamp = Stamp::fresh(Clock::System.now());
    let authorization = identity.authorization(&method, path_of(url)?, &stamp, &body);
    let has_body = args.body.is_some() || args.body_file.is_some();
    let has_header = |name: &str| {
        args.header
            .iter()
            .any(|header| header.split([':', ';']).next().is_some_and(|own| own.eq_ignore_ascii_case(name)))
    };
    let mut parts = vec![r"curl -sS -i -g --path-as-is -w '\n'".to_owned()];
    parts.push(match method.as_str() {
        // With `-X HEAD` curl would wait for a body that never comes.
        "HEAD" if !has_body => "-I".to_owned(),
        _ => format!("-X {}", quoted(&method)),
    });
    parts.push(format!("-H {}", quoted(&format!("Authorization: {authorization}"))));
    let key_in_header = has_header("Idempotency-Key");
    anyhow::ensure!(
        args.idempotency_key.is_none() || !key_in_header,
        "the key is given twice; leave out --idempotency-key or the header Idempotency-Key"
    );
    let made_up = Some(&stamp.nonce).filter(|_| method != "GET" && method != "HEAD" && !key_in_header);
    if let Some(key) = args.idempotency_key.as_ref().or(made_up) {
        parts.push(format!("-H {}", quoted(&format!("Idempotency-Key: {key}"))));
    }
    parts.extend(args.header.iter().map(|header| format!("-H {}", quoted(header))));
    if has_body {
        if !has_header("Content-Type") {
            parts.push("-H 'Content-Type: application/json'".to_owned());
        }
        parts.push(match args.body_file.as_deref().and_then(read_again) {
            // As a file, because a large or binary body cannot be an argument of a command.
            Some(file) => format!("--data-binary {}", quoted(&format!("@{}", file.display()))),
            None => {
                let text =
                    std::str::from_utf8(&body).context("the body is no text; give it in a file, not through a pipe")?;
                format!("--data-raw {}", quoted(text))
            }
        });
    }
    parts.push(quoted(url));
    Ok(parts.join(" "))
}

/// The file's absolute path, so that the command works in every directory; `None` for a file that can be read only once, such as a pipe.
fn read_again(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|file| file.is_file())
}

/// The part of an address that is signed: its path with its query.
fn path_of(url: &str) -> anyhow::Result<&str> {
    let authority = url.find("://").map(|at| at + 3);
    let path_from = authority.and_then(|at| url[at..].find(['/', '?']).map(|end| at + end));
    let path = path_from.map(|at| &url[at..]).filter(|path| path.starts_with('/'));
    let path = path.context("the address has no path; give it whole, such as http://127.0.0.1:8080/api/v1/me")?;
    let has_blank = path.contains(|letter: char| letter.is_whitespace() || letter.is_control());
    anyhow::ensure!(!has_blank, "the address holds a blank; write it as it is sent, such as %20 for a space");
    Ok(path)
}

/// A header that curl sends: what has no name it would leave out without a word.
fn header(text: &str) -> Result<String, String> {
    let name = text.split([':', ';']).next().filter(|name| name.len() < text.len());
    let is_name = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    match name {
        Some(name) if is_name(name) => Ok(text.to_owned()),
        _ => Err("a header is a name, a colon and a value, such as 'If-Match: \"3\"'".to_owned()),
    }
}

/// The text as one word of a POSIX shell.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_body_stays_one_word() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn each_header_is_given_once_and_nobody_waits_for_a_body_that_never_comes() {
        let signed = |method: &str, header: &[&str], idempotency_key: Option<&str>| {
            let args = Args {
                method: method.to_owned(),
                url: "http://127.0.0.1:8080/api/v1/me".to_owned(),
                partner: "my-core".to_owned(),
                serial: "MY-1".to_owned(),
                key: PathBuf::new(),
                body: None,
                body_file: None,
                idempotency_key: idempotency_key.map(str::to_owned),
                header: header.iter().map(|header| (*header).to_owned()).collect(),
            };
            command(&args, &Identity::from_seed("my-core", 1))
        };
        let of = |method: &str, header: &[&str], key: Option<&str>| signed(method, header, key).unwrap();
        let keys = |command: &str| command.to_ascii_lowercase().matches("idempotency-key: ").count();
        assert_eq!(keys(&of("POST", &[], None)), 1, "made up");
        assert_eq!(keys(&of("POST", &["idempotency-key: k-1"], None)), 1, "given as a header");
        assert_eq!(keys(&of("PUT", &["If-Match: \"3\""], Some("k-1"))), 1);
        assert_eq!(keys(&of("GET", &[], None)), 0);
        let twice = signed("POST", &["Idempotency-Key: k-1"], Some("k-2")).unwrap_err().to_string();
        assert!(twice.contains("leave out --idempotency-key or the header"), "{twice}");
        let head = of("head", &[], None);
        assert!(head.contains(" -I ") && !head.contains("-X"), "{head}");
        assert!(of("options", &[], None).contains(" -X 'OPTIONS' "));
    }

    #[test]
    fn of_an_address_its_path_and_query_are_signed() {
        assert_eq!(path_of("http://127.0.0.1:8080/api/v1/me?a=/b").unwrap(), "/api/v1/me?a=/b");
        for without in ["http://127.0.0.1:8080", "http://127.0.0.1:8080?a=/b", "/api/v1/me", ""] {
            assert!(path_of(without).is_err(), "{without}");
        }
        let blank = path_of("http://127.0.0.1:8080/api/v1/me?a=b c").unwrap_err().to_string();
        assert!(blank.contains("%20"), "{blank}");
    }

    #[test]
    fn a_header_has_a_name_and_a_value() {
        for header_text in ["If-Match: \"3\"", "If-Match:\"3\"", "X-Empty;", "X-Left-Out:"] {
            assert_eq!(header(header_text).as_deref(), Ok(header_text));
        }
        for nonsense in ["nonsense", "", ": 3", "If Match: 3"] {
            assert!(header(nonsense).unwrap_err().contains("a name, a colon and a value"), "{nonsense}");
        }
    }
}
