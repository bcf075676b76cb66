//! What holds whatever happens in whatever order.

use std::collections::HashMap;

use super::*;

/// WP-1, WP-2 and WP-4, whatever happens in whatever order.
#[actix::test]
async fn after_anything_no_slot_is_lost_and_no_worker_shared() {
    tokio::time::pause();
    for seed in 1..=10 {
        let config = PoolConfig { max_running: 3, max_queue: 4, max_workers: 2, warm: (seed % 2) as usize, ..SMALL };
        let mut world = World::in_paused_time(config).await;
        let profiles: [ProfileId; 4] = profiles();
        let entropy = SeededEntropy::new(seed);
        let mut owners: HashMap<usize, ProfileId> = HashMap::new();
        let mut leases: Vec<(ProfileId, Lease)> = Vec::new();
        let mut places: Vec<(ProfileId, Place)> = Vec::new();
        for _ in 0..300 {
            let mut bytes = [0; 2];
            crate::ports::Entropy::fill(&entropy, &mut bytes);
            let [what, which] = bytes.map(usize::from);
            match what % 16 {
                0..=6 => {
                    let profile = profiles[which % profiles.len()].clone();
                    match world.enter(&profile).await {
                        Entered::Granted(lease) => leases.push((profile, lease)),
                        Entered::Queued(place) => places.push((profile, place)),
                        Entered::Full { .. } | Entered::Draining => {}
                    }
                }
                7..=10 if !leases.is_empty() => drop(leases.swap_remove(which % leases.len())),
                11 if !leases.is_empty() => leases.swap_remove(which % leases.len()).1.abandon(),
                12 if !places.is_empty() => drop(places.swap_remove(which % places.len())),
                13 if which % 4 == 0 => world.launcher.fail_with(Some("not now")),
                13 => world.launcher.fail_with(None),
                14 => settle().await,
                _ => tokio::time::sleep(Duration::from_secs(which as u64)).await,
            }
            let mut waiting = Vec::new();
            for (profile, mut place) in places {
                match place.try_recv() {
                    Ok(Ok(lease)) => leases.push((profile, lease)),
                    Err(oneshot::error::TryRecvError::Empty) => waiting.push((profile, place)),
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            places = waiting;
            for (profile, lease) in &leases {
                // A worker that is gone, or was destroyed for a sibling's sake, shows nothing.
                let Ok(_events) = lease.link().run(request()) else { continue };
                let run = world.runs.try_recv().unwrap();
                let owner = owners.entry(run.launch).or_insert_with(|| profile.clone());
                assert_eq!(owner, profile, "seed {seed}: a worker ran scripts of two profiles");
                if what % 16 == 15 && which % 3 == 0 {
                    run.lose_worker();
                }
            }
            let condition = world.pool.call(Inspect).await.unwrap();
            assert!(leases.len() <= 3 && condition.running <= 3, "seed {seed}: more leases than slots");
            assert!(condition.running + condition.queued <= 7, "seed {seed}: {condition:?}");
            assert!(world.launcher.alive() <= 2, "seed {seed}: more workers than allowed");
        }
        if seed % 3 == 0 {
            world.pool.call(Drain).await.unwrap();
        }
        leases.clear();
        places.clear();
        // What was on its way when the places closed comes back too.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let condition = world.condition().await;
        assert_eq!(condition.running, 0, "seed {seed}");
    }
}
