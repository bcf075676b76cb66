//! The container's image: a Debian with Python, and the binary under test. Made here from Debian's packages: base images can't
//! be pulled everywhere. The root file system is kept in `target/`, the engine's copy by the binary's content.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PACKAGES: &str = "python3,ca-certificates,tzdata";
const RELEASE: &str = "bookworm";

/// A Docker engine that answers, and the image in it.
pub(crate) struct Engine {
    pub(crate) image: String,
}

impl Engine {
    /// Runs a command of Docker's that must succeed, and returns what it printed.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        docker(arguments).unwrap_or_else(|why| panic!("docker {arguments:?}: {why}"))
    }
}

/// An engine with an image of this binary; or why there can't be one here.
pub(crate) fn ready() -> Result<Engine, String> {
    engine()?;
    let base = base_image()?;
    let folder = target().join("context");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    fs::copy(env!("CARGO_BIN_EXE_airlock"), folder.join("airlock")).map_err(|error| error.to_string())?;
    // The last stage of the real Dockerfile, but for what it installs and builds.
    let dockerfile = format!(
        "FROM {base}\nCOPY airlock /usr/local/bin/airlock\nRUN mkdir -m 1777 /data\n\
         ENV AIRLOCK_LISTEN=0.0.0.0:9090 AIRLOCK_DATA_DIR=/data/airlock\nENTRYPOINT [\"airlock\"]\nCMD [\"serve\"]\n"
    );
    fs::write(folder.join("Dockerfile"), dockerfile).map_err(|error| error.to_string())?;
    let built = docker(&["build", "-q", &folder.to_string_lossy()])?;
    let _ = fs::remove_dir_all(&folder);
    Ok(Engine { image: built.lines().last().unwrap_or_default().to_owned() })
}

/// An engine that answers: the one that runs, else one that is started, after it was installed where that can be done.
fn engine() -> Result<(), String> {
    if docker(&["info"]).is_ok() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        return Err("no Docker engine answers, and only root can start one".to_owned());
    }
    if !there("dockerd") || !there("debootstrap") {
        install(&["docker.io", "debootstrap"])?;
    }
    let log =
        fs::File::create(std::env::temp_dir().join("airlock-tests-dockerd.log")).map_err(|error| error.to_string())?;
    let mut daemon = Command::new("setsid");
    daemon.arg("dockerd").stdin(Stdio::null()).stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
    daemon.spawn().map_err(|error| format!("no Docker engine can be started: {error}"))?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if docker(&["info"]).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    Err("the Docker engine that was started does not answer; its log is airlock-tests-dockerd.log in the temporary folder".to_owned())
}

/// The image with Debian and Python.
fn base_image() -> Result<String, String> {
    let name = format!("airlock-hostile-base:{RELEASE}");
    if docker(&["image", "inspect", &name]).is_ok() {
        return Ok(name);
    }
    let archive = target().join(format!("{RELEASE}.tar"));
    if !archive.exists() {
        if !there("debootstrap") {
            install(&["debootstrap"])?;
        }
        let root = target().join("root");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).map_err(|error| error.to_string())?;
        let root = root.to_string_lossy().into_owned();
        println!("making a root file system for the container (about a minute, once)");
        run("debootstrap", &["--variant=minbase", &format!("--include={PACKAGES}"), RELEASE, &root])?;
        let unfinished = archive.with_extension("part");
        run("tar", &["-C", &root, "-cf", &unfinished.to_string_lossy(), "."])?;
        fs::rename(unfinished, &archive).map_err(|error| error.to_string())?;
        let _ = fs::remove_dir_all(&root);
    }
    docker(&["import", &archive.to_string_lossy(), &name])?;
    Ok(name)
}

fn install(packages: &[&str]) -> Result<(), String> {
    let may = std::env::var("AIRLOCK_TEST_INSTALL").is_ok_and(|value| value == "1");
    if !may || !there("apt-get") {
        return Err(format!(
            "{} would have to be installed; `make test` does, as root on Debian",
            packages.join(" and ")
        ));
    }
    println!("installing {}", packages.join(" and "));
    run("apt-get", &["update", "-qq"])?;
    run("apt-get", &[&["install", "-y", "-qq"], packages].concat())
}

/// What this makes is kept beside what cargo makes.
fn target() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn docker(arguments: &[&str]) -> Result<String, String> {
    output("docker", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    output(program, arguments).map(drop)
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program} {}: {}", output.status, said.lines().last().unwrap_or_default()))
        }
    }
}
