//! Questions and answers as bytes (RFC 1035, RFC 6891). Both sides are hostile: the script, and whoever owns a name.

use std::net::IpAddr;

use airlock_actors::domain::egress::host_name;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// Longest question that is looked at, in bytes.
pub(in crate::worker::guard::egress) const MAX_QUESTION_BYTES: usize = 4096;
/// What an answer may have where the question says nothing (RFC 1035), and the most that is asked for and given (DNS flag
/// day 2020), in bytes.
const PLAIN_PAYLOAD: u16 = 512;
const ASKED_PAYLOAD: u16 = 1232;
const MAX_PAYLOAD: u16 = 4096;

/// A question of a script's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::worker::guard::egress) struct Question {
    id: u16,
    name: Name,
    record_type: RecordType,
    payload: u16,
    /// The name as rules have it.
    pub(in crate::worker::guard::egress) host: String,
}

/// Bytes that are no question that can be asked on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::worker::guard::egress) enum Unanswerable {
    /// Not even an answer can be made.
    Silent,
    /// A question that gets this answer.
    Answer(Vec<u8>),
}

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::worker::guard::egress) enum Said {
    /// The answer for the script, and the addresses in it.
    Answer {
        /// Of the guard's making.
        bytes: Vec<u8>,
        /// Every address that the script sees in it.
        addresses: Vec<IpAddr>,
    },
    /// The answer is longer: ask by TCP.
    Truncated,
    /// This server can't or won't.
    Failed,
    /// Not the answer to this question: a late or a forged one.
    Foreign,
}

impl Question {
    /// Reads one.
    pub(in crate::worker::guard::egress) fn read(bytes: &[u8]) -> Result<Self, Unanswerable> {
        let message = Message::from_vec(bytes).map_err(|_| Unanswerable::Silent)?;
        let refuse = |code| Err(encoded(&reply(&message, code)).map_or(Unanswerable::Silent, Unanswerable::Answer));
        if message.metadata.message_type != MessageType::Query {
            return Err(Unanswerable::Silent);
        }
        if message.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        let [query] = message.queries.as_slice() else { return refuse(ResponseCode::FormErr) };
        let unaskable = [RecordType::ANY, RecordType::AXFR, RecordType::IXFR];
        if query.query_class() != DNSClass::IN || unaskable.contains(&query.query_type()) {
            return refuse(ResponseCode::NotImp);
        }
        let Some(host) = host_of(query.name()) else { return refuse(ResponseCode::NXDomain) };
        Ok(Self {
            id: message.metadata.id,
            name: query.name().clone(),
            record_type: query.query_type(),
            payload: message.edns.as_ref().map_or(PLAIN_PAYLOAD, Edns::max_payload).clamp(PLAIN_PAYLOAD, MAX_PAYLOAD),
            host,
        })
    }

    /// That there is no such name: a C library gives up at once then, and asks nobody else.
    pub(in crate::worker::guard::egress) fn no_such_name(&self) -> Vec<u8> {
        self.empty(ResponseCode::NXDomain)
    }

    /// That no name server could tell.
    pub(in crate::worker::guard::egress) fn failure(&self) -> Vec<u8> {
        self.empty(ResponseCode::ServFail)
    }

    fn empty(&self, code: ResponseCode) -> Vec<u8> {
        encoded(&self.response(code)).unwrap_or_default()
    }

    fn response(&self, code: ResponseCode) -> Message {
        let mut response = Message::response(self.id, OpCode::Query);
        response.metadata.recursion_desired = true;
        response.metadata.recursion_available = true;
        response.metadata.response_code = code;
        response.add_query(Query::query(self.name.clone(), self.record_type));
        response
    }

