//! Hostile scripts, one a file in `scripts/`, run through a real server: natively and inside plain containers, as root, as
//! another user and without capabilities.
//!
//! Each script is run twice. First *bare*: in a Python outside the sandbox, as the user that workers run as. There every
//! attempt must succeed, or say why that can't be shown: a test can't pass because the attack is broken. Then as a script of
//! an agent: there it must end as its header says.
//!
//! - `script` reads the headers; `prelude.py` is what comes before every script, and says what a script can use;
//! - `home` is where they run (this machine, containers), `image` makes the containers' image;
//! - `world` puts up what is attacked, and finds it: whoever adds a target (a service to connect to) adds it there;
//! - `judge` runs one script both ways and says what it found;
//! - `beside` lets a bomb and a victim run side by side.
//!
//! `cargo test --test hostile NAME` runs those whose name contains NAME; `AIRLOCK_TEST_HOMES=native,no-caps` in some of the homes
//! (`native`, `native-user`, `container`, `user-1000`, `no-caps`) alone. It prints a list of verdicts; `-- --list` only the names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and this one prints its list"
)]

#[path = "../support/mod.rs"]
mod support;

mod beside;
mod home;
mod image;
mod judge;
mod script;
mod world;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use beside::Bomb;
use home::Home;
use judge::Judged;
use script::Script;
use world::World;

/// Homes whose scripts run at the same time.
const HOMES_AT_ONCE: usize = 2;

#[derive(Default)]
struct Tally {
    passed: AtomicUsize,
    failed: AtomicUsize,
    /// Whose layer is not there.
    absent: AtomicUsize,
}

impl Tally {
    fn add(&self, home: &str, name: &str, judged: &Judged) {
        let (verdict, count) = match &judged.absent {
            _ if !judged.faults.is_empty() => ("FAILED".to_owned(), &self.failed),
            Some(layer) => (format!("ABSENT: {layer}"), &self.absent),
            None => ("held".to_owned(), &self.passed),
        };
        let notes = judged.notes.iter().map(|note| format!("\n{:>10} {note}", "·"));
        let faults = judged.faults.iter().map(|fault| format!("\n{:>10} {fault}", "!"));
        // In one piece: homes print side by side.
        println!("{home:<11} {name:<28} {verdict}{}", notes.chain(faults).collect::<String>());
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> ExitCode {
    // What `cargo test` passes on to a test binary: words select, and of flags one means something here.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let selected = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let scripts: Vec<Script> = script::all().into_iter().filter(|script| selected(&script.name)).collect();
    let bombs: Vec<&Bomb> = beside::BOMBS.iter().filter(|bomb| selected(&bomb.full_name())).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        let names = scripts.iter().map(|script| script.name.clone()).chain(bombs.iter().map(|bomb| bomb.full_name()));
        names.for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let tally = Tally::default();
    if !scripts.is_empty() || !bombs.is_empty() {
        let wanted = std::env::var("AIRLOCK_TEST_HOMES").unwrap_or_default();
        let wanted = |home: &str| wanted.is_empty() || wanted.split(',').any(|name| name == home);
        run_in(homes(wanted), &scripts, &bombs, &tally);
    }
    let (passed, failed, absent) = (tally.passed.into_inner(), tally.failed.into_inner(), tally.absent.into_inner());
    println!("hostile: {passed} held, {failed} failed, {absent} without the layer that they attack");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A home that is still to be moved into.
type Opening<'a> = Box<dyn FnOnce() -> Home + Send + 'a>;

/// Those that are wanted and can be had.
fn homes(wanted: impl Fn(&str) -> bool) -> Vec<Opening<'static>> {
    let mut homes: Vec<Opening<'static>> = Vec::new();
    if wanted("native") {
        homes.push(Box::new(|| Home::native("native", None)));
    }
    if wanted("native-user") && nix::unistd::geteuid().is_root() {
        homes.push(Box::new(|| Home::native("native-user", Some(58_997))));
    }
    let containers: Vec<_> = home::CONTAINERS.iter().filter(|kind| wanted(kind.name)).collect();
    if !containers.is_empty() {
        match image::ready().map(Arc::new) {
            Ok(engine) => homes.extend(containers.into_iter().map(|kind| -> Opening<'static> {
                let engine = Arc::clone(&engine);
                Box::new(move || Home::container(&engine, kind))
            })),
            Err(why) => {
                containers.iter().for_each(|kind| println!("{:<11} {:<28} SKIPPED: {why}", kind.name, "every script"))
            }
        }
    }
    homes
}

/// First the scripts, in several homes at once; then bombs beside their victims, one after the other: those are measured.
fn run_in(homes: Vec<Opening<'_>>, scripts: &[Script], bombs: &[&Bomb], tally: &Tally) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let queue = Mutex::new(homes.into_iter().collect::<VecDeque<_>>());
    let next = || queue.lock().unwrap().pop_front();
    let worlds = Mutex::new(Vec::new());
    let live = || {
        while let Some(open) = next() {
            runtime.block_on(async {
                let world = World::build(open()).await;
                for script in scripts {
                    tally.add(world.home.name, &script.name, &judge::judge(&world, script).await);
                }
                worlds.lock().unwrap().push(world);
            });
        }
    };
    std::thread::scope(|scope| (0..HOMES_AT_ONCE).for_each(|_| drop(scope.spawn(live))));
    for world in worlds.into_inner().unwrap() {
        let name = world.home.name;
        for bomb in bombs {
            if world.home.own_users {
                tally.add(name, &bomb.full_name(), &runtime.block_on(beside::judge(&world, bomb)));
            } else {
                // Each takes seconds that nothing else may run in.
                println!("{name:<11} {:<28} NOT RUN: measured as root, natively and in a container", bomb.full_name());
            }
        }
    }
}
