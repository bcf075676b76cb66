//! What may be reached is reached as if nobody were in between.

use std::net::TcpListener;

use serde_json::json;

use super::peers::Echo;
use crate::support::Worker;

const CLIENT: &str = "
import socket
def talk(connection, text=b'hello'):
    connection.sendall(text)
    got = b''
    while len(got) < len(text): got += connection.recv(65536)
    return got == text
";

fn script(body: &str, address: std::net::SocketAddr) -> String {
    format!("HOST, PORT = {:?}, {}\n{CLIENT}\n{body}", address.ip().to_string(), address.port())
}

#[tokio::test]
async fn connections_that_block_and_that_do_not_and_both_families() {
    let worker = Worker::launch().await;
    for place in ["127.0.0.1:0", "[::1]:0"] {
        let echo = Echo::on(place);
        let body = "
import asyncio, select, errno
out = {}
with socket.create_connection((HOST, PORT)) as c: out['blocking'] = talk(c)
with socket.create_connection((HOST, PORT), timeout=30) as c: out['timeout'] = talk(c)
family = socket.AF_INET6 if ':' in HOST else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as c:
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = c.connect_ex((HOST, PORT))
    select.select([], [c], [], 30)
    again = c.connect_ex((HOST, PORT))
    out['non-blocking'] = code in (0, errno.EINPROGRESS) and again in (0, errno.EISCONN)
    out['error'] = c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    out['flags kept'] = (not c.getblocking(), c.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
    out['peer'] = c.getpeername()[:2] == (HOST, PORT)
async def main():
    reader, writer = await asyncio.open_connection(HOST, PORT)
    writer.write(b'x' * 1000)
    got = await reader.readexactly(1000)
    writer.close()
    await writer.wait_closed()
    return got == b'x' * 1000
out['asyncio'] = asyncio.run(main())
set_result(out)
";
        let ended = worker.run_to(&script(body, echo.address), &[echo.entry()]).await;
        assert_eq!(
            ended.value(),
            json!({"blocking": true, "timeout": true, "non-blocking": true, "error": 0, "flags kept": [true, true],
                   "peer": true, "asyncio": true}),
        );
        let [seen] = ended.end.egress.as_slice() else { panic!("{:?}", ended.end.egress) };
        assert_eq!((seen.host.as_str(), seen.port), (&*echo.address.ip().to_string(), Some(echo.port())));
        assert_eq!((seen.refusal.as_deref(), seen.count), (None, 4), "the second connect_ex is none of its own");
        assert_eq!(seen.bytes_sent, Some(1010));
        // The kernel counts the other side's end of a connection as one byte.
        let received = seen.bytes_received.expect("was counted");
        assert!((1010..=1014).contains(&received), "{received}");
    }
}

#[tokio::test]
async fn thousands_of_connections_and_many_threads() {
    let echo = Echo::on("127.0.0.1:0");
    let worker = Worker::launch().await;
    let body = "
from concurrent.futures import ThreadPoolExecutor
def one(n):
    with socket.create_connection((HOST, PORT)) as c: return talk(c, b'%d' % n)
with ThreadPoolExecutor(16) as pool: set_result(sum(pool.map(one, range(3000))))
";
    let ended = worker.run_to(&script(body, echo.address), &[echo.entry()]).await;
    assert_eq!(ended.value(), json!(3000));
    assert_eq!((echo.accepted(), ended.end.egress[0].count), (3000, 3000));
}

#[tokio::test]
async fn a_hundred_connections_open_at_once() {
    let echo = Echo::on("127.0.0.1:0");
    let worker = Worker::launch().await;
    let body = "
import asyncio
async def one(n):
    reader, writer = await asyncio.open_connection(HOST, PORT)
    writer.write(b'%05d' % n)
    got = await reader.readexactly(5)
    return writer, got == b'%05d' % n
async def main():
    all = await asyncio.gather(*(one(n) for n in range(500)))
    for writer, _ in all: writer.close()
    return sum(ok for _, ok in all)
set_result(asyncio.run(main()))
";
    let ended = worker.run_to(&script(body, echo.address), &[echo.entry()]).await;
    assert_eq!(ended.value(), json!(500));
}

#[tokio::test]
async fn sockets_that_are_made_and_closed_unused_do_not_add_up() {
    let echo = Echo::on("127.0.0.1:0");
    let worker = Worker::launch().await;
    let body = "
for _ in range(10000): socket.socket().close()
for _ in range(5000): socket.socket(type=socket.SOCK_DGRAM).close()
with socket.create_connection((HOST, PORT)) as c: set_result(talk(c))
";
    assert_eq!(worker.run_to(&script(body, echo.address), &[echo.entry()]).await.value(), json!(true));
}

#[tokio::test]
async fn what_a_child_process_connects_is_its_own() {
    let echo = Echo::on("127.0.0.1:0");
    let worker = Worker::launch().await;
    let body = "
import os, subprocess, sys
code = 'import socket\\nwith socket.create_connection((%r, %d)) as c: c.sendall(b\"x\"); print(c.recv(1))' % (HOST, PORT)
out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
shared = socket.socket()
if os.fork() == 0:
    shared.connect((HOST, PORT))
    os._exit(0)
os.wait()
set_result([out.stdout, out.stderr, talk(shared)])
";
    let ended = worker.run_to(&script(body, echo.address), &[echo.entry()]).await;
    assert_eq!(ended.value(), json!(["b'x'\n", "", true]));
}

#[tokio::test]
async fn a_connection_ends_when_the_script_closes_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("has an address");
    let worker = Worker::launch().await;
    let body = "
c = socket.create_connection((HOST, PORT))
c.close()
print('closed', flush=True)
import sys; sys.stdin.close()
import threading; threading.Event().wait()
";
    let hosts = [address.to_string()];
    let limits = airlock_actors::domain::RunLimits::DEFAULT;
    let mut run = worker.start_to(&script(body, address), &[], limits, Some(&hosts));
    run.until_printed("closed").await;
    let (mut stream, _) = listener.accept().expect("accepts");
    stream.set_read_timeout(Some(crate::support::DEADLINE)).expect("set");
    // While the script goes on: nobody else holds the connection open (EG-8).
    assert_eq!(std::io::Read::read(&mut stream, &mut [0; 1]).expect("the end"), 0);
    worker.link().kill(run.token);
    assert_eq!(run.end().await.outcome(), "killed");
}

