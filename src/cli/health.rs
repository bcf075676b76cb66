//! `airlock health`: whether a server answers. For container health checks: no other program is needed in the image.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;

use crate::config::listen_address;

/// A health check that waits longer is over anyway.
const PATIENCE: Duration = Duration::from_secs(4);

/// Which server to ask.
#[derive(Debug, clap::Args)]
pub(super) struct HealthArgs {
    /// Address that the server listens on; one that means every address is asked over loopback
    #[arg(long, env = "AIRLOCK_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:9090", value_parser = listen_address)]
    listen: SocketAddr,
}

pub(super) fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let url = format!("http://{}/health", reachable(args.listen));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // A proxy of the environment is not on the way to loopback.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let answer = client.get(&url).send().await.with_context(|| format!("no server answers at {url}"))?;
        anyhow::ensure!(answer.status().is_success(), "{url} answers {}", answer.status());
        Ok(())
    })
}

/// Where a server that listens on `address` can be asked.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_over_loopback_and_one_address_there() {
        for (listens, asked) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:1", "[::1]:1"), ("192.0.2.1:80", "192.0.2.1:80")]
        {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
