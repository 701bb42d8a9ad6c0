//! Tells cargo which folders end up in the binary, so that a new file in one of them means a new build.

fn main() {
    // Cargo would build anew each time if a folder were missing; assets are built by `./dev`, later or never.
    let _ = std::fs::create_dir_all("web/dist");
    for folder in ["migrations", "web/dist", "web/locales", "web/templates"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
