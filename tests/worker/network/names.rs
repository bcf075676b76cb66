//! Names: who asks for them, what they lead to, and that leading elsewhere wins nothing.

use serde_json::{Value, json};

use super::peers::{Answer, Echo, NameServer, ip, worker_with};

fn addresses(all: &[&str]) -> Answer {
    Answer::Addresses(all.iter().map(|text| ip(text)).collect())
}

/// The script asks as a C library does, and gives the addresses or the error.
const LOOK_UP: &str = "
import socket
def look_up(name):
    try: return sorted({a[4][0] for a in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except OSError as e: return [type(e).__name__, e.errno]
";

#[tokio::test]
async fn allowed_names_are_looked_up_and_others_are_not_even_asked_for() {
    let names = NameServer::with(&[
        ("api.example.com", addresses(&["192.0.2.1", "2001:db8::1"])),
        ("a.b.example.org", addresses(&["192.0.2.2"])),
        ("evil.example.net", addresses(&["192.0.2.3"])),
        ("example.org", addresses(&["192.0.2.4"])),
    ]);
    let worker = worker_with(&names, None).await;
    let script = format!(
        "{LOOK_UP}\nset_result({{name: look_up(name) for name in ['API.example.com', 'api.example.com.', 'a.b.example.org', \
         'secret-value.evil.example.net', 'evil.example.net', 'example.org', 'absent.example.org']}})"
    );
    let ended = worker.run_to(&script, &["api.example.com".into(), "*.example.org".into()]).await;
    let value = ended.value();
    assert_eq!(value["API.example.com"], json!(["192.0.2.1", "2001:db8::1"]));
    assert_eq!(value["api.example.com."], json!(["192.0.2.1", "2001:db8::1"]));
    assert_eq!(value["a.b.example.org"], json!(["192.0.2.2"]));
    for refused in ["secret-value.evil.example.net", "evil.example.net", "example.org", "absent.example.org"] {
        assert_eq!(value[refused], json!(["gaierror", -2]), "{refused}");
    }
    let asked = names.asked();
    assert!(asked.iter().all(|name| name == "api.example.com" || name.ends_with(".example.org")), "{asked:?}");
    let refused = ended.end.egress.iter().filter(|seen| seen.refusal.is_some()).map(|seen| seen.host.as_str());
    assert_eq!(refused.collect::<Vec<_>>(), ["secret-value.evil.example.net", "evil.example.net", "example.org"]);
}

#[tokio::test]
async fn a_name_leads_only_where_it_led_in_this_execution() {
    let echo = Echo::on("127.0.0.1:0");
    let names = NameServer::with(&[("db.corp.example", addresses(&["10.77.0.1"]))]);
    let worker = worker_with(&names, None).await;
    let hosts = ["db.corp.example".to_owned(), echo.entry()];
    let connect = "
def connect(host, port):
    s = socket.socket()
    s.setblocking(False)
    try: s.connect((host, port))
    except BlockingIOError: return 'under way'
    except OSError as e: return type(e).__name__
";
    // Not asked for: the address alone opens nothing. Asked for: it does, at this very address.
    let script = format!(
        "{LOOK_UP}{connect}\nset_result([connect('10.77.0.1', 5432), look_up('db.corp.example'), connect('10.77.0.1', 5432), \
         connect('10.77.0.2', 5432)])"
    );
    let ended = worker.run_to(&script, &hosts).await;
    let value = ended.value();
    assert_eq!((&value[0], &value[3]), (&json!("PermissionError"), &json!("PermissionError")));
    assert_eq!(value[1], json!(["10.77.0.1"]));
    assert_ne!(value[2], json!("PermissionError"), "{value}");
    // What one execution learnt is not another's.
    let other = format!("{LOOK_UP}{connect}\nset_result(connect('10.77.0.1', 5432))");
    assert_eq!(worker.run_to(&other, &hosts).await.value(), json!("PermissionError"));
    let shown = ended.end.egress.iter().find(|seen| seen.port == Some(5432) && seen.refusal.is_none());
    assert_eq!(shown.map(|seen| seen.host.as_str()), Some("db.corp.example"));
}

#[tokio::test]
async fn rebinding_reaches_neither_this_machine_nor_metadata_nor_by_wildcard_a_private_network() {
    let echo = Echo::on("127.0.0.1:0");
    let turns = |first: &str, then: &str| Answer::InTurn(vec![vec![ip(first)], vec![ip(then)]]);
    let names = NameServer::with(&[
        ("rebind.example.com", turns("192.0.2.1", "127.0.0.1")),
        ("metadata.example.com", addresses(&["169.254.169.254"])),
        ("mapped.example.com", addresses(&["::ffff:127.0.0.1"])),
        ("x.wild.example.com", addresses(&["10.0.0.1"])),
    ]);
    let worker = worker_with(&names, None).await;
    let script = format!(
        "PORT = {}\n{LOOK_UP}
def connect(name):
    try: socket.create_connection((name, PORT), timeout=0.05); return 'reached'
    except OSError as e: return type(e).__name__
look_up('rebind.example.com')
set_result([connect(name + '.example.com') for name in ('rebind', 'metadata', 'mapped', 'x.wild')])",
        echo.port()
    );
    let hosts = ["rebind", "metadata", "mapped", "*.wild"].map(|name| format!("{name}.example.com"));
    let ended = worker.run_to(&script, &hosts).await;
    assert_eq!(ended.value(), json!(vec!["PermissionError"; 4]), "{:?}", ended.end.egress);
    assert_eq!(echo.accepted(), 0);
    let reason = |host: &str| {
        let seen = ended.end.egress.iter().find(|seen| seen.host == host && seen.port.is_some()).expect(host);
        seen.refusal.clone().expect("was refused")
    };
    assert_eq!(reason("rebind.example.com"), "loopback");
    assert_eq!(reason("metadata.example.com"), "link_local_or_metadata");
    assert_eq!(reason("x.wild.example.com"), "private_address");
}

#[tokio::test]
async fn long_answers_come_by_tcp_and_a_silent_server_is_given_up() {
    let many = (1..=200).map(|n| ip(&format!("198.51.100.{n}"))).collect::<Vec<_>>();
    let silent = NameServer::with(&[("slow.example", Answer::Silence)]);
    let names = NameServer::with(&[
        ("many.example", Answer::OnlyByTcp(many)),
        ("slow.example", addresses(&["192.0.2.9"])),
        ("_mongodb._tcp.example", Answer::Text("v=1".into())),
    ]);
    let (mut config, home) = crate::support::config();
    config.name_servers = vec![silent.address, names.address];
    let worker = crate::support::Worker::launch_with(config, home).await;
    let hosts = ["many.example", "slow.example", "_mongodb._tcp.example"].map(str::to_owned);
    // The first server does not know `many.example`, which is an answer; of `slow.example` it says nothing.
    let script = format!("{LOOK_UP}\nset_result([look_up('slow.example'), look_up('many.example')])");
    assert_eq!(worker.run_to(&script, &hosts).await.value(), json!([["192.0.2.9"], ["gaierror", -2]]));

    let worker = worker_with(&names, None).await;
    let script = format!("{LOOK_UP}\nset_result(len(look_up('many.example')))");
    let seen = worker.run_to(&script, &hosts).await.value();
    assert!(seen.as_u64() > Some(20), "{seen}");
}

#[tokio::test]
async fn questions_by_hand_with_and_without_a_connection() {
    let names = NameServer::with(&[("txt.example", Answer::Text("hello".into()))]);
    let worker = worker_with(&names, None).await;
    let script = "
import socket, struct
def question(name, kind=16, id=77):
    labels = b''.join(bytes([len(l)]) + l for l in name.encode().split(b'.')) + b'\\0'
    return struct.pack('!6H', id, 0x100, 1, 0, 0, 0) + labels + struct.pack('!2H', kind, 1)
with socket.socket(type=socket.SOCK_DGRAM) as s:
    s.connect(('9.9.9.9', 53))
    s.send(question('txt.example'))
    connected = s.recv(512)
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
    s.sendto(question('txt.example'), ('2620:fe::fe', 53))
    sent_to = s.recv(512)
    s.sendto(question('other.example'), ('2620:fe::fe', 53))
    refused = s.recv(512)
with socket.socket(type=socket.SOCK_DGRAM) as s:
    s.connect(('9.9.9.9', 53))
    for junk in (b'x', bytes(12), b'\\xff' * 4000, question('txt.example', 255)): s.send(junk)
    s.send(question('txt.example', id=78))
    answers = [s.recv(512)]
    while answers[-1][:2] != b'\\0N': answers.append(s.recv(512))
set_result({'connected': b'hello' in connected, 'sent to': b'hello' in sent_to and sent_to[:2] == b'\\0M',
            'refused': refused[3] & 15, 'after junk': b'hello' in answers[-1]})
";
    let ended = worker.run_to(script, &["txt.example".to_owned()]).await;
    assert_eq!(ended.value(), json!({"connected": true, "sent to": true, "refused": 3, "after junk": true}));
}

#[tokio::test]
async fn a_flood_of_questions_is_bounded_and_holds_up_nobody() {
    let names = NameServer::with(&[("silent.example", Answer::Silence), ("good.example", addresses(&["192.0.2.1"]))]);
    let worker = worker_with(&names, None).await;
    let hosts = ["silent.example".to_owned(), "good.example".to_owned()];
    let flood = "
import socket, struct
name = b'\\x06silent\\x07example\\0'
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(('9.9.9.9', 53))
print('flooding', flush=True)
while True:
    s.send(struct.pack('!6H', 1, 0x100, 1, 0, 0, 0) + name + struct.pack('!2H', 1, 1))
";
    let limits = airlock_actors::domain::RunLimits::DEFAULT;
    let mut flooding = worker.start_to(flood, &[], limits, Some(&hosts));
    flooding.until_printed("flooding").await;
    let script = format!("{LOOK_UP}\nset_result(look_up('good.example'))");
    assert_eq!(worker.run_to(&script, &hosts).await.value(), json!(["192.0.2.1"]));
    worker.link().kill(flooding.token);
    let ended = flooding.end().await;
    assert_eq!(ended.outcome(), "killed");
    assert_ne!(json!(ended.end.egress.len()), Value::from(0));
}
