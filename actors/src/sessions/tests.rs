//! The administrator's sessions on a memory store: what they promise (SE-1 to SE-4).

use std::future::Future;

use super::*;
use crate::crypto::PasswordCost;
use crate::testing::{FakeClock, MemoryStore, SeededEntropy};

const LIFE: SessionLife = SessionLife { idle: Duration::from_secs(3600), absolute: Duration::from_secs(7200) };
const PASSWORD: &str = "the first password";

struct World {
    sessions: Sessions,
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
}

impl World {
    fn new() -> Self {
        Self::on(Arc::new(MemoryStore::default()), Arc::new(FakeClock::new()))
    }

    fn on(store: Arc<MemoryStore>, clock: Arc<FakeClock>) -> Self {
        let entropy = Arc::new(SeededEntropy::new(7));
        let hasher = PasswordHasher::new(PasswordCost::danger_next_to_nothing(), entropy.clone());
        let sessions = Sessions::load(store.clone(), clock.clone(), entropy, hasher, LIFE).unwrap();
        Self { sessions, store, clock }
    }

    /// With the password set, and the session that this opened.
    async fn set_up() -> (Self, Secret) {
        let world = Self::new();
        let token = world.sessions.setup(secret(PASSWORD)).await.unwrap();
        (world, token)
    }

    /// What a restart finds.
    fn restarted(&self) -> Self {
        Self::on(self.store.clone(), self.clock.clone())
    }

    async fn login(&self, password: &str) -> Result<Secret, SessionError> {
        self.sessions.login(secret(password), peer(1)).await
    }

    async fn change(&self, token: &Secret, current: &str, new: &str) -> Result<(), SessionError> {
        self.sessions.change_password(token, secret(current), secret(new), peer(1)).await
    }