    /// The question to ask a name server: nothing of the script's is in it but name and type.
    pub(in crate::worker::guard::egress) fn to_ask(&self, id: u16) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(self.asked_name(), self.record_type));
        let mut edns = Edns::new();
        edns.set_max_payload(ASKED_PAYLOAD);
        message.set_edns(edns);
        encoded(&message).unwrap_or_default()
    }

    /// In lower case: the case of letters could carry a message.
    fn asked_name(&self) -> Name {
        self.name.to_lowercase()
    }

    /// Reads what came for the question that was asked under `id`.
    pub(in crate::worker::guard::egress) fn understand(&self, bytes: &[u8], id: u16, by_tcp: bool) -> Said {
        let Ok(message) = Message::from_vec(bytes) else { return Said::Foreign };
        let answers_this = message.queries.first().is_some_and(|query| {
            query.query_type() == self.record_type && query.name().to_lowercase() == self.asked_name()
        });
        let metadata = &message.metadata;
        if metadata.id != id || metadata.message_type != MessageType::Response || !answers_this {
            return Said::Foreign;
        }
        if metadata.truncation && !by_tcp {
            return Said::Truncated;
        }
        match metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            _ => return Said::Failed,
        }
        self.passed_on(message.metadata.response_code, message.answers)
    }

    /// As many of the records as the script has room for.
    fn passed_on(&self, code: ResponseCode, records: Vec<Record>) -> Said {
        let mut response = self.response(code);
        response.insert_answers(records);
        loop {
            let Some(bytes) = encoded(&response) else { return Said::Failed };
            if bytes.len() <= usize::from(self.payload) {
                let addresses = response.answers.iter().filter_map(address_in).collect();
                return Said::Answer { bytes, addresses };
            }
            // Those at the end, so that the links to an alias stay before what they lead to.
            if response.answers.pop().is_none() {
                return Said::Failed;
            }
        }
    }
}

fn reply(to: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(to.metadata.id, to.metadata.op_code);
    reply.metadata.response_code = code;
    reply.add_queries(to.queries.iter().take(1).cloned());
    reply
}

fn encoded(message: &Message) -> Option<Vec<u8>> {
    message.to_vec().ok()
}

