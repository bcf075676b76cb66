//! The scripts and what their headers say.
//!
//! A header is the comment lines at a script's top:
//!
//! ```text
//! # Tries: in words, what it tries.
//! # Expect: refused EPERM EACCES      every attempt fails, with one of these errors
//! # Expect: ends MemoryLimit          the script is ended, with one of these kinds of error
//! # Expect: nothing found             of two runs, one after the other, the second finds nothing of the first
//! # Expect: nothing left              it completes, and no process that it started is left
//! # Expect: any end                   whatever becomes of it, the next script is not harmed
//! # Needs: LAYER                      where this layer of the sandbox is not in force, it is listed as absent
//! # Bare: as server                   shown to work as the server's user, not the worker's
//! # Bare: not shown: REASON           why nothing of it can be shown outside the sandbox
//! ```

use std::path::Path;

/// What must become of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Each attempt ends in one of these errors.
    Refused(Vec<String>),
    /// It is ended with one of these kinds.
    Ends(Vec<String>),
    /// A second run finds nothing.
    NothingFound,
    /// No process is left.
    NothingLeft,
    /// The next one is not harmed.
    AnyEnd,
}

/// How it is shown to work outside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bare {
    /// As the worker's user.
    AsWorker,
    /// As the server's.
    AsServer,
    /// It can't be.
    NotShown(String),
}

/// One hostile script.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// Its source.
    pub(crate) source: String,
    pub(crate) expect: Expect,
    pub(crate) bare: Bare,
    /// The layer that it attacks, if that is not one of the floor.
    pub(crate) needs: Option<String>,
}

/// All of them, by name.
pub(crate) fn all() -> Vec<Script> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "py")).map(|path| read(path)).collect()
}

fn read(path: &Path) -> Script {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let source = std::fs::read_to_string(path).unwrap();
    let header = |field: &str| {
        let lines = source.lines().take_while(|line| line.starts_with('#'));
        lines.filter_map(|line| line.strip_prefix("# ")?.strip_prefix(field)).map(str::trim).next()
    };
    assert!(header("Tries:").is_some_and(|text| !text.is_empty()), "{name} does not say what it tries");
    let expect = header("Expect:").unwrap_or_else(|| panic!("{name} does not say what to expect"));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let expect = match expect.split_once(' ') {
        Some(("refused", errors)) => Expect::Refused(words(errors)),
        Some(("ends", kinds)) => Expect::Ends(words(kinds)),
        Some(("nothing", "found")) => Expect::NothingFound,
        Some(("nothing", "left")) => Expect::NothingLeft,
        Some(("any", "end")) => Expect::AnyEnd,
        _ => panic!("{name} expects what nobody knows: {expect}"),
    };
    let needs = header("Needs:").map(str::to_owned);
    let bare = match header("Bare:") {
        None => Bare::AsWorker,
        Some("as server") => Bare::AsServer,
        Some("as worker") => Bare::AsWorker,
        Some(text) => match text.strip_prefix("not shown: ") {
            Some(reason) => Bare::NotShown(reason.to_owned()),
            None => panic!("{name} says nothing known of how it is shown to work: {text}"),
        },
    };
    Script { name, expect, bare, needs, source }
}
