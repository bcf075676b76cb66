//! What the guard adds to a script's requests: the same script, in turn, in a bare Python and through Airlock, against a server
//! on loopback, where nothing else takes time.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::agent::Admin;
use crate::report::{Row, median};
use crate::server::Server;
use crate::wire::Wire;

/// Times requests, each on a connection of its own and then all on one; in microseconds, medians.
const SCRIPT: &str = "
import http.client, time
def timed(count, one):
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        one()
        times.append(time.perf_counter_ns() - start)
    return sorted(times)[count // 2] / 1000
def fresh():
    connection = http.client.HTTPConnection(HOST, PORT)
    connection.request('GET', '/')
    connection.getresponse().read()
    connection.close()
kept = http.client.HTTPConnection(HOST, PORT)
def again():
    kept.request('GET', '/')
    kept.getresponse().read()
again()
timed(20, fresh)
set_result([timed(COUNT, fresh), timed(COUNT, again)])
";

/// Measures in `rounds`, `count` requests of each kind in each.
pub(crate) async fn rows(airlock: &Path, python: &str, rounds: u32, count: u32) -> Result<Vec<Row>> {
    let address = serve()?;
    let (host, port) = (address.ip(), address.port());
    let script = format!("HOST, PORT, COUNT = '{host}', {port}, {count}\n{SCRIPT}");
    let server = Server::start(airlock).await?;
    let admin = Admin::open(&server.url, "loadtest password").await?;
    let agent = admin.profile().await?;
    admin.put(&format!("/profiles/{}", agent.id()), &json!({"allowed_hosts": [address.to_string()]})).await?;
    let mut wire = Wire::connect(server.url.trim_start_matches("http://")).await?;
    let (mut bare, mut guarded) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let without = run_bare(python, &script)?;
        let (status, body) = wire.call(&agent.execute(&script)?).await?;
        let execution: Value = serde_json::from_slice(body)?;
        ensure!(status == 200 && execution.get("status") == Some(&json!("completed")), "not completed: {execution}");
        let with = pair(execution.get("result").context("no result")?)?;
        for (index, (without, with)) in without.into_iter().zip(with).enumerate() {
            for (list, number) in [(&mut bare, without), (&mut guarded, with), (&mut ratios, with / without)] {
                if let Some(list) = list.get_mut(index) {
                    list.push(number);
                }
            }
        }
    }
    let row =
        |what, numbers: &mut Vec<f64>, unit| Row { what, reached: median(std::mem::take(numbers)), unit, bar: None };
    let [bare_fresh, bare_kept] = &mut bare;
    let [fresh, kept] = &mut guarded;
    let [fresh_ratio, kept_ratio] = &mut ratios;
    Ok(vec![
        row("request on a new connection, bare Python, p50", bare_fresh, "us"),
        row("the same through the guard, p50", fresh, "us"),
        row("the same, of bare", fresh_ratio, "x"),
        row("request on an open connection, bare Python, p50", bare_kept, "us"),
        row("the same through the guard, p50", kept, "us"),
        row("the same, of bare", kept_ratio, "x"),
    ])
}

fn pair(value: &Value) -> Result<[f64; 2]> {
    Ok(serde_json::from_value(value.clone())?)
}

fn run_bare(python: &str, script: &str) -> Result<[f64; 2]> {
    let program = format!("import json\ndef set_result(data): print(json.dumps(data))\n{script}");
    let output = Command::new(python).args(["-c", &program]).output().context("the bare Python")?;
    ensure!(output.status.success(), "the bare Python failed: {}", String::from_utf8_lossy(&output.stderr));
    pair(&serde_json::from_slice(&output.stdout)?)
}

/// A server that answers every request with the same few bytes.
fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&stream));
        }
    });
    Ok(address)
}

fn answer(stream: &TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        // To the empty line that ends a request.
        while !lines.next()?.ok()?.is_empty() {}
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").ok()?;
    }
}