#[tokio::test]
async fn a_connection_that_nobody_answers_holds_up_nobody_and_can_be_given_up() {
    let echo = Echo::on("127.0.0.1:0");
    // A full backlog: further attempts get no answer.
    let full = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = full.local_addr().expect("has an address");
    // SAFETY: plain system call on a descriptor that is open.
    unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&full), 0) };
    let _queued = (0..3)
        .map(|_| {
            let socket = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200));
            socket.ok()
        })
        .collect::<Vec<_>>();
    let worker = Worker::launch().await;
    let hosts = [address.to_string(), echo.entry()];
    let limits = airlock_actors::domain::RunLimits::DEFAULT;
    let stuck = script("print('connecting', flush=True)\nsocket.create_connection((HOST, PORT))", address);
    let mut stuck = worker.start_to(&stuck, &[], limits, Some(&hosts));
    stuck.until_printed("connecting").await;
    let gives_up = script(
        "try: socket.create_connection((HOST, PORT), timeout=0.05)\nexcept TimeoutError: set_result('gave up')",
        address,
    );
    assert_eq!(worker.run_to(&gives_up, &hosts).await.value(), json!("gave up"));
    let other = script("with socket.create_connection((HOST, PORT)) as c: set_result(talk(c))", echo.address);
    assert_eq!(worker.run_to(&other, &hosts).await.value(), json!(true));
    worker.link().kill(stuck.token);
    assert_eq!(stuck.end().await.outcome(), "killed");
}

#[tokio::test]
async fn a_signal_in_the_middle_of_an_attempt_does_not_lose_it() {
    let echo = Echo::on("127.0.0.1:0");
    let worker = Worker::launch().await;
    let body = "
import signal
ticks = []
signal.signal(signal.SIGALRM, lambda *a: ticks.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
good = 0
while len(ticks) < 200 or good < 300:
    with socket.create_connection((HOST, PORT)) as c: good += talk(c)
signal.setitimer(signal.ITIMER_REAL, 0)
set_result(True)
";
    assert_eq!(worker.run_to(&script(body, echo.address), &[echo.entry()]).await.value(), json!(true));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused_by_the_network_as_ever() {
    let address = TcpListener::bind("127.0.0.1:0").expect("binds").local_addr().expect("has an address");
    let worker = Worker::launch().await;
    let body = "
import asyncio
try: socket.create_connection((HOST, PORT))
except ConnectionRefusedError: first = True
async def main():
    try: await asyncio.open_connection(HOST, PORT)
    except ConnectionRefusedError: return True
set_result([first, asyncio.run(main())])
";
    let ended = worker.run_to(&script(body, address), &[address.to_string()]).await;
    assert_eq!(ended.value(), json!([true, true]));
    assert_eq!(ended.end.egress[0].refusal, None);
}
