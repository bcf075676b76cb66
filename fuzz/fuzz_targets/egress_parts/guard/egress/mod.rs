//! The modules under test, by path; what they show, they show to `guard::egress` alone.

#[allow(dead_code)]
#[path = "../../../../../src/worker/guard/egress/address.rs"]
mod address;
#[allow(dead_code)]
#[path = "../../../../../src/worker/guard/egress/dns/message.rs"]
mod message;

/// Reads `data` as a script's socket address, as its question, and as a name server's answer to one.
pub fn read(data: &[u8]) {
    let _ = address::destination(data);
    if let Ok(question) = message::Question::read(data) {
        assert!(airlock_actors::domain::egress::host_name(&question.host).as_ref() == Ok(&question.host));
        let asked = question.to_ask(7);
        assert!(message::Question::read(&asked).is_ok_and(|again| again.host == question.host));
        let _ = message::Question::read(&question.no_such_name());
    }
    let Some((&split, rest)) = data.split_first() else { return };
    let (first, second) = rest.split_at(usize::from(split).min(rest.len()));
    if let Ok(question) = message::Question::read(first) {
        for by_tcp in [false, true] {
            if let message::Said::Answer { bytes, addresses } = question.understand(second, 7, by_tcp) {
                assert!(bytes.len() <= 4096 && addresses.len() * 12 <= bytes.len());
            }
        }
    }
}
