//! The picture of a code: an SVG that prints sharp at any size.

use fast_qr::convert::Builder;
use fast_qr::convert::svg::SvgBuilder;
use fast_qr::{ECL, QRBuilder};

/// Draws a link or payload as a QR code that can be read with a quarter of it lost, since printed codes get scratched.
///
/// # Errors
/// If the text is longer than a code can hold (about 1,600 bytes).
pub fn svg(text: &str) -> anyhow::Result<String> {
    let code = QRBuilder::new(text).ecl(ECL::Q).build().map_err(|error| anyhow::anyhow!("no code: {error}"))?;
    Ok(SvgBuilder::default().margin(4).to_str(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_an_svg() {
        let picture = svg("https://pay.example/q/0123456789abcdefABCDEF").unwrap();
        assert!(picture.starts_with("<svg"));
        assert!(picture.ends_with("</svg>"));
    }

    #[test]
    fn a_text_that_no_code_holds_is_an_error() {
        assert!(svg(&"x".repeat(4_000)).is_err());
    }
}
