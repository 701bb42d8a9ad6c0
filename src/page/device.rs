//! What kind of device a browser says it runs on, in a word that people know.

/// `WeChat`, `iPhone` and so on; `Browser` where nothing fits.
pub fn kind(agent: &str) -> &'static str {
    let names = [
        ("MicroMessenger", "WeChat"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Macintosh", "Mac"),
        ("Linux", "Linux"),
    ];
    names.into_iter().find(|(mark, _)| agent.contains(mark)).map_or("Browser", |(_, name)| name)
}
