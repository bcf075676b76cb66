//! Embeds the web UI: writes a table of `static/dist`, which `npm run build` makes, for `src/http/assets.rs` to include.
//! Without that build the table is empty, and the page says how to make it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=static/dist");
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let dist = root.join("static/dist");
    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist, &mut files)?;
    }
    files.sort();

    let mut table = String::from("&[\n");
    for file in files.iter().filter(|file| !is_compressed(file)) {
        let name = file.strip_prefix(&dist).unwrap_or(file).display().to_string();
        let bytes = include(&root, file);
        let encoded = |suffix: &str| {
            let path = PathBuf::from(format!("{}{suffix}", file.display()));
            if path.is_file() { format!("Some({})", include(&root, &path)) } else { "None".to_owned() }
        };
        let (brotli, gzip) = (encoded(".br"), encoded(".gz"));
        // Writing to a string does not fail.
        let _ = writeln!(table, "    File {{ name: {name:?}, bytes: {bytes}, brotli: {brotli}, gzip: {gzip} }},");
    }
    table.push_str("]\n");
    fs::write(Path::new(&variable("OUT_DIR")).join("assets.rs"), table)
}

/// What cargo tells every build script.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.file_name().is_some_and(|name| name != ".gitignore") {
            files.push(path);
        }
    }
    Ok(())
}

fn is_compressed(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "br" || extension == "gz")
}

/// The expression that embeds a file, by its place in the repository.
fn include(root: &Path, file: &Path) -> String {
    let place = file.strip_prefix(root).unwrap_or(file).display();
    format!("include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{place}\")) as &[u8]")
}
