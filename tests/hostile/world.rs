//! What is attacked: a server with a profile, a victim that runs on it, and, outside the sandbox, a victim of the same user.
//!
//! Whoever adds an attack that needs another target (a service that listens, a resolver) starts it in [`World::build`], inside
//! the home: `Home::python` runs a program there, natively and in the container alike. What scripts need to know of it goes
//! into [`World::targets`] and the comment at the top of `prelude.py`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;

use serde_json::{Value, json};

use crate::home::Home;
use crate::support::{Admin, Agent, eventually};

/// The limits of the profile that attacks: small, so that a bomb is soon at one, and can be shown beyond it without harm.
pub(crate) const MEMORY: u64 = 256 << 20;
pub(crate) const CPU_SECONDS: u64 = 3;
pub(crate) const PROCESSES: u64 = 40;
pub(crate) const FILES: u64 = 256;
pub(crate) const TMP: u64 = 16 << 20;
pub(crate) const OUTPUT: u64 = 64 << 10;

/// Waits to be attacked: has a file of its own, and a secret in its memory.
const VICTIM: &str = "
import ctypes, os, signal
ctypes.CDLL(None).prctl(15, b'NAME', 0, 0, 0)
open('mine', 'w').write('secret of the victim')
";

/// Everything that there is to attack in one home.
pub(crate) struct World {
    pub(crate) home: Home,
    /// Whose scripts are hostile.
    pub(crate) agent: Agent,
    /// Another profile's.
    pub(crate) other: Agent,
    /// The user of the worker that runs them.
    pub(crate) worker_user: u32,
    /// Of the sandboxed victim, its fork server, guard and keeper.
    pids: Vec<i64>,
    victim: Value,
    bare_victim: Value,
    bare: Child,
    /// What there is to reach: see `service.py`.
    services: Value,
    service: Child,
    /// Of the sandbox, as the doctor has them.
    layers: Value,
}