    /// Whether the token lets one in, now and after a restart.
    async fn is_open(&self, token: &Secret) -> bool {
        let now = self.sessions.authenticate(token).await.is_ok();
        assert_eq!(self.restarted().sessions.authenticate(token).await.is_ok(), now, "a restart changes it");
        now
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn peer(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

async fn later(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// Runs `work` after giving way `turns` times.
async fn after<T>(turns: usize, work: impl Future<Output = T>) -> T {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    work.await
}

#[tokio::test(start_paused = true)]
async fn of_many_who_set_the_first_password_one_does() {
    let world = World::new();
    assert!(world.sessions.setup_required());
    assert!(matches!(world.login(PASSWORD).await, Err(SessionError::SetUpRequired)));
    let passwords: Vec<String> = (0..8).map(|number| format!("password {number}")).collect();
    let set = passwords.iter().map(|password| world.sessions.setup(secret(password)));
    let set = futures_util::future::join_all(set).await;
    let winners: Vec<usize> = (0..8).filter(|&number| set[number].is_ok()).collect();
    assert_eq!(winners.len(), 1);
    for (password, set) in passwords.iter().zip(&set) {
        assert_eq!(world.restarted().login(password).await.is_ok(), set.is_ok());
        assert!(set.is_ok() || matches!(set, Err(SessionError::SetUpAlready)), "{set:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_password_that_was_not_written_is_not_set() {
    let world = World::new();
    world.store.fail_with(Some(StoreError::Full));
    assert!(matches!(world.sessions.setup(secret(PASSWORD)).await, Err(SessionError::Unavailable(_))));
    assert!(world.sessions.setup_required());
    world.store.fail_with(None);
    assert!(world.sessions.setup(secret(PASSWORD)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn passwords_at_the_limits_pass_and_past_them_fail() {
    let world = World::new();
    for text in ["é".repeat(7), "é".repeat(1025)] {
        assert!(matches!(world.sessions.setup(secret(&text)).await, Err(SessionError::PasswordLength)));
    }
    let token = world.sessions.setup(secret(&"é".repeat(8))).await.unwrap();
    world.change(&token, &"é".repeat(8), &"é".repeat(1024)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_token_is_kept_as_its_hash_only() {
    let (world, token) = World::set_up().await;
    let other = world.login(PASSWORD).await.unwrap();
    assert_ne!(token.expose(), other.expose());
    let mut stored: Vec<[u8; 32]> = world.store.sessions().unwrap().iter().map(|session| session.token_hash).collect();
    stored.sort_unstable();
    let mut hashes = [&token, &other].map(|token| sha256(token.expose().as_bytes()));
    hashes.sort_unstable();
    assert_eq!(stored, hashes);
    assert!(!world.is_open(&secret("made up")).await);
}

#[tokio::test(start_paused = true)]
async fn guesses_are_slowed_from_their_address_and_count_before_they_are_checked() {
    let (world, token) = World::set_up().await;
    let guesses = (0..10).map(|_| world.sessions.login(secret("a wrong guess"), peer(9)));
    let guesses = futures_util::future::join_all(guesses).await;
    let checked = guesses.iter().filter(|guess| matches!(guess, Err(SessionError::WrongPassword))).count();
    let slowed = guesses.iter().filter(|guess| matches!(guess, Err(SessionError::SlowDown { .. }))).count();
    assert_eq!((checked, slowed), (5, 5));
    let right = world.sessions.login(secret(PASSWORD), peer(9)).await;
    assert!(matches!(right, Err(SessionError::SlowDown { .. })), "the right one gets no further: {right:?}");
    let change = world.sessions.change_password(&token, secret(PASSWORD), secret("another password"), peer(9)).await;
    assert!(matches!(change, Err(SessionError::SlowDown { .. })), "nor does a change: {change:?}");
    assert!(world.login(PASSWORD).await.is_ok(), "another address is not slowed");
    later(1).await;
    assert!(world.sessions.login(secret(PASSWORD), peer(9)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn whoever_uses_up_all_guesses_does_not_keep_the_administrator_out() {
    let (world, _) = World::set_up().await;
    world.login(PASSWORD).await.unwrap();
    for last in 2..=40 {
        let _ = world.sessions.login(secret("a wrong guess"), peer(last)).await;
    }
    let stranger = world.sessions.login(secret(PASSWORD), peer(200)).await;
    assert!(matches!(stranger, Err(SessionError::SlowDown { .. })), "{stranger:?}");
    assert!(world.login(PASSWORD).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_idle_and_when_old() {
    let (world, token) = World::set_up().await;
    // `last_seen_at` may be a minute behind, to the person's benefit.
    later(3600 + 59).await;
    assert!(world.is_open(&token).await);
    later(3600 - 60).await;
    assert!(world.is_open(&token).await, "it was used, and is a second younger than the oldest");
    later(1).await;
    assert!(!world.is_open(&token).await, "too old");

    let idle = world.login(PASSWORD).await.unwrap();
    later(3600 + 60).await;
    assert!(!world.is_open(&idle).await, "too long unused");
}

#[tokio::test(start_paused = true)]
async fn a_use_is_written_once_a_minute() {
    let (world, token) = World::set_up().await;
    let last_seen = || world.store.sessions().unwrap()[0].last_seen_at.duration_since(FakeClock::epoch()).as_secs();
    later(59).await;
    world.sessions.authenticate(&token).await.unwrap();
    assert_eq!(last_seen(), 0);
    later(1).await;
    world.sessions.authenticate(&token).await.unwrap();
    assert_eq!(last_seen(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_login_clears_away_what_is_over_and_the_oldest_past_a_thousand() {
    let (world, first) = World::set_up().await;
    later(1).await;
    for _ in 1..MAX_SESSIONS {
        world.login(PASSWORD).await.unwrap();
    }
    assert!(world.is_open(&first).await);
    let last = world.login(PASSWORD).await.unwrap();
    assert!(!world.is_open(&first).await);
    assert_eq!(world.store.sessions().unwrap().len(), MAX_SESSIONS);
    assert!(world.is_open(&last).await);
    later(7200).await;
    world.login(PASSWORD).await.unwrap();
    assert_eq!(world.store.sessions().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_password_ends_every_other_session_and_the_old_password() {
    let (world, token) = World::set_up().await;
    let other = world.login(PASSWORD).await.unwrap();
    assert!(matches!(world.change(&token, "a wrong guess", "another one").await, Err(SessionError::WrongPassword)));
    assert!(world.is_open(&other).await);
    world.change(&token, PASSWORD, "another one").await.unwrap();
    assert!(world.is_open(&token).await && !world.is_open(&other).await);
    for world in [&world, &world.restarted()] {
        assert!(matches!(world.login(PASSWORD).await, Err(SessionError::WrongPassword)));
        assert!(world.login("another one").await.is_ok());
    }
    let ended = world.change(&other, "another one", PASSWORD).await;
    assert!(matches!(ended, Err(SessionError::NoSession)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn no_session_opened_with_the_old_password_outlives_it() {
    for round in 0..200 {
        let (world, token) = World::set_up().await;
        let (opened, changed) = tokio::join!(
            after(round % 20, world.login(PASSWORD)),
            after(round / 20, world.change(&token, PASSWORD, "another one")),
        );
        changed.unwrap();
        match opened {
            Ok(opened) => assert!(!world.is_open(&opened).await, "round {round}"),
            Err(refused) => assert!(matches!(refused, SessionError::WrongPassword), "{refused:?}"),
        }
        assert!(world.is_open(&token).await);
        assert_eq!(world.store.sessions().unwrap().len(), 1, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_changes_at_once_with_the_same_password_one_is_refused() {
    for round in 0..100 {
        let (world, first) = World::set_up().await;
        let second = world.login(PASSWORD).await.unwrap();
        let (one, two) = tokio::join!(
            after(round % 10, world.change(&first, PASSWORD, "password one")),
            after(round / 10, world.change(&second, PASSWORD, "password two")),
        );
        assert!(one.is_ok() != two.is_ok(), "round {round}: {one:?} {two:?}");
        assert_eq!((world.is_open(&first).await, world.is_open(&second).await), (one.is_ok(), two.is_ok()));
        let (token, current) = if one.is_ok() { (&first, "password one") } else { (&second, "password two") };
        let (one, two) = tokio::join!(
            after(round % 10, world.change(token, current, "password three")),
            after(round / 10, world.change(token, current, "password four")),
        );
        assert!(one.is_ok() != two.is_ok(), "round {round}, from one session: {one:?} {two:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_use_does_not_bring_back_a_session_that_ended() {
    for round in 0..100 {
        let (world, token) = World::set_up().await;
        let other = world.login(PASSWORD).await.unwrap();
        later(60).await;
        let (_, ended) = tokio::join!(
            after(round % 10, world.sessions.authenticate(&token)),
            after(round / 10, world.sessions.logout(&token)),
        );
        ended.unwrap();
        assert!(!world.is_open(&token).await, "round {round}: back after a logout");

        // A change takes as long as argon2 does: the use is tried again and again until it is through.
        let changed = std::cell::Cell::new(false);
        let use_it = async {
            while !changed.get() && world.sessions.authenticate(&other).await.is_ok() {
                later(60).await;
            }
        };
        let own = world.login(PASSWORD).await.unwrap();
        let change = async {
            world.change(&own, PASSWORD, "another one").await.unwrap();
            changed.set(true);
        };
        tokio::join!(use_it, change);
        assert!(!world.is_open(&other).await, "round {round}: back after a change of the password");
    }
}