fn address_in(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// The name as rules have it; `None` if no rule could: a label with other bytes than those of host names, the root.
fn host_of(name: &Name) -> Option<String> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let labels =
        name.iter().map(|label| std::str::from_utf8(label).ok().filter(|label| label.as_bytes().iter().all(word)));
    host_name(&labels.collect::<Option<Vec<_>>>()?.join(".")).ok()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use hickory_proto::rr::rdata::{A, CNAME};
    use proptest::prelude::*;

    use super::*;

    fn asked(name: &str, record_type: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), record_type));
        message
    }

    fn question(name: &str) -> Question {
        Question::read(&asked(name, RecordType::A).to_vec().expect("encodes")).expect("a question")
    }

    fn answer(name: &str, id: u16, records: Vec<Record>) -> Message {
        let mut message = asked(name, RecordType::A).into_response();
        message.metadata.id = id;
        message.insert_answers(records);
        message
    }

    fn a(name: &str, address: &str) -> Record {
        Record::from_rdata(Name::from_str(name).expect("a name"), 60, RData::A(A(address.parse().expect("v4"))))
    }

    #[test]
    fn a_question_is_asked_on_by_name_and_type_alone() {
        let mut original = asked("Api.EXAMPLE.com.", RecordType::A);
        original.add_additional(a("smuggled.example.", "192.0.2.1"));
        original.metadata.checking_disabled = true;
        let question = Question::read(&original.to_vec().expect("encodes")).expect("a question");
        assert_eq!(question.host, "api.example.com");
        let asked_on = Message::from_vec(&question.to_ask(99)).expect("a message");
        assert_eq!(asked_on.metadata.id, 99);
        assert_eq!(asked_on.queries[0].name().to_ascii(), "api.example.com.");
        assert!(asked_on.additionals.is_empty() && !asked_on.metadata.checking_disabled);
    }

    #[test]
    fn names_that_no_rule_could_have_are_refused() {
        let labels: [&[&[u8]]; 6] = [
            &[b"1", b"2", b"3", b"4"],
            &[b"0x7f", b"1"],
            &[b"a\0b", b"example"],
            &[b"a.b", b"example"],
            &[b"a b"],
            &[],
        ];
        for name in labels {
            let mut message = asked(".", RecordType::A);
            message.queries[0].set_name(Name::from_labels(name.iter().copied()).expect("a name"));
            let read = Question::read(&message.to_vec().expect("encodes"));
            let Err(Unanswerable::Answer(bytes)) = read else { panic!("{name:?} was read") };
            let reply = Message::from_vec(&bytes).expect("a message");
            assert_eq!((reply.metadata.response_code, reply.metadata.id), (ResponseCode::NXDomain, 7), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_plain_question_is_refused() {
        for record_type in [RecordType::ANY, RecordType::AXFR] {
            let read = Question::read(&asked("a.example.", record_type).to_vec().expect("encodes"));
            assert!(matches!(read, Err(Unanswerable::Answer(_))), "{record_type}");
        }
        let response = asked("a.example.", RecordType::A).into_response().to_vec().expect("encodes");
        assert_eq!(Question::read(&response), Err(Unanswerable::Silent));
        let mut two = asked("a.example.", RecordType::A);
        two.add_query(Query::query(Name::from_ascii("b.example.").expect("a name"), RecordType::A));
        assert!(matches!(Question::read(&two.to_vec().expect("encodes")), Err(Unanswerable::Answer(_))));
    }

    #[test]
    fn addresses_of_an_answer_are_those_the_script_sees() {
        let question = question("api.example.com.");
        let alias = Name::from_str("edge.example.net.").expect("a name");
        let link =
            Record::from_rdata(Name::from_str("api.example.com.").expect("a name"), 60, RData::CNAME(CNAME(alias)));
        let said =
            answer("api.example.com.", 5, vec![link, a("edge.example.net.", "192.0.2.1")]).to_vec().expect("encodes");
        let Said::Answer { bytes, addresses } = question.understand(&said, 5, false) else { panic!("no answer") };
        assert_eq!(addresses, ["192.0.2.1".parse::<IpAddr>().expect("v4")]);
        let seen = Message::from_vec(&bytes).expect("a message");
        assert_eq!((seen.metadata.id, seen.answers.len()), (7, 2));
    }

    #[test]
    fn an_answer_that_is_too_long_is_shortened_with_its_addresses() {
        let question = question("many.example.");
        let many = (0..100).map(|n| a("many.example.", &format!("192.0.2.{n}"))).collect::<Vec<_>>();
        let said = answer("many.example.", 5, many).to_vec().expect("encodes");
        let Said::Answer { bytes, addresses } = question.understand(&said, 5, true) else { panic!("no answer") };
        assert!(bytes.len() <= usize::from(PLAIN_PAYLOAD) && addresses.len() > 10 && addresses.len() < 100);
    }

    #[test]
    fn a_late_or_forged_answer_is_not_taken() {
        let question = question("a.example.");
        let other_name = answer("b.example.", 5, vec![a("b.example.", "192.0.2.1")]).to_vec().expect("encodes");
        let other_id = answer("a.example.", 6, vec![]).to_vec().expect("encodes");
        for said in
            [other_name.as_slice(), &other_id, &asked("a.example.", RecordType::A).to_vec().expect("encodes"), b"x"]
        {
            assert_eq!(question.understand(said, 5, false), Said::Foreign);
        }
    }

    #[test]
    fn servers_that_fail_or_cut_are_told_apart() {
        let question = question("a.example.");
        let mut cut = answer("a.example.", 5, vec![]);
        cut.metadata.truncation = true;
        assert_eq!(question.understand(&cut.to_vec().expect("encodes"), 5, false), Said::Truncated);
        let mut failed = answer("a.example.", 5, vec![]);
        failed.metadata.response_code = ResponseCode::Refused;
        assert_eq!(question.understand(&failed.to_vec().expect("encodes"), 5, false), Said::Failed);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = Question::read(&bytes);
            let _ = question("a.example.").understand(&bytes, 5, false);
        }
    }
}
