//! Embeds the web UI: writes a table of `static/dist`, which `npm run build` makes, for `src/http/assets.rs` to include.
//! Without that build the table is empty, and the page says how to make it. And compiles the fork server's loop,
//! `src/worker/native/`, to a library that `guard/forkserver.rs` includes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    fs::write(Path::new(&variable("OUT_DIR")).join("assets.rs"), table)?;
    compile_native(&root)
}

/// A library of its own, since a Python loads it; linked with nothing, so that any C library will do.
fn compile_native(root: &Path) -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=src/worker/native");
    let mut command = Command::new(variable("RUSTC"));
    command.args(["--edition=2024", "--crate-name=airlock_native", "--crate-type=cdylib"]);
    command.args(["-Copt-level=2", "-Cpanic=abort", "-Cstrip=symbols", "-Dwarnings", "--target", &variable("TARGET")]);
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        command.arg(format!("-Clinker={linker}"));
    }
    command.arg("-o").arg(Path::new(&variable("OUT_DIR")).join("native.so")).arg(root.join("src/worker/native/lib.rs"));
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("{command:?}: {status}"))) }
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
