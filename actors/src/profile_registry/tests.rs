//! The ProfileRegistry on a memory store: what it promises (PR-1 to PR-5).

use std::collections::BTreeSet;
use std::sync::Mutex;

use actix::Message;
use actix::dev::ToEnvelope;
use actix_rt::Arbiter;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::*;
use crate::domain::CredentialName;
use crate::runtime::{Mailbox, supervise};
use crate::testing::{FakeClock, MemoryStore, SeededEntropy};

struct World {
    registry: Mailbox<ProfileRegistry>,
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
    ended: Arc<Mutex<Vec<ProfileId>>>,
}

impl World {
    async fn new() -> Self {
        tokio::time::pause();
        Self::on(Arc::new(MemoryStore::default()), Arc::new(FakeClock::new())).await
    }

    async fn on(store: Arc<MemoryStore>, clock: Arc<FakeClock>) -> Self {
        // After a restart it goes on with other ids.
        let entropy = Arc::new(SeededEntropy::new(store.profiles().unwrap().len() as u64));
        let ended = Arc::new(Mutex::new(Vec::new()));
        let ports = RegistryPorts {
            keyring: Keyring::new(Zeroizing::new([7; 32]), entropy.clone()),
            store: store.clone(),
            clock: clock.clone(),
            entropy,
            on_ended: {
                let ended = ended.clone();
                Arc::new(move |id: &ProfileId, _| ended.lock().unwrap().push(id.clone()))
            },
        };
        let registry = supervise("registry", &Arbiter::current(), move || ProfileRegistry::load(ports.clone()));
        registry.up().await.unwrap();
        Self { registry, store, clock, ended }
    }

    /// What a restart finds.
    async fn restarted(&self) -> Self {
        Self::on(self.store.clone(), self.clock.clone()).await
    }

    async fn ask<M>(&self, message: M) -> M::Result
    where
        M: Message + Send + 'static,
        M::Result: Send,
        ProfileRegistry: Handler<M>,
        Context<ProfileRegistry>: ToEnvelope<ProfileRegistry, M>,
    {
        self.registry.call(message).await.unwrap()
    }

    async fn create(&self, by: Maker) -> Result<ProfileRecord, ConfigError> {
        self.ask(Create { description: "as made".to_owned(), by }).await
    }

    /// An unlocked profile's id.
    async fn profile(&self) -> ProfileId {
        self.create(Maker::Person).await.unwrap().id
    }

    /// A locked profile's id, and its secret.
    async fn locked(&self) -> (ProfileId, Secret) {
        let id = self.profile().await;
        let (_, secret) = self.issue(&id, KeyIssue::Lock).await.unwrap();
        (id, secret)
    }

    async fn find(&self, id: &ProfileId) -> ProfileRecord {
        self.ask(Find(id.clone())).await.expect("it exists")
    }

    async fn issue(&self, id: &ProfileId, issue: KeyIssue) -> Result<(ProfileRecord, Secret), ConfigError> {
        self.ask(IssueKey { id: id.clone(), issue }).await
    }

    async fn update(&self, id: &ProfileId, change: ProfileChange) -> Result<(ProfileRecord, ()), ConfigError> {
        self.ask(Update { id: id.clone(), change }).await
    }

    async fn attach(&self, id: &ProfileId, texts: &[&str]) -> Result<(ProfileRecord, ()), ConfigError> {
        self.ask(Attach { id: id.clone(), names: names(texts) }).await
    }

    async fn detach(&self, id: &ProfileId, texts: &[&str]) -> Result<(ProfileRecord, ()), ConfigError> {
        self.ask(Detach { id: id.clone(), names: names(texts) }).await
    }

    async fn authorize(&self, id: &ProfileId) -> Result<Authority, Refusal> {
        self.ask(Authorize(id.clone())).await
    }

