//! The pool with scripted workers and paused time.

mod anything;

use actix_rt::Arbiter;
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::domain::{ExecutionId, RunLimits};
use crate::ports::{RunEvent, RunRequest, RunToken};
use crate::runtime::{Mailbox, supervise};
use crate::testing::{FakeClock, ScriptedLauncher, ScriptedRun, SeededEntropy};

type Place = oneshot::Receiver<Result<Lease, WaitEnd>>;

/// One of everything, and nothing kept warm.
const SMALL: PoolConfig = PoolConfig {
    max_running: 1,
    max_queue: 100,
    max_paused: 100,
    max_workers: 1,
    warm: 0,
    worker_idle: Duration::from_secs(600),
};

struct World {
    pool: Mailbox<WorkerPool>,
    launcher: ScriptedLauncher,
    runs: UnboundedReceiver<ScriptedRun>,
}

impl World {
    async fn new(config: PoolConfig) -> Self {
        tokio::time::pause();
        Self::in_paused_time(config).await
    }

    async fn in_paused_time(config: PoolConfig) -> Self {
        let (launcher, runs) = ScriptedLauncher::new();
        let for_pool = Arc::new(launcher.clone());
        let pool = supervise("worker pool", &Arbiter::current(), move || Ok(WorkerPool::new(config, for_pool.clone())));
        pool.up().await.unwrap();
        settle().await;
        Self { pool, launcher, runs }
    }

    async fn enter(&self, profile: &ProfileId) -> Entered {
        self.pool.call(Enter { profile: profile.clone(), even_if_full: false }).await.unwrap()
    }

    /// A lease, however long it takes.
    async fn lease(&self, profile: &ProfileId) -> Lease {
        match self.enter(profile).await {
            Entered::Granted(lease) => lease,
            Entered::Queued(place) => soon(place).await.expect("the pool is there").expect("a lease"),
            refused => panic!("{refused:?}"),
        }
    }

    /// A place in the queue.
    async fn place(&self, profile: &ProfileId) -> Place {
        match self.enter(profile).await {
            Entered::Queued(place) => place,
            other => panic!("{other:?}"),
        }
    }

    async fn condition(&self) -> Condition {
        settle().await;
        self.pool.call(Inspect).await.unwrap()
    }

    /// Runs a script under the lease, which shows the worker.
    fn run(&mut self, lease: &Lease) -> (ScriptedRun, UnboundedReceiver<RunEvent>) {
        let events = lease.link().run(request()).expect("the worker is there");
        (self.runs.try_recv().unwrap(), events)
    }

    /// Which of all workers it is.
    fn worker(&mut self, lease: &Lease) -> usize {
        self.run(lease).0.launch
    }
}

fn request() -> RunRequest {
    RunRequest {
        token: RunToken(0),
        execution_id: ExecutionId::generate(FakeClock::epoch(), &SeededEntropy::new(0)),
        script: "".into(),
        settings: Vec::new(),
        limits: RunLimits::DEFAULT,
        allowed_hosts: None,
    }
}

/// Fails a test that would wait for ever.
async fn soon<F: Future>(awaited: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), awaited).await.expect("in time")
}

/// Until nobody has anything left to do.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

fn profiles<const COUNT: usize>() -> [ProfileId; COUNT] {
    std::array::from_fn(|number| ProfileId::generate(&SeededEntropy::new(number as u64 + 1)))
}

/// Takes the lease of whoever has got one.
fn next_lease(places: &mut Vec<(char, Place)>) -> Option<(char, Lease)> {
    let (position, lease) = places
        .iter_mut()
        .enumerate()
        .find_map(|(at, (_, place))| Some((at, place.try_recv().ok()?.expect("a lease"))))?;
    Some((places.remove(position).0, lease))
}

/// WP-1
#[actix::test]
async fn a_worker_of_one_profile_is_ended_and_not_given_to_another() {
    let mut world = World::new(SMALL).await;
    let [a, b] = profiles();
    let first = world.lease(&a).await;
    assert_eq!(world.worker(&first), 1);
    drop(first);
    let again = world.lease(&a).await;
    assert_eq!(world.worker(&again), 1, "its own worker is used again");
    drop(again);
    let other = world.lease(&b).await;
    assert_eq!(world.worker(&other), 2);
    assert_eq!(world.launcher.alive(), 1);
}

/// WP-2
#[actix::test]
async fn no_more_run_than_slots_and_no_more_wait_than_the_queue_holds() {
    let world = World::new(PoolConfig { max_running: 2, max_queue: 1, warm: 1, ..SMALL }).await;
    let [a] = profiles();
    let (first, _second) = (world.lease(&a).await, world.lease(&a).await);
    let mut waiting = world.place(&a).await;
    assert!(matches!(world.enter(&a).await, Entered::Full { .. }));
    let acknowledged = world.pool.call(Enter { profile: a.clone(), even_if_full: true }).await.unwrap();
    assert!(matches!(acknowledged, Entered::Queued(_)));
    let condition = world.condition().await;
    assert_eq!((condition.running, condition.queued), (2, 2));
    assert!(waiting.try_recv().is_err());
    drop(first);
    let _third = soon(waiting).await.unwrap().unwrap();
    assert_eq!(world.condition().await.running, 2);
}

