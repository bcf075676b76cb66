//! Servers for scripts to talk to: an echo, and a name server that says what the test wants.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, TXT};
use hickory_proto::rr::{RData, Record, RecordType};

use crate::support::{Worker, config};

/// Echoes what each connection sends until its end, and counts connections.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    accepted: Arc<Mutex<usize>>,
}

impl Echo {
    pub(crate) fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).expect("binds");
        let address = listener.local_addr().expect("has an address");
        let accepted = Arc::new(Mutex::new(0));
        let count = Arc::clone(&accepted);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *count.lock().expect("not poisoned") += 1;
                std::thread::spawn(move || echo(stream));
            }
        });
        Self { address, accepted }
    }

    /// As an entry of `allowed_hosts`.
    pub(crate) fn entry(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn accepted(&self) -> usize {
        *self.accepted.lock().expect("not poisoned")
    }
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// What the name server says of a name.
#[derive(Clone)]
pub(crate) enum Answer {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// One list after the other, an answer each; the last one stays.
    InTurn(Vec<Vec<IpAddr>>),
    /// Nothing, ever.
    Silence,
    /// That the answer is too long; by TCP, these.
    OnlyByTcp(Vec<IpAddr>),
    /// A text.
    Text(String),
}

/// A name server, and what it was asked.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

type Zone = Arc<Mutex<HashMap<String, Answer>>>;

impl NameServer {
    pub(crate) fn with(zone: &[(&str, Answer)]) -> Self {
        // A port that is free for both.
        let (udp, tcp) = std::iter::repeat_with(|| {
            let udp = UdpSocket::bind("127.0.0.1:0").expect("binds");
            let tcp = TcpListener::bind(udp.local_addr().expect("has an address")).ok();
            tcp.map(|tcp| (udp, tcp))
        })
        .flatten()
        .next()
        .expect("some port");
        let address = udp.local_addr().expect("has an address");
        let zone: Zone =
            Arc::new(Mutex::new(zone.iter().map(|(name, answer)| ((*name).to_owned(), answer.clone())).collect()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (by_udp, by_tcp) = ((Arc::clone(&zone), Arc::clone(&asked)), (zone, Arc::clone(&asked)));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((count, peer)) = udp.recv_from(&mut buffer) {
                if let Some(answer) = answered(&by_udp.0, &by_udp.1, &buffer[..count], false) {
                    udp.send_to(&answer, peer).expect("answers");
                }
            }
        });
        std::thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let mut length = [0; 2];
                stream.read_exact(&mut length).expect("a length");
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).expect("a question");
                if let Some(answer) = answered(&by_tcp.0, &by_tcp.1, &question, true) {
                    let length = u16::try_from(answer.len()).expect("fits").to_be_bytes();
                    stream.write_all(&[length.as_slice(), &answer].concat()).expect("answers");
                }
            }
        });
        Self { address, asked }
    }

    /// Every name that it was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn answered(zone: &Zone, asked: &Mutex<Vec<String>>, question: &[u8], by_tcp: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).expect("a question");
    let query = question.queries[0].clone();
    let name = query.name().to_ascii().trim_end_matches('.').to_owned();
    asked.lock().expect("not poisoned").push(name.clone());
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_query(query.clone());
    let mut zone = zone.lock().expect("not poisoned");
    let mut addresses = Vec::new();
    match zone.get_mut(&name) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(Answer::Silence) => return None,
        Some(Answer::Addresses(all)) => addresses.clone_from(all),
        Some(Answer::InTurn(turns)) => {
            addresses = turns[0].clone();
            // A and AAAA are asked for at once: the turn passes with the first.
            if turns.len() > 1 && query.query_type() == RecordType::A {
                turns.remove(0);
            }
        }
        Some(Answer::OnlyByTcp(all)) if by_tcp => addresses.clone_from(all),
        Some(Answer::OnlyByTcp(_)) => answer.metadata.truncation = true,
        Some(Answer::Text(text)) => {
            let data = RData::TXT(TXT::new(vec![text.clone()]));
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
        }
    }
    for address in addresses {
        let data = match (address, query.query_type()) {
            (IpAddr::V4(v4), RecordType::A) => RData::A(A(v4)),
            (IpAddr::V6(v6), RecordType::AAAA) => RData::AAAA(AAAA(v6)),
            _ => continue,
        };
        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    }
    Some(answer.to_vec().expect("encodes"))
}

/// An address.
pub(crate) fn ip(text: &str) -> IpAddr {
    IpAddr::from_str(text).expect("an address")
}

/// A worker whose scripts ask `names`, and whose server is said to listen on `server_port`.
pub(crate) async fn worker_with(names: &NameServer, server_port: Option<u16>) -> Worker {
    let (mut config, home) = config();
    config.name_servers = vec![names.address];
    config.server_port = server_port;
    Worker::launch_with(config, home).await
}
