//! What kind of device a browser says it runs on.

/// The end of the key `device-…`; `other` where nothing fits.
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
