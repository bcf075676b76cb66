//! A host of its own, and the servers on it.

use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const WEB: u16 = 8080;
pub(crate) const POSTGRES: u16 = 5432;
pub(crate) const MARIADB: u16 = 3306;
pub(crate) const REDIS: u16 = 6379;

const PATIENCE: Duration = Duration::from_secs(120);

/// A network namespace with one address, reached over a pair of virtual interfaces. Dropped, it is gone with its servers.
pub(crate) struct Host {
    name: String,
    pub(crate) address: String,
    servers: Vec<Child>,
    _data: tempfile::TempDir,
}

impl Host {
    /// Makes it and starts every server.
    pub(crate) fn up() -> Self {
        let own = std::process::id();
        let name = format!("airlock-test-{own}");
        // A network of its own for each run of the tests: 10.200.0.0/14, by process.
        let number = (own % 0xffff) << 2;
        let part =
            |offset: u32| format!("10.{}.{}.{}", 200 + (number >> 16), number >> 8 & 0xff, (number & 0xff) + offset);
        let (here, address) = (part(1), part(2));
        let (near, far) = (format!("al{own}n"), format!("al{own}f"));
        run("ip", &["netns", "add", &name]);
        run("ip", &["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &name]);
        run("ip", &["addr", "add", &format!("{here}/30"), "dev", &near]);
        run("ip", &["link", "set", &near, "up"]);
        run("ip", &["-n", &name, "addr", "add", &format!("{address}/30"), "dev", &far]);
        run("ip", &["-n", &name, "link", "set", &far, "up"]);
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        let data = tempfile::tempdir().expect("a folder");
        std::fs::set_permissions(data.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("changed");
        let mut host = Self { name, address, servers: Vec::new(), _data: data };
        host.start_all();
        host
    }

    fn start_all(&mut self) {
        let data = self._data.path().to_owned();
        let web = data.join("web");
        std::fs::create_dir(&web).expect("a folder");
        std::fs::write(web.join("index.html"), "hello").expect("a page");
        self.start(&["python3", "-m", "http.server", "--directory", path(&web), &WEB.to_string()]);
        let redis = ["redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""];
        self.start(&redis);
        self.start_postgres(&data.join("postgres"));
        self.start_mariadb(&data.join("mariadb"));
        for port in [WEB, REDIS, POSTGRES, MARIADB] {
            self.wait_for(port);
        }
        let sql = "create user if not exists test@'%'; flush privileges";
        let socket = data.join("mariadb/socket");
        run("mariadb", &["--socket", path(&socket), "--user", "root", "--execute", sql]);
    }

    fn start_postgres(&mut self, data: &Path) {
        let bin = std::fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
        let newest = bin.flatten().map(|entry| entry.path()).max().expect("a version");
        let bin = newest.join("bin");
        std::fs::create_dir(data).expect("a folder");
        run("chown", &["postgres", path(data)]);
        let initdb = bin.join("initdb");
        run("runuser", &["-u", "postgres", "--", path(&initdb), "--auth", "trust", "--no-sync", "-D", path(data)]);
        std::fs::write(data.join("pg_hba.conf"), "local all all trust\nhost all all 0.0.0.0/0 trust\n")
            .expect("written");
        let single = format!(
            "echo 'create role test login' | {} --single -D {} postgres >/dev/null",
            path(&bin.join("postgres")),
            path(data)
        );
        run("runuser", &["-u", "postgres", "--", "sh", "-c", &single]);
        let postgres = bin.join("postgres");
        let listen = ["-c", "listen_addresses=*", "-c", "fsync=off", "-k", path(data)];
        self.start(&[&["runuser", "-u", "postgres", "--", path(&postgres), "-D", path(data)][..], &listen].concat());
    }

    fn start_mariadb(&mut self, data: &Path) {
        std::fs::create_dir(data).expect("a folder");
        run("chown", &["mysql", path(data)]);
        let folder = format!("--datadir={}", path(&data.join("data")));
        run(
            "mariadb-install-db",
            &["--no-defaults", "--user=mysql", "--auth-root-authentication-method=normal", &folder],
        );
        let socket = format!("--socket={}", path(&data.join("socket")));
        let pid = format!("--pid-file={}", path(&data.join("pid")));
        self.start(&["mariadbd", "--no-defaults", "--user=mysql", "--bind-address=0.0.0.0", &folder, &socket, &pid]);
    }

    /// Starts a server on the host. It ends with the test, also when that is killed.
    fn start(&mut self, command: &[&str]) {
        let mut server = Command::new("ip");
        server.args(["netns", "exec", &self.name, "setpriv", "--pdeathsig", "KILL"]).args(command);
        let child = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.servers.push(child.expect("a server starts"));
    }

    fn wait_for(&self, port: u16) {
        let address = (self.address.as_str(), port).to_socket_addrs().expect("an address").next().expect("one");
        let start = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            assert!(start.elapsed() < PATIENCE, "no server on port {port}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let pids = Command::new("ip").args(["netns", "pids", &self.name]).output();
        let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let _ = Command::new("kill").arg("-9").args(pids.split_whitespace()).status();
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run `make test-clients`"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
