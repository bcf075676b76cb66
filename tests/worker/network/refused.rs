//! What may not be reached is not, by any way there is; and the refusal says why.

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

use serde_json::{Value, json};

use super::peers::Echo;
use crate::support::Worker;

/// Runs a list of attempts, and gives what each came to: `None`, or the exception's class and errno.
const ATTEMPTS: &str = "
import ctypes, errno, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
S = socket.socket
def attempt(action):
    try: action()
    except Exception as e: return [type(e).__name__, getattr(e, 'errno', None)]
def call(name, *args):
    if getattr(libc, name)(*args) == -1: raise OSError(ctypes.get_errno(), name)
def sockaddr_in(port, host='127.0.0.1', family=2):
    return struct.pack('=H', family) + struct.pack('!H', port) + socket.inet_aton(host) + bytes(8)
";

fn script(port: u16, attempts: &[(&str, &str)]) -> String {
    let lines =
        attempts.iter().map(|(name, code)| format!("    {name:?}: attempt(lambda: {code}),\n")).collect::<String>();
    format!("PORT = {port}\n{ATTEMPTS}\nset_result({{\n{lines}}})\n")
}

#[tokio::test]
async fn every_way_to_connect_to_a_host_that_is_not_allowed_is_refused() {
    let forbidden = Echo::on("0.0.0.0:0");
    let allowed = Echo::on("127.0.0.1:0");
    let worker = Worker::launch().await;
    let attempts = [
        ("plain", "socket.create_connection(('127.0.0.1', PORT))"),
        ("unspecified", "socket.create_connection(('0.0.0.0', PORT))"),
        ("mapped", "S(socket.AF_INET6).connect(('::ffff:127.0.0.1', PORT))"),
        ("compatible", "S(socket.AF_INET6).connect(('::127.0.0.1', PORT))"),
        ("six", "S(socket.AF_INET6).connect(('::1', PORT))"),
        ("decimal", "S().connect(('2130706433', PORT))"),
        ("octal", "S().connect(('0177.0.0.1', PORT))"),
        ("hexadecimal", "S().connect(('0x7f000001', PORT))"),
        ("short", "S().connect(('127.1', PORT))"),
        ("other loopback", "S().connect(('127.9.9.9', PORT))"),
        ("non-blocking", "S(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK).connect(('127.0.0.1', PORT))"),
        ("raw address", "call('connect', S().fileno(), sockaddr_in(PORT), 16)"),
        ("long address", "call('connect', S().fileno(), sockaddr_in(PORT) + bytes(100), 116)"),
        ("four on a six socket", "call('connect', S(socket.AF_INET6).fileno(), sockaddr_in(PORT), 16)"),
        ("fast open by sendto", "S().sendto(b'x', socket.MSG_FASTOPEN, ('127.0.0.1', PORT))"),
        ("fast open by sendmsg", "S().sendmsg([b'x'], [], socket.MSG_FASTOPEN, ('127.0.0.1', PORT))"),
        ("fast open option", "S().setsockopt(socket.IPPROTO_TCP, 30, 1)"),
        ("fast open listener", "S().setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 1)"),
        ("multipath", "S(socket.AF_INET, socket.SOCK_STREAM, 262)"),
        ("sctp", "S(socket.AF_INET, socket.SOCK_STREAM, 132)"),
        ("raw", "S(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)"),
        ("raw ip", "S(socket.AF_INET, socket.SOCK_RAW, 255)"),
        ("ping", "S(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)"),
        ("udp lite", "S(socket.AF_INET, socket.SOCK_DGRAM, 136)"),
        ("unix", "S(socket.AF_UNIX).connect('/run/anything')"),
        ("unix datagram", "S(socket.AF_UNIX, socket.SOCK_DGRAM)"),
        ("unix datagram pair", "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)"),
        ("udp", "S(type=socket.SOCK_DGRAM).connect(('127.0.0.1', PORT))"),
        ("udp sendto", "S(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))"),
        ("udp six", "S(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', PORT))"),
        ("listen", "S().listen()"),
        ("bind", "S().bind(('127.0.0.1', 0))"),
        ("bind to a port", "S().bind(('0.0.0.0', PORT + 1))"),
        ("accept", "S().accept()"),
        ("filter program", "S().setsockopt(socket.SOL_SOCKET, 26, bytes(16))"),
        ("io_uring", "call('syscall', 425, 1, ctypes.create_string_buffer(256))"),
        ("filter of its own", "call('syscall', 317, 1, 8, ctypes.create_string_buffer(64))"),
        ("filter of its own by prctl", "call('prctl', 22, 2, ctypes.create_string_buffer(64))"),
        ("vsock", "S(socket.AF_VSOCK, socket.SOCK_STREAM)"),
    ];
    let ended = worker.run_to(&script(forbidden.port(), &attempts), &[allowed.entry()]).await;
    let Value::Object(came_to) = ended.value() else { panic!("no object") };
    for (name, _) in attempts {
        assert_ne!(came_to[name], Value::Null, "{name} went through");
    }
    assert_eq!(came_to["plain"], json!(["PermissionError", 1]));
    assert_eq!(forbidden.accepted(), 0, "a connection arrived");
    let refused = ended.end.egress.iter().filter(|seen| seen.refusal.is_some()).count();
    assert!(refused >= 5, "{:?}", ended.end.egress);
}