    fn stored(&self, id: &ProfileId) -> ProfileRecord {
        self.store.profiles().unwrap().into_iter().find(|record| record.id == *id).expect("it is stored")
    }
}

fn names(texts: &[&str]) -> BTreeSet<CredentialName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn described(text: &str) -> ProfileChange {
    ProfileChange { description: Some(text.to_owned()), ..ProfileChange::default() }
}

fn expiring(seconds: i64) -> ProfileChange {
    let at = Timestamp::from_second(FakeClock::epoch().as_second() + seconds).unwrap();
    ProfileChange { expires_at: Some(Some(at)), ..ProfileChange::default() }
}

fn sign(secret: &Secret, script: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.expose().as_bytes()).unwrap();
    mac.update(script.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn later(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[actix::test]
async fn what_was_answered_is_there_after_a_restart_and_what_failed_is_nowhere() {
    let world = World::new().await;
    let id = world.profile().await;
    world.attach(&id, &["A"]).await.unwrap();
    world.store.fail_with(Some(StoreError::Full));
    let failed = [
        world.create(Maker::Person).await.map(drop),
        world.attach(&id, &["B"]).await.map(drop),
        world.detach(&id, &["A"]).await.map(drop),
        world.update(&id, described("lost")).await.map(drop),
        world.issue(&id, KeyIssue::Lock).await.map(drop),
        world.ask(Revoke(id.clone())).await.map(drop),
        world.ask(DetachEverywhere("A".parse().unwrap())).await,
        world.ask(Delete(id.clone())).await,
    ];
    for result in failed {
        assert!(matches!(result, Err(ConfigError::Unavailable(Unavailable::Store(StoreError::Full)))), "{result:?}");
    }
    world.store.fail_with(None);
    let record = world.find(&id).await;
    assert!(record.credentials == names(&["A"]) && !record.locked() && !record.revoked, "{record:?}");
    assert_eq!(world.restarted().await.ask(List).await, [record]);
}

#[actix::test]
async fn changes_at_once_do_not_undo_each_other() {
    let world = World::new().await;
    let id = world.profile().await;
    let (one, two, three) =
        tokio::join!(world.attach(&id, &["A"]), world.attach(&id, &["B"]), world.update(&id, described("new words")),);
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    let record = world.find(&id).await;
    assert_eq!((record.credentials.clone(), record.description.as_str()), (names(&["A", "B"]), "new words"));
    assert_eq!(world.stored(&id), record);
    let (one, two) = tokio::join!(world.issue(&id, KeyIssue::Lock), world.issue(&id, KeyIssue::Lock));
    assert!(one.is_ok() && matches!(two, Err(ConfigError::Locked)), "locked once only");
}

#[actix::test]
async fn a_lock_and_a_revocation_are_for_good() {
    let world = World::new().await;
    let id = world.profile().await;
    assert!(matches!(world.issue(&id, KeyIssue::Regenerate).await, Err(ConfigError::NotLocked)));
    world.attach(&id, &["A"]).await.unwrap();
    world.issue(&id, KeyIssue::Lock).await.unwrap();
    assert!(matches!(world.attach(&id, &["B"]).await, Err(ConfigError::Locked)));
    assert!(matches!(world.detach(&id, &["A"]).await, Err(ConfigError::Locked)));
    assert!(matches!(world.ask(Delete(id.clone())).await, Err(ConfigError::Locked)));
    world.update(&id, described("operational")).await.unwrap();
    assert!(world.find(&id).await.locked());

    world.ask(Revoke(id.clone())).await.unwrap();
    for issue in [KeyIssue::Lock, KeyIssue::Regenerate] {
        assert!(matches!(world.issue(&id, issue).await, Err(ConfigError::Revoked)));
    }
    assert!(matches!(world.attach(&id, &["B"]).await, Err(ConfigError::Revoked)));
    world.update(&id, described("still revoked")).await.unwrap();
    assert!(world.restarted().await.find(&id).await.revoked);
    world.ask(Delete(id.clone())).await.unwrap();
    assert_eq!(world.authorize(&id).await.err(), Some(Refusal::Unknown));
}

#[actix::test]
async fn a_key_shows_nowhere_and_verifies_its_agents_scripts_alone() {
    let world = World::new().await;
    let (id, secret) = world.locked().await;
    let script: Arc<str> = "print(1)".into();
    let long: Arc<str> = "#".repeat(100_000).into();
    for world in [&world, &world.restarted().await] {
        let authority = world.authorize(&id).await.unwrap();
        for script in [&script, &long] {
            assert!(authority.verify(script, &sign(&secret, script)).await);
            assert!(!authority.verify(script, &sign(&secret, "print(2)")).await);
        }
    }
    let stored = world.stored(&id);
    let sealed = stored.key.clone().expect("a key").ciphertext;
    assert!(!sealed.windows(8).any(|window| secret.expose().as_bytes().starts_with(window)));
    assert!(!format!("{stored:?} {secret:?}").contains(secret.expose()));

    let (_, renewed) = world.issue(&id, KeyIssue::Regenerate).await.unwrap();
    let authority = world.authorize(&id).await.unwrap();
    assert!(authority.verify(&script, &sign(&renewed, &script)).await);
    assert!(!authority.verify(&script, &sign(&secret, &script)).await, "the old key was cached");
}

#[actix::test]
async fn an_ended_profile_authorizes_nothing_from_that_moment_on() {
    let world = World::new().await;
    let (id, _) = world.locked().await;
    world.update(&id, expiring(10)).await.unwrap();
    later(9).await;
    assert!(world.authorize(&id).await.is_ok());
    later(1).await;
    assert_eq!(world.authorize(&id).await.err(), Some(Refusal::Expired));
    world.update(&id, expiring(60)).await.unwrap();
    assert!(world.authorize(&id).await.is_ok(), "a person moved the date");
    world.ask(Revoke(id.clone())).await.unwrap();
    assert_eq!(world.authorize(&id).await.err(), Some(Refusal::Revoked));
    let unlocked = world.profile().await;
    assert_eq!(world.authorize(&unlocked).await.err(), Some(Refusal::Unlocked));
}

#[actix::test]
async fn a_suspended_profile_authorizes_nothing_until_a_person_lifts_it_also_after_a_restart() {
    let world = World::new().await;
    let (id, _) = world.locked().await;
    assert!(!world.ask(Leaked(id.clone())).await.unwrap().1, "a leak is only recorded, unless a person wants more");
    assert!(world.authorize(&id).await.is_ok());
    let suspends = ProfileChange { suspend_on_leak: Some(true), ..ProfileChange::default() };
    world.update(&id, suspends).await.unwrap();
    assert!(world.authorize(&id).await.is_ok(), "what was before does not count");
    assert!(world.ask(Leaked(id.clone())).await.unwrap().1);
    assert_eq!(world.authorize(&id).await.err(), Some(Refusal::Suspended));
    let restarted = world.restarted().await;
    assert_eq!(restarted.authorize(&id).await.err(), Some(Refusal::Suspended));
    let lifted = ProfileChange { suspended: Some(false), ..ProfileChange::default() };
    restarted.update(&id, lifted).await.unwrap();
    assert!(restarted.authorize(&id).await.is_ok());
}

#[actix::test]
async fn an_expiry_is_told_once_at_its_moment_however_often_the_profile_changed() {
    let world = World::new().await;
    let (id, _) = world.locked().await;
    for seconds in [5, 10, 20] {
        world.update(&id, expiring(seconds)).await.unwrap();
    }
    for number in 0..10 {
        world.update(&id, described(&format!("change {number}"))).await.unwrap();
    }
    let ended = || world.ended.lock().unwrap().clone();
    later(19).await;
    assert_eq!(ended(), [], "told by a timer of an earlier date");
    later(2).await;
    assert_eq!(ended(), std::slice::from_ref(&id));

    world.update(&id, expiring(30)).await.unwrap();
    let cleared = ProfileChange { expires_at: Some(None), ..ProfileChange::default() };
    world.update(&id, cleared).await.unwrap();
    later(30).await;
    assert_eq!(ended().len(), 1, "told of a date that was taken away");
    world.update(&id, expiring(3600)).await.unwrap();
    let restarted = world.restarted().await;
    later(3600).await;
    assert_eq!(*restarted.ended.lock().unwrap(), [id], "not told after a restart");
}

#[actix::test]
async fn what_changes_nothing_is_answered_without_a_write() {
    let world = World::new().await;
    let id = world.profile().await;
    let (attached, ()) = world.attach(&id, &["A", "B"]).await.unwrap();
    later(5).await;
    world.store.fail_with(Some(StoreError::Full));
    assert_eq!(world.attach(&id, &["B"]).await.unwrap().0, attached);
    assert_eq!(world.attach(&id, &[]).await.unwrap().0, attached);
    assert_eq!(world.detach(&id, &["C"]).await.unwrap().0, attached);
    assert_eq!(world.update(&id, described("as made")).await.unwrap().0, attached);
    assert_eq!(world.update(&id, ProfileChange::default()).await.unwrap().0, attached);
    world.ask(DetachEverywhere("C".parse().unwrap())).await.unwrap();
    world.store.fail_with(None);
    let (revoked, ()) = world.ask(Revoke(id.clone())).await.unwrap();
    assert!(revoked.updated_at > attached.updated_at, "what changes something is dated");
    later(5).await;
    world.store.fail_with(Some(StoreError::Full));
    assert_eq!(world.ask(Revoke(id.clone())).await.unwrap().0, revoked);
}

#[actix::test]
async fn asking_is_no_use_and_a_use_reaches_the_disk_within_a_minute() {
    let world = World::new().await;
    let (id, _) = world.locked().await;
    world.authorize(&id).await.unwrap();
    assert_eq!(world.find(&id).await.last_used_at, None);

    let updated_at = world.find(&id).await.updated_at;
    world.store.fail_with(Some(StoreError::Full));
    world.ask(Used(id.clone())).await;
    let used = world.find(&id).await;
    assert!(used.last_used_at.is_some() && used.updated_at == updated_at, "{used:?}");
    later(61).await;
    assert_eq!(world.stored(&id).last_used_at, None, "the disk is full");
    world.store.fail_with(None);
    later(60).await;
    assert_eq!(world.stored(&id), used, "what could not be written is written later");
}

#[actix::test]
async fn agents_stop_where_the_administrator_still_has_room() {
    let world = World::new().await;
    let entropy = SeededEntropy::new(1);
    let now = FakeClock::epoch();
    let profile =
        |_| Write::PutProfile(rules::new_profile(ProfileId::generate(&entropy), String::new(), Maker::Agent, now));
    world.store.commit((1..MAX_PROFILES_FOR_AGENTS).map(profile).collect()).await.unwrap();
    let at_the_limit = world.restarted().await;
    at_the_limit.create(Maker::Agent).await.unwrap();
    let past = at_the_limit.create(Maker::Agent).await;
    assert!(matches!(past, Err(ConfigError::TooMany(MAX_PROFILES_FOR_AGENTS))), "{past:?}");
    at_the_limit.create(Maker::Person).await.unwrap();

    let left = MAX_PROFILES - world.store.profiles().unwrap().len() - 1;
    world.store.commit((0..left).map(profile).collect()).await.unwrap();
    let at_the_limit = world.restarted().await;
    at_the_limit.create(Maker::Person).await.unwrap();
    let past = at_the_limit.create(Maker::Person).await;
    assert!(matches!(past, Err(ConfigError::TooMany(MAX_PROFILES))), "{past:?}");
}
