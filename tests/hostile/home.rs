//! Where scripts run: a server on this machine, or one in a container, and how to run a bare Python beside it.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::image::Engine;
use crate::support::{Client, Launch, Server, eventually};

/// The homes in containers: all plain, under Docker's default profile and with no privilege, one image for all.
pub(crate) const CONTAINERS: &[ContainerKind] = &[
    ContainerKind { name: "container", options: &[], user: 0, own_users: true },
    ContainerKind { name: "user-1000", options: &["--user", "1000"], user: 1000, own_users: false },
    ContainerKind { name: "no-caps", options: &["--cap-drop", "ALL"], user: 0, own_users: false },
];

/// A way to run a container.
pub(crate) struct ContainerKind {
    pub(crate) name: &'static str,
    options: &'static [&'static str],
    /// Whom the server runs as.
    user: u32,
    /// Whether it can give workers users of their own.
    own_users: bool,
}

const PORT_IN_CONTAINER: &str = "9090";
const NAMES_IN_CONTAINER: u16 = 5300;

/// A home with a running server.
pub(crate) struct Home {
    pub(crate) name: &'static str,
    pub(crate) url: String,
    /// Airlock's data folder, as paths are in this home.
    pub(crate) data: String,
    /// The id of the server's process there.
    pub(crate) server: i32,
    /// The port it listens on there.
    pub(crate) port: u16,
    /// The port of the name server that it asks for scripts: whoever wants it answered listens there.
    pub(crate) names: u16,
    /// Whom the server runs as.
    pub(crate) server_user: u32,
    /// Workers have users of their own.
    pub(crate) own_users: bool,
    kind: Kind,
}

enum Kind {
    Native { _server: Box<Server> },
    Container(Container),
}

/// A port that nobody has at the moment.
fn free_udp_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    socket.local_addr().expect("has an address").port()
}

/// A container, removed when dropped.
struct Container {
    id: String,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.id]).output();
    }
}

impl Home {
    /// A server of this machine, as `user` if that is not this one.
    pub(crate) fn native(name: &'static str, user: Option<u32>) -> Self {
        let names = free_udp_port();
        let launch = Launch::new().arg("--worker-idle", "600").arg("--name-servers", &format!("127.0.0.1:{names}"));
        let launch = if let Some(user) = user { launch.user(user) } else { launch };
        let server = launch.start();
        Self {
            name,
            url: server.url().to_owned(),
            data: server.dir().to_string_lossy().into_owned(),
            server: server.pid(),
            port: server.address().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port"),
            names,
            server_user: user.unwrap_or(nix::unistd::geteuid().as_raw()),
            own_users: user.is_none() && nix::unistd::geteuid().is_root(),
            kind: Kind::Native { _server: Box::new(server) },
        }
    }

    /// One in a container.
    pub(crate) fn container(engine: &Engine, kind: &ContainerKind) -> Self {
        let (publish, names) =
            (format!("127.0.0.1::{PORT_IN_CONTAINER}"), format!("AIRLOCK_NAME_SERVERS=127.0.0.1:{NAMES_IN_CONTAINER}"));
        // Not the users of servers on this machine.
        let users = "AIRLOCK_WORKER_UID_BASE=62000";
        let run = [
            &["run", "-d", "--init", "-p", &publish, "-e", &names, "-e", users],
            kind.options,
            &[engine.image.as_str()],
        ];
        let id = engine.docker(&run.concat());
        let container = Container { id };
        let port = engine.docker(&["port", &container.id, PORT_IN_CONTAINER]);
        let port = port.lines().next().and_then(|line| line.rsplit(':').next()).expect("a published port").to_owned();
        let mut home = Self {
            name: kind.name,
            url: format!("http://127.0.0.1:{port}"),
            data: "/data/airlock".to_owned(),
            server: 0,
            port: PORT_IN_CONTAINER.parse().expect("a port"),
            names: NAMES_IN_CONTAINER,
            server_user: kind.user,
            own_users: kind.own_users,
            kind: Kind::Container(container),
        };
        home.server = home
            .processes()
            .iter()
            .find(|one| {
                one["arguments"][0].as_str().is_some_and(|name| name.ends_with("airlock"))
                    && one["arguments"][1] == "serve"
            })
            .and_then(|one| i32::try_from(one["pid"].as_i64()?).ok())
            .expect("the server runs in the container");
        home
    }

    /// True in a container.
    pub(crate) fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Container(_))
    }

    /// A client of the server, once it answers.
    pub(crate) async fn client(&self) -> Client {
        let client = Client::new(&self.url);
        let probe = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/ready", self.url);
        eventually("the server is ready", async || {
            probe.get(&url).send().await.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        client
    }

    /// Starts a Python outside the sandbox, as this user, with the program on its standard input and descriptor 9 open on a
    /// file of root's.
    pub(crate) fn python(&self, user: u32) -> Command {
        // Root may open it, and the descriptor stays: as one that was left open by mistake would.
        let program = "exec 9</etc/hostname; exec python3 -B -c 'import sys; exec(compile(sys.stdin.buffer.read(), \"<bare>\", \"exec\"))'";
        let mut command = match &self.kind {
            Kind::Native { .. } => {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", program]).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir("/");
                if user != nix::unistd::geteuid().as_raw() {
                    command.uid(user).gid(user);
                }
                command
            }
            Kind::Container(container) => {
                // The server's group is the engine's choice, a worker's is its own.
                let whom = if user == self.server_user { format!("{user}") } else { format!("{user}:{user}") };
                let mut command = Command::new("docker");
                command.args(["exec", "-i", "-u", &whom, &container.id, "/bin/sh", "-c", program]);
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs such a Python to its end and returns what it printed.
    pub(crate) fn run_python(&self, user: u32, program: &str) -> Result<String, String> {
        let mut child = self.python(user).spawn().unwrap();
        child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// What runs here: the server and what is below it; in a container everything.
    pub(crate) fn processes(&self) -> Vec<serde_json::Value> {
        // 0 is the parent of a container's first process and of all that are started in it from outside.
        let root = if self.is_container() { 0 } else { self.server };
        let program = include_str!("find.py").replace("{ROOT}", &format!("{{{root}}}"));
        let printed = self.run_python(self.server_user, &program).unwrap();
        serde_json::from_str(&printed).unwrap()
    }
}
