//! The Vault on a memory store: what it promises (VA-1 to VA-5).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use zeroize::Zeroizing;

use super::*;
use crate::domain::Secret;
use crate::runtime::{Mailbox, supervise};
use crate::testing::{FakeClock, MemoryStore, SeededEntropy};

struct World {
    vault: Mailbox<Vault>,
    store: Arc<MemoryStore>,
}

impl World {
    async fn new() -> Self {
        tokio::time::pause();
        Self::on(Arc::new(MemoryStore::default())).await
    }

    /// What a restart finds on `store`.
    async fn on(store: Arc<MemoryStore>) -> Self {
        let keyring = Keyring::new(Zeroizing::new([7; 32]), Arc::new(SeededEntropy::new(7)));
        let clock: Arc<dyn Clock> = Arc::new(FakeClock::new());
        let own_store = store.clone();
        let load = move || Vault::load(keyring.clone(), own_store.clone(), clock.clone());
        let vault = supervise("vault", &Arbiter::current(), load);
        vault.up().await.unwrap();
        Self { vault, store }
    }

    async fn create(&self, text: &str, value: Option<&str>) -> Result<CredentialView, ConfigError> {
        self.vault.call(Create(new(text, value))).await.unwrap()
    }

    async fn slots(&self, names: &[&str]) -> Result<SlotsCreated, ConfigError> {
        self.vault.call(CreateSlots(names.iter().map(|text| new(text, None)).collect())).await.unwrap()
    }

    async fn change(&self, text: &str, change: CredentialChange) -> Result<CredentialView, ConfigError> {
        self.vault.call(Change { name: name(text), change }).await.unwrap()
    }

    async fn resolve(&self, text: &str) -> Result<Setting, ConfigError> {
        let names = Arc::new(BTreeSet::from([name(text)]));
        Ok(self.vault.call(Resolve(names)).await.unwrap()?.remove(0))
    }

    async fn list(&self) -> Vec<CredentialView> {
        self.vault.call(List).await.unwrap()
    }

    fn stored(&self, text: &str) -> CredentialRecord {
        let stored = self.store.credentials().unwrap();
        stored.into_iter().find(|record| record.name == name(text)).expect("it is stored")
    }
}

fn name(text: &str) -> CredentialName {
    text.parse().unwrap()
}

fn new(text: &str, value: Option<&str>) -> NewCredential {
    let value = value.map(|value| Secret::new(value.to_owned()));
    NewCredential { name: name(text), description: "as made".to_owned(), value, secret: true }
}

fn new_value(text: &str) -> CredentialChange {
    CredentialChange { value: Some(Secret::new(text.to_owned())), ..CredentialChange::default() }
}

#[actix::test]
async fn what_was_answered_is_there_after_a_restart_and_what_failed_is_nowhere() {
    let world = World::new().await;
    world.create("KEPT", Some("first")).await.unwrap();
    world.store.fail_with(Some(StoreError::Full));
    let failed = [
        world.create("LOST", None).await.map(drop),
        world.slots(&["LOST"]).await.map(drop),
        world.change("KEPT", new_value("second")).await.map(drop),
        world.vault.call(Delete(name("KEPT"))).await.unwrap(),
    ];
    for result in failed {
        assert!(matches!(result, Err(ConfigError::Unavailable(Unavailable::Store(StoreError::Full)))), "{result:?}");
    }
    assert_eq!(world.resolve("KEPT").await.unwrap().value.expose(), "first");
    world.store.fail_with(None);

    let restarted = World::on(world.store.clone()).await;
    assert_eq!(restarted.list().await, world.list().await);
    assert_eq!(restarted.list().await.len(), 1);
    assert_eq!(restarted.resolve("KEPT").await.unwrap().value.expose(), "first");
}

#[actix::test]
async fn of_two_that_make_the_same_credential_at_once_one_is_told_that_it_exists() {
    let world = World::new().await;
    let made = tokio::join!(world.create("A", Some("one")), world.create("A", Some("two")), world.slots(&["A"]));
    assert!(made.0.is_ok());
    assert!(matches!(made.1, Err(ConfigError::CredentialExists(_))), "{:?}", made.1);
    assert_eq!(made.2.unwrap().skipped, [name("A")]);
    assert_eq!(world.resolve("A").await.unwrap().value.expose(), "one");
}

