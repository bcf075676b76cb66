//! One script, outside the sandbox and in it.

use serde_json::{Map, Value};

use crate::script::{Bare, Expect, Script};
use crate::world::World;

/// More than a script takes that is ended by a limit, on a busy machine; and for one that is to be ended by its time.
const TIMEOUT_S: u32 = 90;
const SHORT_TIMEOUT_S: u32 = 3;

/// What was found: faults fail the script, notes are worth a line in the list.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) faults: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// The layer that it attacks is not in force here, and why not.
    pub(crate) absent: Option<String>,
}

/// Runs a script both ways.
pub(crate) async fn judge(world: &World, script: &Script) -> Judged {
    let mut judged = Judged::default();
    if let Some(layer) = &script.needs {
        judged.absent = world.absence_of(layer);
        if judged.absent.is_some() {
            return judged;
        }
    }
    bare(world, script, &mut judged);
    sandboxed(world, script, &mut judged).await;
    // Whatever it did, others are as they were.
    let next = world.agent.run("set_result(open('next', 'w').write('x'))").await;
    if next["result"] != 1 {
        judged.faults.push(format!("the next script of the worker: {next}"));
    }
    if !world.victim_lives() {
        judged.faults.push("the victim is gone".to_owned());
    }
    judged
}

/// Shows that it works where nothing stops it.
fn bare(world: &World, script: &Script, judged: &mut Judged) {
    let user = match &script.bare {
        Bare::NotShown(reason) => {
            judged.notes.push(format!("not shown outside the sandbox: {reason}"));
            return;
        }
        Bare::AsServer => world.home.server_user,
        Bare::AsWorker => world.worker_user,
    };
    let mut outcomes = run_bare(world, script, user, false);
    if script.expect == Expect::NothingFound && outcomes.is_ok() {
        outcomes = run_bare(world, script, user, true);
    }
    match outcomes {
        Err(why) => judged.faults.push(format!("outside the sandbox it does not run: {why}")),
        Ok(outcomes) => {
            for (attempt, outcome) in &outcomes {
                match outcome.as_str().unwrap_or_default() {
                    "ok" => {}
                    text if text.starts_with("not shown: ") => judged.notes.push(format!("{attempt}: {text}")),
                    other => judged
                        .faults
                        .push(format!("{attempt}: {other} outside the sandbox, so refusing it shows nothing")),
                }
            }
            if !outcomes.values().any(|outcome| outcome == "ok") && script.expect != Expect::NothingLeft {
                judged.notes.push("none of its attempts can be shown here".to_owned());
            }
        }
    }
    if script.expect == Expect::NothingLeft && end_left(world) == 0 {
        judged.faults.push("outside the sandbox it leaves no process either".to_owned());
    }
}

fn run_bare(world: &World, script: &Script, user: u32, second: bool) -> Result<Map<String, Value>, String> {
    // One folder for both runs: what a worker's temporary folder would be.
    let setup = "import os, shutil\n_folder = '/tmp/airlock-bare-%d' % os.getuid()\nif not T['second']: shutil.rmtree(_folder, ignore_errors=True)\n\
                 os.makedirs(_folder, exist_ok=True)\nos.chdir(_folder)\nsettings = {'VICTIM_TOKEN': 'x'}\nset_result = lambda data: None\n";
    let last = "\nif not T['second']: os.chdir('/')\nelse: shutil.rmtree(_folder, ignore_errors=True)\nprint('\\n' + json.dumps(_outcomes), flush=True)\nos._exit(0)";
    let program = format!("{}{setup}{}{last}", head(world, true, second), script.source);
    let printed = world.home.run_python(user, &program)?;
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| format!("it printed no outcomes but {line:?}"))
}

/// The prelude with `T`.
fn head(world: &World, bare: bool, second: bool) -> String {
    let targets = world.targets(bare, second).to_string();
    format!("{}\nT = json.loads({targets:?})\n", include_str!("prelude.py"))
}

async fn sandboxed(world: &World, script: &Script, judged: &mut Judged) {
    let source = |second| format!("{}{}\nset_result(_outcomes)", head(world, false, second), script.source);
    let ends_by_time =
        matches!(&script.expect, Expect::Ends(kinds) if kinds.iter().any(|kind| kind == "ScriptTimeout"));
    let timeout = if ends_by_time { SHORT_TIMEOUT_S } else { TIMEOUT_S };
    let mut done = world.agent.run_for(&source(false), timeout).await;
    if script.expect == Expect::NothingFound && done["status"] == "completed" {
        done = world.agent.run_for(&source(true), timeout).await;
    }
    let kind = done["error_type"].as_str().unwrap_or("completed");
    let refused = |judged: &mut Judged, allowed: Option<&[String]>| {
        let Some(outcomes) = done["result"].as_object().filter(|_| kind == "completed") else {
            judged.faults.push(format!("it did not complete: {} {}", done["error_type"], done["error"]));
            return;
        };
        if outcomes.is_empty() {
            judged.faults.push("it made no attempt".to_owned());
        }
        for (attempt, outcome) in outcomes {
            let outcome = outcome.as_str().unwrap_or_default();
            let fine = allowed.map_or(outcome != "ok", |allowed| allowed.iter().any(|error| error == outcome));
            if !fine {
                judged.faults.push(format!("{attempt}: {outcome}"));
            }
        }
    };
    match &script.expect {
        Expect::Refused(errors) => refused(judged, Some(errors)),
        Expect::NothingFound => refused(judged, None),
        Expect::Ends(kinds) => {
            if !kinds.iter().any(|expected| expected == kind) {
                judged.faults.push(format!("ended as {kind}: {} {}", done["error"], done["result"]));
            }
        }
        Expect::NothingLeft => {
            if kind != "completed" {
                judged.faults.push(format!("ended as {kind}: {}", done["error"]));
            }
            let left = end_left(world);
            if left > 0 {
                judged.faults.push(format!("{left} of its processes were left"));
            }
        }
        Expect::AnyEnd => judged.notes.push(format!("ended as {kind}")),
    }
    if let Some(error) = done["error"].as_str() {
        judged.notes.push(error.to_owned());
    }
}

/// Ends what scripts have left, and says how many processes that were.
fn end_left(world: &World) -> usize {
    let left = world.name_of_left();
    let program = format!(
        "import os, signal\ncount = 0\nfor pid in filter(str.isdigit, os.listdir('/proc')):\n    try:\n        with open('/proc/%s/stat' % pid) as file: stat = file.read()\n        \
         if '({left}) ' in stat and '({left}) Z' not in stat:\n            os.kill(int(pid), signal.SIGKILL)\n            count += 1\n    except OSError: pass\nprint(count)"
    );
    world.home.run_python(world.home.server_user, &program).unwrap().trim().parse().unwrap()
}
