//! The administrator: one password, any number of sessions.
//!
//! May use: `crypto`, the Store port. No actor: its state is a small map behind a lock, and the slow part, argon2, runs on
//! blocking threads.
//!
//! Invariants
//! - SE-1: the password can be set without one only once; a race has one winner.
//! - SE-2: a token is on disk and in memory only as its SHA-256.
//! - SE-3: guessing is slowed per address and over all addresses, and an attempt counts before it is checked.
//! - SE-4: a session ends when it was idle too long, when it is too old, at logout, and when the password changes. What
//!   ended does not come back: not by a login that was under way with the old password, not by a restart.
//!
//! Whatever writes does so under one lock (`writing`), and looks again under it whether what it goes by still holds: the
//! order on disk is the order in memory. Nobody holds that lock while argon2 works, save at the first visit.

#[cfg(test)]
mod tests;
mod throttle;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::core::{SessionError, Unavailable};
use crate::crypto::{PasswordHasher, sha256};
use crate::domain::{Secret, ids};
use crate::ports::{Clock, Entropy, SessionRecord, Store, StoreError, Write};
use throttle::Throttle;

/// Shortest and longest password, in characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=1024;

const TOKEN_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// About 285 bits.
const TOKEN_CHARS: usize = 48;
/// How far `last_seen_at` on disk may be behind.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// Most sessions at once; the oldest ends when another is opened.
const MAX_SESSIONS: usize = 1000;

/// How long sessions live.
#[derive(Debug, Clone, Copy)]
pub struct SessionLife {
    /// Without a request.
    pub idle: Duration,
    /// Altogether.
    pub absolute: Duration,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    hasher: PasswordHasher,
    life: SessionLife,
    state: Mutex<State>,
    /// Held from the last look at the state to the end of the write that follows from it (SE-1, SE-4).
    writing: tokio::sync::Mutex<()>,
}

struct State {
    password: Option<String>,
    sessions: HashMap<[u8; 32], SessionRecord>,
    throttle: Throttle,
}

