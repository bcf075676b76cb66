//! A data folder on a disk that fills up: refusals are honest, nothing acknowledged is lost, and it goes on afterwards.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::support::{Launch, eventually, ready_profile, text};

/// A small disk of its own; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Result<Self, nix::Error> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))?;
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> std::path::PathBuf {
        let ballast = self.path().join("ballast");
        let mut file = File::create(&ballast).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![b'b'; size];
            while file.write_all(&block).is_ok() {}
        }
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn on_a_full_disk_execute_is_a_503_and_works_again_once_there_is_space() {
    let disk = match SmallDisk::mount("48m") {
        Ok(disk) => disk,
        Err(error) => return eprintln!("SKIPPED: the full disk is not tested, a tmpfs can't be mounted here: {error}"),
    };
    let data = disk.path().join("data");
    let mut server = Launch::new().data_dir(&data).start();
    let agent = ready_profile(&server, &[]).await;
    let before = agent.run("set_result('before')").await;
    let ballast = disk.fill();

    // Scripts are stored: large ones use up whatever room the store had left.
    let large = format!("set_result('accepted')\n#{}", "x".repeat(1_000_000));
    let mut accepted = Vec::new();
    let mut refused = None;
    for _ in 0..64 {
        let reply = agent.execute(&large).await;
        if reply.status == 503 {
            refused = Some(reply);
            break;
        }
        accepted.push(text(&reply.expect(202), "execution_id").to_owned());
    }
    let refused = refused.expect("64 MB of scripts were taken by a full disk");
    let detail = refused.problem(503)["detail"].as_str().unwrap().to_lowercase();
    assert!(detail.contains("disk") || detail.contains("space") || detail.contains("storage"), "{detail}");
    assert!(!refused.text().contains(data.to_str().unwrap()), "the answer tells where the data lies: {refused:?}");
    server.client().get("/health").await.expect(200);
    let ready = server.client().get("/ready").await;
    assert!(
        ready.problem(503)["problems"].to_string().contains("disk that holds the data folder is full"),
        "{ready:?}"
    );
    assert_eq!(agent.poll(text(&before, "execution_id"), 0).await, before);

    fs::remove_file(ballast).unwrap();
    eventually("accepted again", async || agent.execute("set_result('again')").await.status == 202).await;
    assert_eq!(agent.result("set_result('again')").await, "again");
    agent.execute(&format!("{large} and larger than what was refused")).await.expect(202);
    server.client().get("/ready").await.expect(200);
    for id in &accepted {
        let done = agent.finish(id).await;
        assert!(["completed", "error"].contains(&text(&done, "status")), "{done}");
    }
    server.kill9();
    server.restart();
    let agent = agent.with(server.client());
    assert_eq!(agent.poll(text(&before, "execution_id"), 0).await, before);
    assert_eq!(agent.result("set_result('well')").await, "well");
}
