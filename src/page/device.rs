//! The kind of device, from a browser's `User-Agent`.

/// The end of the words' key `device-…`; `other` if none fits.
pub fn kind(agent: &str) -> &'static str {
    let kinds = [
        ("MicroMessenger", "wechat"),
        ("iPhone", "iphone"),
        ("iPad", "ipad"),
        ("Android", "android"),
        ("Windows", "windows"),
        ("Macintosh", "mac"),
        ("Linux", "linux"),
    ];
    kinds.into_iter().find(|(mark, _)| agent.contains(mark)).map_or("other", |(_, kind)| kind)
}