impl Sessions {
    /// Reads password and sessions from the store.
    pub fn load(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        hasher: PasswordHasher,
        life: SessionLife,
    ) -> Result<Self, StoreError> {
        let sessions = store.sessions()?.into_iter().map(|session| (session.token_hash, session)).collect();
        let state = State { password: store.admin_password()?, sessions, throttle: Throttle::default() };
        let state = Mutex::new(state);
        let writing = tokio::sync::Mutex::new(());
        Ok(Self { inner: Arc::new(Inner { store, clock, entropy, hasher, life, state, writing }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True until somebody set the password.
    pub fn setup_required(&self) -> bool {
        self.state().password.is_none()
    }

    /// The first visit: sets the password and opens a session (SE-1).
    pub async fn setup(&self, password: Secret) -> Result<Secret, SessionError> {
        acceptable(&password)?;
        let _writing = self.inner.writing.lock().await;
        if !self.setup_required() {
            return Err(SessionError::SetUpAlready);
        }
        let hash = self.hash(password).await?;
        let (token, session) = self.new_session();
        self.commit(vec![Write::PutAdminPassword(hash.clone()), Write::PutSession(session.clone())]).await?;
        let mut state = self.state();
        state.password = Some(hash);
        state.sessions.insert(session.token_hash, session);
        Ok(token)
    }

    /// Opens a session for whoever knows the password.
    pub async fn login(&self, password: Secret, peer: IpAddr) -> Result<Secret, SessionError> {
        let proven = self.check_password(password, peer).await?;
        let _writing = self.inner.writing.lock().await;
        self.still_the_password(&proven)?;
        let (token, session) = self.new_session();
        let mut batch = vec![Write::PutSession(session.clone())];
        let mut ended: Vec<[u8; 32]> = self.stale();
        ended.extend(self.oldest_if_full());
        batch.extend(ended.iter().copied().map(Write::DeleteSession));
        self.commit(batch).await?;
        let mut state = self.state();
        state.sessions.retain(|hash, _| !ended.contains(hash));
        state.sessions.insert(session.token_hash, session);
        Ok(token)
    }

    /// Proves a session, and counts as a use of it.
    pub async fn authenticate(&self, token: &Secret) -> Result<(), SessionError> {
        let hash = sha256(token.expose().as_bytes());
        let now = self.inner.clock.now();
        let touched = {
            let mut state = self.state();
            let session = state.sessions.get_mut(&hash).ok_or(SessionError::NoSession)?;
            if self.is_over(session, now) {
                state.sessions.remove(&hash);
                return Err(SessionError::NoSession);
            }
            let behind = elapsed(session.last_seen_at, now) >= TOUCH_EVERY;
            behind.then(|| {
                session.last_seen_at = now;
                session.clone()
            })
        };
        match touched {
            Some(session) => self.write_use(session).await,
            None => Ok(()),
        }
    }

    /// Writes down that a session was used, unless it ended meanwhile: the write would bring it back at the next start.
    async fn write_use(&self, session: SessionRecord) -> Result<(), SessionError> {
        let _writing = self.inner.writing.lock().await;
        if !self.state().sessions.contains_key(&session.token_hash) {
            return Err(SessionError::NoSession);
        }
        self.commit(vec![Write::PutSession(session)]).await
    }

    /// Those that are open, the last used first.
    pub fn list(&self) -> Vec<SessionRecord> {
        let now = self.inner.clock.now();
        let state = self.state();
        let open = state.sessions.values().filter(|session| !self.is_over(session, now));
        let mut open: Vec<SessionRecord> = open.cloned().collect();
        open.sort_by_key(|session| std::cmp::Reverse((session.last_seen_at, session.token_hash)));
        open
    }

    /// Which of them this token is.
    pub fn own(&self, token: &Secret) -> [u8; 32] {
        sha256(token.expose().as_bytes())
    }

    /// Ends the session whose token's hash begins so; false when there is none.
    pub async fn end(&self, hash_begins: &[u8]) -> Result<bool, SessionError> {
        let _writing = self.inner.writing.lock().await;
        let hash = self.state().sessions.keys().copied().find(|hash| hash.starts_with(hash_begins));
        let Some(hash) = hash else { return Ok(false) };
        self.commit(vec![Write::DeleteSession(hash)]).await?;
        self.state().sessions.remove(&hash);
        Ok(true)
    }

    /// Ends the session.
    pub async fn logout(&self, token: &Secret) -> Result<(), SessionError> {
        let hash = sha256(token.expose().as_bytes());
        let _writing = self.inner.writing.lock().await;
        self.commit(vec![Write::DeleteSession(hash)]).await?;
        self.state().sessions.remove(&hash);
        Ok(())
    }

    /// Replaces the password and ends every session but this one (SE-4).
    pub async fn change_password(
        &self,
        token: &Secret,
        current: Secret,
        new: Secret,
        peer: IpAddr,
    ) -> Result<(), SessionError> {
        acceptable(&new)?;
        let proven = self.check_password(current, peer).await?;
        let hash = self.hash(new).await?;
        let own = sha256(token.expose().as_bytes());
        let _writing = self.inner.writing.lock().await;
        self.still_the_password(&proven)?;
        let (own, others): (Vec<_>, Vec<_>) = self.state().sessions.keys().copied().partition(|hash| *hash == own);
        if own.is_empty() {
            return Err(SessionError::NoSession);
        }
        let mut batch = vec![Write::PutAdminPassword(hash.clone())];
        batch.extend(others.into_iter().map(Write::DeleteSession));
        self.commit(batch).await?;
        let mut state = self.state();
        state.password = Some(hash);
        state.sessions.retain(|hash, _| own.contains(hash));
        Ok(())
    }

    /// SE-3. Gives the hash that the password was proven against, for [`Self::still_the_password`].
    async fn check_password(&self, password: Secret, peer: IpAddr) -> Result<String, SessionError> {
        let phc = {
            let mut state = self.state();
            let phc = state.password.clone().ok_or(SessionError::SetUpRequired)?;
            let now = self.inner.clock.now();
            state.throttle.attempt(peer, now).map_err(|retry_after| SessionError::SlowDown { retry_after })?;
            phc
        };
        if !self.inner.hasher.verify(password, phc.clone()).await {
            return Err(SessionError::WrongPassword);
        }
        self.state().throttle.succeeded(peer);
        Ok(phc)
    }

    /// A password that was right a moment ago is wrong once another is set. Asked while holding `writing`.
    fn still_the_password(&self, proven: &str) -> Result<(), SessionError> {
        let same = self.state().password.as_deref() == Some(proven);
        if same { Ok(()) } else { Err(SessionError::WrongPassword) }
    }

    async fn hash(&self, password: Secret) -> Result<String, SessionError> {
        self.inner.hasher.hash(password).await.ok_or(SessionError::Unavailable(Unavailable::Actor("password hashing")))
    }

    fn new_session(&self) -> (Secret, SessionRecord) {
        let token = Secret::new(ids::random_text(&*self.inner.entropy, TOKEN_ALPHABET, TOKEN_CHARS));
        let now = self.inner.clock.now();
        let token_hash = sha256(token.expose().as_bytes());
        (token, SessionRecord { token_hash, created_at: now, last_seen_at: now })
    }

    fn is_over(&self, session: &SessionRecord, now: Timestamp) -> bool {
        let SessionLife { idle, absolute } = self.inner.life;
        // `last_seen_at` may be behind by `TOUCH_EVERY`: the benefit of it is the person's.
        elapsed(session.last_seen_at, now) >= idle + TOUCH_EVERY || elapsed(session.created_at, now) >= absolute
    }

    fn stale(&self) -> Vec<[u8; 32]> {
        let now = self.inner.clock.now();
        let state = self.state();
        state.sessions.values().filter(|session| self.is_over(session, now)).map(|session| session.token_hash).collect()
    }

    fn oldest_if_full(&self) -> Option<[u8; 32]> {
        let state = self.state();
        let full = state.sessions.len() >= MAX_SESSIONS;
        let oldest = state.sessions.values().min_by_key(|session| session.last_seen_at)?;
        full.then_some(oldest.token_hash)
    }

    async fn commit(&self, batch: Vec<Write>) -> Result<(), SessionError> {
        self.inner.store.commit(batch).await.map_err(|error| SessionError::Unavailable(Unavailable::Store(error)))
    }
}

fn acceptable(password: &Secret) -> Result<(), SessionError> {
    if PASSWORD_CHARS.contains(&password.expose().chars().count()) { Ok(()) } else { Err(SessionError::PasswordLength) }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