impl Drop for World {
    fn drop(&mut self) {
        for child in [&mut self.bare, &mut self.service] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl World {
    pub(crate) async fn build(home: Home) -> Self {
        let client = home.client().await;
        let admin = Admin::set_up(client).await;
        admin.create_credential("VICTIM_TOKEN", "token-of-the-victim").await;
        let agent = admin.locked_profile(&["VICTIM_TOKEN"]).await;
        let other = admin.locked_profile(&[]).await;
        let limits = json!({"limits": {
            "memory_bytes": MEMORY, "cpu_seconds": CPU_SECONDS, "processes": PROCESSES, "open_files": FILES,
            "tmp_bytes": TMP, "output_bytes": OUTPUT,
        }});
        admin.put(&format!("/profiles/{}", agent.id), &limits).await.expect(200);
        let (service, services) = services(&home);
        let open = format!("127.0.0.1:{}", services["open"]);
        let hosts =
            json!({"allowed_hosts": [open, "rebound.example", "open.example", "metadata.example", "*.wild.example"]});
        admin.put(&format!("/profiles/{}", agent.id), &hosts).await.expect(200);

        let script = format!("{}signal.pause()", VICTIM.replace("NAME", "victim"));
        let mut body = agent.body(&script);
        body["timeout"] = 3600.into();
        agent.post("", &body).await.expect(202);
        let mut found = Vec::new();
        eventually("the victim runs", async || {
            found = home.processes();
            found.iter().any(|one| one["name"] == "victim")
        })
        .await;
        let by = |field: &str, value: &Value| found.iter().find(|one| one[field] == *value).expect("it runs").clone();
        let mut victim = by("name", &json!("victim"));
        let mut pids = vec![victim["pid"].as_i64().unwrap()];
        let mut above = by("pid", &victim["parent"]);
        // Fork server, guard, keeper.
        for _ in 0..3 {
            pids.push(above["pid"].as_i64().unwrap());
            above = by("pid", &above["parent"]);
        }
        let worker_user = u32::try_from(victim["uid"].as_u64().unwrap()).unwrap();
        // Where it is may be seen by its own user alone.
        let program = format!("import os\nprint(os.readlink('/proc/{}/cwd'))", victim["pid"]);
        victim["folder"] = home.run_python(worker_user, &program).unwrap().trim().into();
        let (bare, bare_victim) = bare_victim(&home, worker_user);
        let layers = admin.get("/doctor").await.expect(200)["layers"].clone();
        Self { home, agent, other, worker_user, pids, victim, bare_victim, bare, services, service, layers }
    }

    /// `T` of the prelude.
    pub(crate) fn targets(&self, bare: bool, second: bool) -> Value {
        let victim = if bare { &self.bare_victim } else { &self.victim };
        let mut pids = self.pids.clone();
        pids.push(self.home.server.into());
        if bare {
            pids = vec![victim["pid"].as_i64().unwrap()];
        }
        let folder = victim["folder"].as_str().unwrap();
        let data = &self.home.data;
        json!({
            "bare": bare,
            "second": second,
            "left": self.name_of_left(),
            "container": self.home.is_container(),
            "own_user": self.home.own_users,
            "pids": pids,
            "victim": {"pid": victim["pid"], "folder": folder, "file": format!("{folder}/mine")},
            "data": data,
            "key": format!("{data}/.secret"),
            "store": format!("{data}/airlock.redb"),
            "folder": "/tmp",
            "tcp": self.services["tcp"],
            "open": self.services["open"],
            "udp": self.services["udp"],
            "unix": self.services["unix"],
            "port": self.home.port,
            "outer": self.services["outer"],
            "limits": {"memory": MEMORY, "cpu": CPU_SECONDS, "processes": PROCESSES, "files": FILES, "tmp": TMP},
        })
    }

    /// Why a layer is not in force here; `None` if it is.
    pub(crate) fn absence_of(&self, name: &str) -> Option<String> {
        let layer = self.layers.as_array().unwrap().iter().find(|layer| layer["name"] == name);
        let layer = layer.unwrap_or_else(|| panic!("there is no layer {name}"));
        let why = || format!("no {name} here ({})", layer["detail"].as_str().unwrap_or_default());
        (layer["active"] != true).then(why)
    }

    /// The name of processes that scripts leave behind here: this machine sees those of containers, too. The kernel keeps 15
    /// bytes of it.
    pub(crate) fn name_of_left(&self) -> String {
        format!("of {}", self.home.name)
    }

    /// The sandboxed victim is where it was.
    pub(crate) fn victim_lives(&self) -> bool {
        self.home
            .processes()
            .iter()
            .any(|one| one["pid"] == self.victim["pid"] && one["name"] == "victim" && one["state"] != "Z")
    }
}

/// Starts what scripts try to reach, outside the sandbox.
fn services(home: &Home) -> (Child, Value) {
    let program = format!("PORT = {}\n{}", home.names, include_str!("service.py"));
    let mut child = home.python(home.server_user).spawn().unwrap();
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let found = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no services outside the sandbox: {line:?}"));
    (child, found)
}

fn bare_victim(home: &Home, user: u32) -> (Child, Value) {
    // Where Yama restricts ptrace to descendants, the victim allows it, as any process may.
    let program = format!(
        "import os, tempfile\nos.chdir(tempfile.mkdtemp(prefix='airlock-bare-'))\n{}\nctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)\n\
         print(os.getpid(), os.getcwd(), flush=True)\nsignal.pause()",
        VICTIM.replace("NAME", "bare victim")
    );
    let mut child = home.python(user).spawn().unwrap();
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (pid, folder) = line.trim().split_once(' ').unwrap_or_else(|| panic!("no victim outside the sandbox: {line}"));
    let victim = json!({"pid": pid.parse::<i64>().unwrap(), "folder": folder});
    (child, victim)
}