/// WP-2
#[actix::test]
async fn who_only_waits_for_the_worker_of_a_free_slot_is_not_in_the_queue() {
    let world = World::new(PoolConfig { max_queue: 0, ..SMALL }).await;
    let [a, b] = profiles();
    let first = world.place(&a).await;
    assert!(matches!(world.enter(&b).await, Entered::Full { .. }), "the one free slot is spoken for");
    let lease = soon(first).await.unwrap().unwrap();
    assert!(matches!(world.enter(&a).await, Entered::Full { .. }));
    drop(lease);
    settle().await;
    assert!(matches!(world.enter(&a).await, Entered::Granted(_)));
}

/// WP-2
#[actix::test]
async fn who_left_the_queue_makes_room_in_it() {
    let world = World::new(PoolConfig { max_queue: 1, ..SMALL }).await;
    let [a] = profiles();
    let _running = world.lease(&a).await;
    drop(world.place(&a).await);
    let _place = world.place(&a).await;
}

/// WP-3
#[actix::test]
async fn profiles_take_turns_at_slots() {
    let world = World::new(PoolConfig { max_workers: 2, ..SMALL }).await;
    let [a, b] = profiles();
    let running = world.lease(&a).await;
    let mut places = Vec::new();
    for (name, profile) in [('a', &a), ('a', &a), ('a', &a), ('b', &b)] {
        places.push((name, world.place(profile).await));
    }
    settle().await;
    drop(running);
    let mut order = String::new();
    for _ in 0..4 {
        settle().await;
        let (name, _lease) = next_lease(&mut places).expect("somebody's turn");
        order.push(name);
    }
    assert_eq!(order, "abaa");
}

/// WP-3: the finding that made workers retire.
#[actix::test]
async fn a_profile_gets_its_turn_though_the_only_worker_never_is_idle() {
    let world = World::new(PoolConfig { max_running: 2, max_queue: 300, ..SMALL }).await;
    let [a, b] = profiles();
    let mut running = vec![world.lease(&a).await, world.lease(&a).await];
    let mut places = Vec::new();
    for _ in 0..200 {
        places.push(('a', world.place(&a).await));
    }
    places.push(('b', world.place(&b).await));
    let mut order = String::new();
    while !order.contains('b') {
        // One script ends, and another is running at any time.
        running.remove(0);
        settle().await;
        while let Some((name, lease)) = next_lease(&mut places) {
            order.push(name);
            running.push(lease);
        }
    }
    assert_eq!(order, "b", "no script of the other's is started before");
}

/// WP-3
#[actix::test]
async fn more_profiles_than_workers_take_turns_at_them() {
    let world = World::new(SMALL).await;
    let [a, b, c] = profiles();
    let running = world.lease(&a).await;
    let mut places = Vec::new();
    for (name, profile) in [('a', &a), ('b', &b), ('c', &c)].into_iter().cycle().take(9) {
        places.push((name, world.place(profile).await));
    }
    drop(running);
    let mut order = String::new();
    while !places.is_empty() {
        settle().await;
        order.push(next_lease(&mut places).expect("somebody's turn").0);
    }
    assert_eq!(order.len(), 9);
    for turn in 1..=6 {
        let window = &order[turn..turn + 3];
        assert!(['a', 'b', 'c'].into_iter().all(|name| window.contains(name)), "{order}: {window}");
    }
}

#[actix::test]
async fn a_retiring_worker_goes_on_when_nobody_waits_for_its_room_any_more() {
    let mut world = World::new(PoolConfig { max_running: 2, ..SMALL }).await;
    let [a, b] = profiles();
    let _running = world.lease(&a).await;
    let newcomer = world.place(&b).await;
    let next = world.place(&a).await;
    settle().await;
    drop(newcomer);
    let lease = soon(next).await.unwrap().unwrap();
    assert_eq!(world.worker(&lease), 1);
}

#[actix::test]
async fn a_newcomer_ends_one_idle_worker_and_no_more() {
    let mut world = World::new(PoolConfig { max_running: 4, max_workers: 4, ..SMALL }).await;
    let [a, b, c, d, newcomer] = profiles();
    for profile in [&a, &b, &c, &d] {
        drop(world.lease(profile).await);
        settle().await;
    }
    let place = world.place(&newcomer).await;
    // Each of these looks at the workers again before the one that was ended is gone.
    let others = (world.enter(&b).await, world.enter(&c).await, world.enter(&d).await);
    let lease = soon(place).await.unwrap().unwrap();
    drop(others);
    assert_eq!(world.worker(&lease), 5);
    assert_eq!(world.condition().await.workers_ready, 4);
    for (profile, number) in [(&b, 2), (&c, 3), (&d, 4)] {
        let lease = world.lease(profile).await;
        assert_eq!(world.worker(&lease), number, "another idle worker was ended");
    }
}