#[tokio::test]
async fn no_datagram_arrives_anywhere() {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let port = receiver.local_addr().expect("has an address").port();
    let worker = Worker::launch().await;
    let script = script(
        port,
        &[
            ("sendto", "S(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))"),
            ("connect", "S(type=socket.SOCK_DGRAM).connect(('127.0.0.1', PORT))"),
            ("sendmsg", "S(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', PORT))"),
            ("send unconnected", "S(type=socket.SOCK_DGRAM).send(b'x')"),
        ],
    );
    // Allowed as a host, and still not by datagrams.
    let ended = worker.run_to(&script, &[format!("127.0.0.1:{port}")]).await;
    assert_eq!(ended.value()["sendto"], json!(["PermissionError", 1]));
    receiver.set_nonblocking(true).expect("set");
    assert_eq!(receiver.recv(&mut [0; 1]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    assert!(ended.end.egress.iter().any(|seen| seen.refusal.as_deref() == Some("not_tcp")), "{:?}", ended.end.egress);
}

/// The script swaps the address under the guard's eyes while another thread connects.
#[tokio::test]
async fn swapping_the_address_or_the_socket_while_the_guard_decides_wins_nothing() {
    let forbidden = Echo::on("127.0.0.1:0");
    let allowed = Echo::on("127.0.0.1:0");
    let worker = Worker::launch().await;
    let body = format!(
        "GOOD, BAD = {}, {}\n{ATTEMPTS}
import threading, time
memory = ctypes.create_string_buffer(sockaddr_in(GOOD), 16)
libc.connect.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
good, bad = struct.pack('!H', GOOD), struct.pack('!H', BAD)
stop = False
def flip():
    while not stop:
        ctypes.memmove(ctypes.addressof(memory) + 2, bad, 2)
        ctypes.memmove(ctypes.addressof(memory) + 2, good, 2)
def swap(victim):
    while not stop:
        fresh = S()
        os.dup2(fresh.fileno(), victim)
threading.Thread(target=flip, daemon=True).start()
outcomes = {{}}
for _ in range(1500):
    with S() as c:
        code = libc.connect(c.fileno(), ctypes.addressof(memory), 16)
        key = 0 if code == 0 else ctypes.get_errno()
        if key == 0 and c.getpeername()[1] != GOOD: key = 'reached'
        outcomes[str(key)] = outcomes.get(str(key), 0) + 1
first = S()
victim = os.dup(first.fileno())
threading.Thread(target=swap, args=(victim,), daemon=True).start()
for _ in range(500): libc.connect(victim, ctypes.addressof(memory), 16)
stop = True
set_result(outcomes)
",
        allowed.port(),
        forbidden.port()
    );
    let ended = worker.run_to(&body, &[allowed.entry()]).await;
    let outcomes = ended.value();
    assert!(outcomes["0"].as_u64() > Some(0) && outcomes["1"].as_u64() > Some(0), "no race was run: {outcomes}");
    assert_eq!((outcomes.get("reached"), forbidden.accepted()), (None, 0), "{outcomes}");
}

#[tokio::test]
async fn airlock_itself_is_not_reached_though_the_machine_is() {
    let airlock = Echo::on("127.0.0.1:0");
    let other = Echo::on("127.0.0.1:0");
    let names = super::peers::NameServer::with(&[]);
    let worker = super::peers::worker_with(&names, Some(airlock.port())).await;
    let attempt = |port| script(port, &[("it", "socket.create_connection(('127.0.0.1', PORT))")]);
    let hosts = ["127.0.0.0/8".to_owned()];
    assert_eq!(worker.run_to(&attempt(other.port()), &hosts).await.value()["it"], Value::Null);
    assert_eq!(worker.run_to(&attempt(airlock.port()), &hosts).await.value()["it"], json!(["PermissionError", 1]));
    assert_eq!(airlock.accepted(), 0);
    assert_eq!(worker.run_to(&attempt(airlock.port()), &[airlock.entry()]).await.value()["it"], Value::Null);
}

#[tokio::test]
async fn a_refusal_that_ends_the_script_explains_itself() {
    let worker = Worker::launch().await;
    let port = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("has an address").port();
    let plain = format!("import socket\nsocket.create_connection(('192.0.2.77', {port}))");
    let ended = worker.run_to(&plain, &["api.example.com".to_owned()]).await;
    assert_eq!(ended.outcome(), "PermissionError");
    let expected = format!("192.0.2.77:{port} is an address that no host has");
    assert!(ended.error().contains(&expected), "{}", ended.error());
    let wrapped = "import urllib.request\nurllib.request.urlopen('http://10.1.2.3/')";
    let ended = worker.run_to(wrapped, &[]).await;
    assert_eq!(ended.outcome(), "URLError");
    assert!(ended.error().contains("10.1.2.3:80 is in a private network"), "{}", ended.error());
    let caught =
        "import socket\ntry: socket.create_connection(('8.8.8.8', 53))\nexcept OSError: pass\nraise ValueError('mine')";
    let ended = worker.run_to(caught, &[]).await;
    assert_eq!(ended.error(), "ValueError: mine (line 4)");
}

#[tokio::test]
async fn without_a_list_public_hosts_alone() {
    let echo = Echo::on("0.0.0.0:0");
    let worker = Worker::launch().await;
    let attempts = [
        ("loopback", "socket.create_connection(('127.0.0.1', PORT))"),
        ("metadata", "socket.create_connection(('169.254.169.254', 80))"),
        ("private", "socket.create_connection(('10.0.0.1', 80))"),
    ];
    let ended = worker.run(&script(echo.port(), &attempts)).await;
    for (name, _) in attempts {
        assert_eq!(ended.value()[name], json!(["PermissionError", 1]), "{name}");
    }
    let reasons = ended.end.egress.iter().filter_map(|seen| seen.refusal.clone()).collect::<Vec<_>>();
    assert_eq!(reasons, ["loopback", "link_local_or_metadata", "private_address"]);
}

#[tokio::test]
async fn scripts_are_in_a_network_of_their_own_where_the_layers_say_so() {
    let worker = Worker::launch().await;
    let namespaces = worker.worker.info.layers.iter().find(|layer| layer.name == "namespaces").expect("a layer");
    let mut run = worker.start("import threading\nprint('here', flush=True)\nthreading.Event().wait()");
    run.until_printed("here").await;
    let network = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).expect("may be seen");
    let (guard, _) = crate::support::guard_and_keeper(&worker.base);
    let below = crate::support::tree_below(guard);
    assert!(below.len() >= 2, "fork server and script");
    for pid in below {
        assert_eq!(network(pid) != network(guard), namespaces.active, "{namespaces:?}");
    }
    worker.link().kill(run.token);
    assert_eq!(run.end().await.outcome(), "killed");
}
