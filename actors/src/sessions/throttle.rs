//! Slows down whoever guesses the password: rules over a small table, no clock of its own.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

/// Wrong passwords an address may send before it has to wait: people mistype.
const FREE_ATTEMPTS: u32 = 5;
/// The first wait; each further failure doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// After this long without an attempt an address starts anew.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);
/// Addresses remembered.
const MOST_ADDRESSES: usize = 10_000;
/// Failures over all addresses that may come at once, and how fast that allowance grows back: a botnet gets 30 guesses
/// and then one every two seconds, 43,200 a day.
const GLOBAL_BURST: f64 = 30.0;
const GLOBAL_REFILL: Duration = Duration::from_secs(2);
/// Addresses of successful logins that are remembered.
const MOST_KNOWN: usize = 100;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

/// What is known of failed logins.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    by_address: HashMap<IpAddr, Failures>,
    /// Where the right password came from since the start, the latest at the end. The limit over all addresses is not for
    /// these, or whoever uses it up would keep the administrator out; their own limit is.
    known: VecDeque<IpAddr>,
    spent: f64,
    spent_at: Option<Timestamp>,
}

impl Throttle {
    /// May `peer` try a password now? An attempt counts as failed until [`Throttle::succeeded`], so that many at once gain
    /// nothing. An error says how long to wait; a refused attempt is not counted.
    pub(super) fn attempt(&mut self, peer: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let peer = group(peer);
        let before = self.by_address.get(&peer).copied().filter(|failures| since(failures.last, now) < FORGET_AFTER);
        if let Some(failures) = before {
            let left = wait_after(failures.count).saturating_sub(since(failures.last, now));
            if !left.is_zero() {
                return Err(left);
            }
        }
        if !self.known.contains(&peer) {
            self.spend(now)?;
        }
        self.make_room(now);
        let count = before.map_or(1, |failures| failures.count.saturating_add(1));
        self.by_address.insert(peer, Failures { count, last: now });
        Ok(())
    }

    /// The attempt was right.
    pub(super) fn succeeded(&mut self, peer: IpAddr) {
        let peer = group(peer);
        self.by_address.remove(&peer);
        match self.known.iter().position(|&known| known == peer) {
            Some(position) => drop(self.known.remove(position)),
            None => self.spent = (self.spent - 1.0).max(0.0),
        }
        if self.known.len() >= MOST_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(peer);
    }

    /// Takes one attempt out of what all addresses together have.
    fn spend(&mut self, now: Timestamp) -> Result<(), Duration> {
        self.refill(now);
        if self.spent + 1.0 > GLOBAL_BURST {
            return Err(GLOBAL_REFILL);
        }
        self.spent += 1.0;
        Ok(())
    }

    fn refill(&mut self, now: Timestamp) {
        let idle = self.spent_at.map_or(Duration::ZERO, |at| since(at, now));
        self.spent = (self.spent - idle.as_secs_f64() / GLOBAL_REFILL.as_secs_f64()).max(0.0);
        self.spent_at = Some(now);
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.by_address.len() < MOST_ADDRESSES {
            return;
        }
        self.by_address.retain(|_, failures| since(failures.last, now) < FORGET_AFTER);
        if self.by_address.len() >= MOST_ADDRESSES {
            let oldest = self.by_address.iter().min_by_key(|(_, failures)| failures.last).map(|(&peer, _)| peer);
            oldest.map(|peer| self.by_address.remove(&peer));
        }
    }
}

/// Whoever has one IPv6 address has the /64 around it.
fn group(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_ATTEMPTS) {
        None => Duration::ZERO,
        Some(past) => FIRST_WAIT.saturating_mul(1 << past.min(20)).min(LONGEST_WAIT),
    }
}

fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(earlier)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn five_mistakes_are_free_and_the_waits_double_from_then_on() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.attempt(peer(1), at(0)), Ok(()));
        }
        assert_eq!(throttle.attempt(peer(1), at(0)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.attempt(peer(1), at(1)), Ok(()));
        assert_eq!(throttle.attempt(peer(1), at(2)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.attempt(peer(1), at(3)), Ok(()));
        assert_eq!(throttle.attempt(peer(1), at(3)), Err(Duration::from_secs(4)));
        assert_eq!(throttle.attempt(peer(2), at(3)), Ok(()), "another address is not slowed");
    }

    #[test]
    fn the_right_password_and_an_hour_clear_an_address() {
        let mut throttle = Throttle::default();
        for _ in 0..5 {
            assert_eq!(throttle.attempt(peer(1), at(0)), Ok(()));
        }
        throttle.succeeded(peer(1));
        assert_eq!(throttle.attempt(peer(1), at(0)), Ok(()));
        for _ in 0..4 {
            assert_eq!(throttle.attempt(peer(1), at(0)), Ok(()));
        }
        assert!(throttle.attempt(peer(1), at(0)).is_err());
        assert_eq!(throttle.attempt(peer(1), at(3600)), Ok(()));
        assert_eq!(throttle.attempt(peer(1), at(3600)), Ok(()));
    }

    #[test]
    fn many_addresses_together_are_slowed_to_one_attempt_in_two_seconds() {
        let mut throttle = Throttle::default();
        let tried = (0..=255).filter(|&last| throttle.attempt(peer(last), at(0)).is_ok()).count();
        assert_eq!(tried, 30);
        assert_eq!(throttle.attempt(peer(200), at(1)), Err(GLOBAL_REFILL));
        assert_eq!(throttle.attempt(peer(200), at(2)), Ok(()));
    }

    #[test]
    fn an_address_that_logged_in_before_is_slowed_by_its_own_failures_only() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.attempt(peer(1), at(0)), Ok(()));
        throttle.succeeded(peer(1));
        assert_eq!((2..=255).filter(|&last| throttle.attempt(peer(last), at(0)).is_ok()).count(), 30);
        for _ in 0..5 {
            assert_eq!(throttle.attempt(peer(1), at(0)), Ok(()));
        }
        assert_eq!(throttle.attempt(peer(1), at(0)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.attempt(peer(1), at(1)), Ok(()));
        throttle.succeeded(peer(1));
        assert_eq!(throttle.attempt(peer(200), at(1)), Err(GLOBAL_REFILL), "what was not spent is not given back");
    }

    #[test]
    fn the_latest_hundred_addresses_that_logged_in_are_known() {
        let mut throttle = Throttle::default();
        for last in 0..=100 {
            assert_eq!(throttle.attempt(peer(last), at(0)), Ok(()));
            throttle.succeeded(peer(last));
        }
        assert_eq!((101..=255).filter(|&last| throttle.attempt(peer(last), at(0)).is_ok()).count(), 30);
        assert_eq!(throttle.attempt(peer(0), at(0)), Err(GLOBAL_REFILL));
        assert_eq!(throttle.attempt(peer(1), at(0)), Ok(()));
        assert_eq!(throttle.attempt(peer(100), at(0)), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one_and_mapped_ones_as_what_they_map() {
        let mut throttle = Throttle::default();
        for last in 1..=5u16 {
            let address = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
            assert_eq!(throttle.attempt(address, at(0)), Ok(()));
        }
        let sixth = IpAddr::from([0x2001, 0xdb8, 0, 0, 9, 9, 9, 9]);
        assert!(throttle.attempt(sixth, at(0)).is_err());
        assert_eq!(group("::ffff:192.0.2.1".parse().expect("an address")), peer(1));
    }

    #[test]
    fn the_table_does_not_grow_past_its_bound() {
        let mut throttle = Throttle::default();
        for number in 0..(MOST_ADDRESSES as u32 + 100) {
            let _ = throttle.attempt(IpAddr::from(number.to_be_bytes()), at(i64::from(number) * 2));
        }
        assert!(throttle.by_address.len() <= MOST_ADDRESSES);
    }
}