#[actix::test]
async fn changes_of_different_fields_at_once_both_last() {
    let world = World::new().await;
    world.create("A", Some("one")).await.unwrap();
    let described = CredentialChange { description: Some("new words".to_owned()), ..CredentialChange::default() };
    let (first, second) = tokio::join!(world.change("A", described), world.change("A", new_value("two")));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(world.stored("A").description, "new words");
    assert_eq!(world.resolve("A").await.unwrap().value.expose(), "two");
}

#[actix::test]
async fn no_value_is_in_what_is_shown_or_stored() {
    let world = World::new().await;
    let made = world.create("A", Some("hunter2-hunter2")).await.unwrap();
    let setting = world.resolve("A").await.unwrap();
    let seen = format!("{made:?} {:?} {setting:?} {:?}", world.list().await, new_value("hunter2-hunter2"));
    assert!(made.has_value && !seen.contains("hunter2"), "{seen}");
    let sealed = world.stored("A").value.expect("a value").ciphertext;
    assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
}

#[actix::test]
async fn a_slot_leaves_what_exists_as_it_is() {
    let world = World::new().await;
    world.create("A", Some("one")).await.unwrap();
    let before = world.stored("A");
    let slots = vec![
        NewCredential { description: "an agent's words".to_owned(), secret: false, ..new("A", None) },
        new("B", None),
        new("B", None),
    ];
    let made = world.vault.call(CreateSlots(slots)).await.unwrap().unwrap();
    assert_eq!(made.created.iter().map(|view| view.name.clone()).collect::<Vec<_>>(), [name("B")]);
    assert_eq!(made.skipped, [name("A"), name("B")]);
    assert_eq!(world.stored("A"), before);
}

#[actix::test]
async fn a_value_put_back_into_a_credential_that_was_made_again_does_not_open() {
    let world = World::new().await;
    world.create("A", Some("old")).await.unwrap();
    let old = world.stored("A");
    world.vault.call(Delete(name("A"))).await.unwrap().unwrap();
    world.create("A", Some("new")).await.unwrap();
    assert_ne!(world.stored("A").version, old.version);

    let forged = CredentialRecord { value: old.value, ..world.stored("A") };
    world.store.commit(vec![Write::PutCredential(forged)]).await.unwrap();
    let restarted = World::on(world.store.clone()).await;
    let opened = restarted.resolve("A").await;
    assert!(matches!(opened, Err(ConfigError::Unavailable(Unavailable::Sealed))), "{opened:?}");
}

#[actix::test]
async fn no_two_values_of_a_name_have_the_same_version() {
    let world = World::new().await;
    let mut versions = BTreeSet::new();
    for _ in 0..50 {
        world.create("A", Some("same")).await.unwrap();
        assert!(versions.insert(world.resolve("A").await.unwrap().version));
        world.change("A", new_value("same")).await.unwrap();
        assert!(versions.insert(world.resolve("A").await.unwrap().version));
        world.vault.call(Delete(name("A"))).await.unwrap().unwrap();
    }
}

#[actix::test]
async fn a_change_that_changes_nothing_is_answered_without_a_write() {
    let world = World::new().await;
    let made = world.create("A", Some("one")).await.unwrap();
    world.store.fail_with(Some(StoreError::Full));
    tokio::time::advance(Duration::from_secs(5)).await;
    let same = CredentialChange { description: Some(made.description.clone()), value: None, secret: Some(made.secret) };
    assert_eq!(world.change("A", same).await.unwrap(), made);
    assert_eq!(world.change("A", CredentialChange::default()).await.unwrap(), made);
}

#[actix::test]
async fn agents_stop_where_the_administrator_still_has_room() {
    let world = World::new().await;
    let names: Vec<String> = (1..MAX_CREDENTIALS_FOR_AGENTS).map(|number| format!("SLOT_{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.slots(&names).await.unwrap();
    let two_more = world.slots(&["LAST", "PAST"]).await;
    assert!(matches!(two_more, Err(ConfigError::TooMany(MAX_CREDENTIALS_FOR_AGENTS))), "{two_more:?}");
    world.slots(&["LAST"]).await.unwrap();
    assert!(matches!(world.slots(&["PAST"]).await, Err(ConfigError::TooMany(MAX_CREDENTIALS_FOR_AGENTS))));
    assert_eq!(world.slots(&["LAST"]).await.unwrap().skipped, [name("LAST")], "what exists needs no room");
    for number in MAX_CREDENTIALS_FOR_AGENTS..MAX_CREDENTIALS {
        world.create(&format!("PERSON_{number}"), None).await.unwrap();
    }
    let past = world.create("PAST", None).await;
    assert!(matches!(past, Err(ConfigError::TooMany(MAX_CREDENTIALS))), "{past:?}");
}
