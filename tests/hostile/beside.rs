//! A bomb and victims side by side: the bomb is ended by its own limit, and the victims neither fail nor starve.
//!
//! Work is counted, not time: a victim does as much as it can in a while, and is compared with what it does in as long a time beside
//! a harmless script. The ratio is generous: the processors are shared, and a bomb may use its share.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::judge::Judged;
use crate::support::{Agent, text};
use crate::world::World;

/// A script that takes all it can.
pub(crate) struct Bomb {
    pub(crate) name: &'static str,
    script: &'static str,
    /// How it may end.
    ends: &'static [&'static str],
}

impl Bomb {
    /// As it is listed.
    pub(crate) fn full_name(&self) -> String {
        format!("beside_{}", self.name)
    }
}

pub(crate) const BOMBS: &[Bomb] = &[
    Bomb { name: "memory", script: include_str!("scripts/memory_of_many.py"), ends: &["MemoryLimit"] },
    Bomb { name: "fork", script: include_str!("scripts/fork_bomb.py"), ends: &["ProcessLimit"] },
    Bomb { name: "thread", script: include_str!("scripts/thread_bomb.py"), ends: &["ProcessLimit"] },
    Bomb { name: "disk", script: include_str!("scripts/disk_fill.py"), ends: &["DiskLimit"] },
    Bomb { name: "cpu", script: include_str!("scripts/cpu_of_many.py"), ends: &["CpuLimit"] },
    Bomb {
        name: "output",
        script: "import os, time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)",
        ends: &["completed"],
    },
    Bomb {
        name: "descriptors",
        script: "import os, time\nend = time.monotonic() + 2\nheld = []\nwhile time.monotonic() < end:\n    try: held.append(os.open('/dev/null', 0))\n    except OSError: pass",
        ends: &["completed"],
    },
];

/// Works in rounds until a file that it can't be told of appears: so until its time is over. A round uses what bombs take:
/// processor, memory, a file, a descriptor, a thread and a process.
const VICTIM: &str = "
import hashlib, os, threading, time
end = time.monotonic() + SECONDS
rounds = 0
while time.monotonic() < end:
    data = bytes(200_000)
    for _ in range(4): data = hashlib.sha256(data).digest() * 4000
    with open('work', 'w') as file: file.write('x' * 10_000)
    os.unlink('work')
    thread = threading.Thread(target=os.getpid); thread.start(); thread.join()
    if rounds % 20 == 0: os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)
    rounds += 1
set_result(rounds)
";
const SECONDS: u32 = 2;
/// A victim beside a bomb does at least one part in so many of what it does beside a harmless script.
const SHARE: u64 = 20;

/// Runs it.
pub(crate) async fn judge(world: &World, bomb: &Bomb) -> Judged {
    let mut judged = Judged::default();
    let prelude =
        format!("{}\nT = json.loads({:?})\n", include_str!("prelude.py"), world.targets(false, false).to_string());
    // Just before, so that both meet the machine as it is.
    let (_, alone) = together(world, "import time\ntime.sleep(1)").await;
    let begin = Instant::now();
    let (ended, beside) = together(world, &format!("{prelude}{}", bomb.script)).await;
    let kind = ended["error_type"].as_str().unwrap_or("completed");
    if !bomb.ends.contains(&kind) {
        judged.faults.push(format!("the bomb ended as {kind}: {}", ended["error"]));
    }
    if begin.elapsed() > Duration::from_secs(60) {
        judged.faults.push("the bomb was not ended in time".to_owned());
    }
    for ((who, alone), (_, beside)) in alone.iter().zip(&beside) {
        match (alone, beside) {
            (Ok(alone), Ok(beside)) if *beside >= alone / SHARE => {
                judged.notes.push(format!("{who}: {beside} rounds, {alone} beside a harmless script"));
            }
            (Ok(alone), Ok(beside)) => {
                judged.faults.push(format!("{who} starved: {beside} rounds, {alone} beside a harmless script"));
            }
            (Err(why), _) | (_, Err(why)) => judged.faults.push(format!("{who} failed: {why}")),
        }
    }
    judged
}

type Rounds = (&'static str, Result<u64, String>);

/// Runs a script and, from before its start to after its end, a victim of the same profile and one of another.
async fn together(world: &World, script: &str) -> (serde_json::Value, Vec<Rounds>) {
    let victim = VICTIM.replace("SECONDS", &SECONDS.to_string());
    let start = async |agent: &Agent| {
        let id = agent.submit(&victim).await;
        agent.started(&id).await;
        id
    };
    let same = start(&world.agent).await;
    let other = start(&world.other).await;
    let mut body = world.agent.body(script);
    body["timeout"] = json!(30);
    let accepted = world.agent.post("", &body).await.expect(202);
    let ended = world.agent.finish(text(&accepted, "execution_id")).await;
    let rounds = async |agent: &Agent, id: &str| {
        let done = agent.finish(id).await;
        done["result"].as_u64().ok_or_else(|| format!("{} {}", done["error_type"], done["error"]))
    };
    let of_same = ("a victim of the same profile", rounds(&world.agent, &same).await);
    let of_other = ("a victim of another profile", rounds(&world.other, &other).await);
    (ended, vec![of_same, of_other])
}