/// WP-4
#[actix::test]
async fn a_lease_that_nobody_took_gives_its_slot_back() {
    let world = World::new(SMALL).await;
    let [a] = profiles();
    let running = world.lease(&a).await;
    let place = world.place(&a).await;
    drop(running);
    settle().await;
    assert_eq!(world.condition().await.running, 1, "the lease is on its way");
    drop(place);
    assert_eq!(world.condition().await.running, 0);
}

/// WP-5
#[actix::test]
async fn a_worker_that_is_gone_is_replaced_and_its_leases_do_not_count_for_the_next() {
    let mut world = World::new(PoolConfig { max_running: 2, ..SMALL }).await;
    let [a] = profiles();
    let of_the_lost = world.lease(&a).await;
    world.run(&of_the_lost).0.lose_worker();
    assert_eq!(world.condition().await.workers_ready, 0);
    let lease = world.lease(&a).await;
    let (run, _events) = world.run(&lease);
    assert_eq!((run.slot, run.launch), (0, 2));
    drop(of_the_lost);
    tokio::time::sleep(SMALL.worker_idle * 2).await;
    assert_eq!(world.launcher.alive(), 1, "a busy worker was ended as idle");
    assert_eq!(world.condition().await.running, 1);
}

#[actix::test]
async fn abandoning_destroys_the_worker_with_all_that_runs_on_it() {
    let mut world = World::new(PoolConfig { max_running: 2, ..SMALL }).await;
    world.launcher.ignore_kill();
    let [a] = profiles();
    let (stuck, sibling) = (world.lease(&a).await, world.lease(&a).await);
    let (_run, mut events) = world.run(&sibling);
    stuck.abandon();
    assert!(soon(events.recv()).await.is_none(), "the sibling's worker is lost");
    assert_eq!(world.condition().await.running, 1);
    let next = world.lease(&a).await;
    assert_eq!(world.worker(&next), 2);
}

#[actix::test]
async fn idle_workers_end_but_for_the_warm_ones() {
    let world = World::new(PoolConfig { max_workers: 3, warm: 1, ..SMALL }).await;
    let [a] = profiles();
    drop(world.lease(&a).await);
    assert_eq!(world.condition().await.workers_ready, 2);
    tokio::time::sleep(SMALL.worker_idle + HOUSEKEEPING * 2).await;
    let condition = world.condition().await;
    assert_eq!((condition.workers_ready, world.launcher.launched()), (1, 2));
}

#[actix::test]
async fn failed_starts_are_told_to_those_without_a_worker_and_to_nobody_else() {
    let mut world = World::new(PoolConfig { max_workers: 2, ..SMALL }).await;
    let [a, b] = profiles();
    let running = world.lease(&a).await;
    world.launcher.fail_with(Some("no python here"));
    let of_a = world.place(&a).await;
    let of_b = world.place(&b).await;
    assert_eq!(soon(of_b).await.unwrap().err(), Some(WaitEnd::NoWorker("no python here".to_owned())));
    let condition = world.condition().await;
    assert_eq!((condition.queued, condition.last_failure.as_deref()), (1, Some("no python here")));
    assert_eq!(condition.problem(), None, "a worker is up");
    drop(running);
    let lease = soon(of_a).await.unwrap().unwrap();
    assert_eq!(world.worker(&lease), 1);
}

#[actix::test]
async fn without_a_worker_the_last_start_says_whether_there_is_a_problem() {
    let world = World::new(SMALL).await;
    assert_eq!(world.condition().await.problem(), None, "they are started when they are needed");
    world.launcher.fail_with(Some("no python here"));
    let [a] = profiles();
    let place = world.place(&a).await;
    let problem = world.condition().await.problem();
    assert_eq!(problem.as_deref(), Some("no worker can be started: no python here"));
    world.launcher.fail_with(None);
    soon(place).await.unwrap().unwrap();
    assert_eq!(world.condition().await.problem(), None);
    let warm = Condition { warm: 1, workers_ready: 0, ..world.condition().await };
    assert_eq!(warm.problem().as_deref(), Some("no worker is ready yet"));
}

#[actix::test]
async fn draining_tells_who_waits_and_who_comes_and_ends_workers_with_their_last_script() {
    let world = World::new(PoolConfig { warm: 1, max_workers: 2, ..SMALL }).await;
    let [a] = profiles();
    let running = world.lease(&a).await;
    let waiting = world.place(&a).await;
    world.pool.call(Drain).await.unwrap();
    assert_eq!(soon(waiting).await.expect("a word").err(), Some(WaitEnd::Draining));
    assert!(matches!(world.enter(&a).await, Entered::Draining));
    let acknowledged = world.pool.call(Enter { profile: a, even_if_full: true }).await.unwrap();
    assert!(matches!(acknowledged, Entered::Draining));
    settle().await;
    assert_eq!(world.launcher.alive(), 1, "what runs is left to finish");
    drop(running);
    settle().await;
    assert_eq!(world.launcher.alive(), 0);
}
