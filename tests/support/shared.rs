//! One server that the tests of a binary share where they do not get in each other's way: each makes its own profiles,
//! under names of its own.

use tokio::sync::OnceCell;

use super::{Agent, Launch, Server, ready_profile};

static SERVER: OnceCell<Server> = OnceCell::const_new();
static AGENT: OnceCell<Agent> = OnceCell::const_new();

/// The shared server; its warden ends it with the test process.
pub(crate) async fn shared() -> &'static Server {
    // Tests leave dozens of profiles behind: their workers go soon, so that the machine's memory lasts.
    let server = SERVER.get_or_init(async || Launch::new().arg("--worker-idle", "5").start()).await;
    server.admin().await;
    server
}

/// An agent of the shared server that is good for any script; its settings are `CITY` and `PLANET`.
pub(crate) async fn shared_agent() -> Agent {
    let server = shared().await;
    let settings = [("CITY", "Santiago-de-Compostela"), ("PLANET", "planet-of-the-tests")];
    let agent = AGENT.get_or_init(async || ready_profile(server, &settings).await).await;
    agent.with(server.client())
}
