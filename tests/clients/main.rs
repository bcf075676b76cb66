//! The clients that scripts use, through the guard, against the real servers they are made for.
//!
//! The servers live on a host of their own: a network namespace beside this one, as they would across a network. It takes
//! root, and what `make test-clients` installs: the packages in the Python that `AIRLOCK_TEST_PYTHON` names, and the servers.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests fail by panicking")]

#[path = "../worker/network/peers.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod peers;
mod servers;
#[path = "../worker/support.rs"]
#[allow(dead_code, reason = "shared with other tests, each of which uses a part")]
mod support;

use serde_json::{Value, json};

use self::peers::{Answer, NameServer, ip};
use self::servers::{Host, MARIADB, POSTGRES, REDIS, WEB};
use self::support::{Worker, config};

const NAME: &str = "db.corp.example";

/// A worker of the Python with the clients, and whoever it asks for names.
async fn worker(host: &Host) -> (Worker, NameServer) {
    let names = NameServer::with(&[(NAME, Answer::Addresses(vec![ip(&host.address)]))]);
    let (mut config, home) = config();
    config.python = Some(std::env::var_os("AIRLOCK_TEST_PYTHON").expect("run `make test-clients`").into());
    config.name_servers = vec![names.address];
    (Worker::launch_with(config, home).await, names)
}

/// Each script connects by name; `HOST` and the ports are given.
const SCRIPTS: &[(&str, u16, &str)] = &[
    (
        "urllib",
        WEB,
        "import urllib.request\nset_result(urllib.request.urlopen(f'http://{HOST}:{PORT}/').read().decode())",
    ),
    (
        "urllib3",
        WEB,
        "import urllib3\nset_result(urllib3.PoolManager().request('GET', f'http://{HOST}:{PORT}/').data.decode())",
    ),
    ("requests", WEB, "import requests\nset_result(requests.get(f'http://{HOST}:{PORT}/', timeout=30).text)"),
    ("httpx", WEB, "import httpx\nset_result(httpx.get(f'http://{HOST}:{PORT}/').text)"),
    (
        "httpx, asynchronous",
        WEB,
        "import asyncio, httpx\nasync def main():\n    async with httpx.AsyncClient() as c: return (await c.get(f'http://{HOST}:{PORT}/')).text\n\
         set_result(asyncio.run(main()))",
    ),
    (
        "aiohttp with the C library's resolver",
        WEB,
        "import aiohttp, asyncio\nasync def main():\n    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())\n    \
         async with aiohttp.ClientSession(connector=connector) as s:\n        async with s.get(f'http://{HOST}:{PORT}/') as r: return await r.text()\n\
         set_result(asyncio.run(main()))",
    ),
    (
        "aiohttp with c-ares",
        WEB,
        "import aiohttp, asyncio\nasync def main():\n    connector = aiohttp.TCPConnector(resolver=aiohttp.AsyncResolver())\n    \
         async with aiohttp.ClientSession(connector=connector) as s:\n        async with s.get(f'http://{HOST}:{PORT}/') as r: return await r.text()\n\
         set_result(asyncio.run(main()))",
    ),
    (
        "dnspython",
        WEB,
        "import dns.resolver, urllib.request\naddress = dns.resolver.resolve(HOST, 'A')[0].to_text()\n\
         set_result(urllib.request.urlopen(f'http://{address}:{PORT}/').read().decode())",
    ),
    (
        "psycopg",
        POSTGRES,
        "import psycopg\nwith psycopg.connect(host=HOST, port=PORT, user='test', dbname='postgres') as c: set_result(c.execute('select 41 + 1').fetchone()[0])",
    ),
    (
        "asyncpg",
        POSTGRES,
        "import asyncio, asyncpg\nasync def main():\n    c = await asyncpg.connect(host=HOST, port=PORT, user='test', database='postgres')\n    \
         try: return await c.fetchval('select 41 + 1')\n    finally: await c.close()\nset_result(asyncio.run(main()))",
    ),
    (
        "pymysql",
        MARIADB,
        "import pymysql\nc = pymysql.connect(host=HOST, port=PORT, user='test')\nwith c.cursor() as q:\n    q.execute('select 41 + 1')\n    set_result(q.fetchone()[0])",
    ),
    (
        "redis",
        REDIS,
        "import redis\nr = redis.Redis(host=HOST, port=PORT)\nr.set('k', 42)\nset_result(int(r.get('k')))",
    ),
    (
        "sockets",
        WEB,
        "import socket\nwith socket.create_connection((HOST, PORT)) as c:\n    c.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n    \
         set_result(c.makefile().read().splitlines()[-1])",
    ),
];

fn script(port: u16, body: &str) -> String {
    format!("HOST, PORT = {NAME:?}, {port}\n{body}")
}

#[tokio::test]
async fn every_client_reaches_what_its_profile_allows_and_is_refused_what_it_does_not() {
    let host = Host::up();
    let (worker, _names) = worker(&host).await;
    let mut failed = Vec::new();
    for (client, port, body) in SCRIPTS {
        let expected = if *port == WEB { json!("hello") } else { json!(42) };
        let ended = worker.run_to(&script(*port, body), &[format!("{NAME}:{port}")]).await;
        let got: Value = ended.result().map_or(Value::Null, |json| serde_json::from_str(json).expect("JSON"));
        if got != expected {
            failed.push(format!(
                "{client}, allowed: {} {got} {} {:?}",
                ended.outcome(),
                ended.error(),
                ended.end.egress
            ));
        }
        // Another port of the same host, and another host.
        for hosts in [vec![format!("{NAME}:1")], vec!["other.example".to_owned()]] {
            let ended = worker.run_to(&script(*port, body), &hosts).await;
            let explained = ended.error().contains("Airlock refused it") && ended.error().contains(NAME);
            if ended.outcome() == "completed" || !explained {
                failed.push(format!("{client}, refused {hosts:?}: {} {}", ended.outcome(), ended.error()));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
