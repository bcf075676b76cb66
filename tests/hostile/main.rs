//! Hostile scripts, one a file in `scripts/`, run through a real server: natively, and inside a plain container.
//!
//! Each script is run twice. First *bare*: in a Python outside the sandbox, as the user that workers run as. There every
//! attempt must succeed, or say why that can't be shown: a test can't pass because the attack is broken. Then as a script of
//! an agent: there it must end as its header says.
//!
//! - `script` reads the headers; `prelude.py` is what comes before every script, and says what a script can use;
//! - `home` is where they run (this machine, a container), `image` makes the container's image;
//! - `world` puts up what is attacked, and finds it: whoever adds a target (a service to connect to) adds it there;
//! - `judge` runs one script both ways and says what it found;
//! - `beside` lets a bomb and a victim run side by side.
//!
//! `cargo test --test hostile NAME` runs those whose name contains NAME; `AIRLOCK_TEST_HOMES=native` or `container` in one home
//! alone. It prints a list of verdicts.

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

use std::process::ExitCode;

use home::Home;
use script::Script;
use world::World;

/// Passed, failed.
#[derive(Default)]
struct Tally(usize, usize);

impl Tally {
    fn add(&mut self, home: &str, name: &str, faults: &[String], notes: &[String]) {
        let verdict = if faults.is_empty() { "held" } else { "FAILED" };
        println!("{home:<10} {name:<28} {verdict}");
        for note in notes {
            println!("{:>10} {note}", "·");
        }
        for fault in faults {
            println!("{:>10} {fault}", "!");
        }
        if faults.is_empty() { self.0 += 1 } else { self.1 += 1 }
    }
}

fn main() -> ExitCode {
    // What `cargo test` passes on to a test binary: flags mean nothing here, words select.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let selected = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let scripts: Vec<Script> = script::all().into_iter().filter(|script| selected(&script.name)).collect();
    let bombs: Vec<&beside::Bomb> =
        beside::BOMBS.iter().filter(|bomb| selected(&format!("beside_{}", bomb.name))).collect();
    let mut tally = Tally::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if !scripts.is_empty() || !bombs.is_empty() {
        let homes = std::env::var("AIRLOCK_TEST_HOMES").unwrap_or_else(|_| "native,container".to_owned());
        if homes.contains("native") {
            runtime.block_on(run_in(Home::native(), &scripts, &bombs, &mut tally));
        }
        if homes.contains("container") {
            match image::ready() {
                Ok(engine) => runtime.block_on(run_in(Home::container(&engine), &scripts, &bombs, &mut tally)),
                Err(why) => println!("container  every script                 SKIPPED: {why}"),
            }
        }
    }
    println!("hostile: {} passed, {} failed", tally.0, tally.1);
    if tally.1 == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run_in(home: Home, scripts: &[Script], bombs: &[&beside::Bomb], tally: &mut Tally) {
    let name = home.name;
    let world = World::build(home).await;
    for script in scripts {
        let judged = judge::judge(&world, script).await;
        tally.add(name, &script.name, &judged.faults, &judged.notes);
    }
    for bomb in bombs {
        let judged = beside::judge(&world, bomb).await;
        tally.add(name, &format!("beside_{}", bomb.name), &judged.faults, &judged.notes);
    }
}
