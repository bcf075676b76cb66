//! One measurement each: what is timed is the request, from the first byte sent to the last one read.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::agent::{Admin, completed};
use crate::wire::Wire;

/// Runs the request `count` times, one after the other; returns how long each took and the last execution's id.
pub(crate) async fn one_agent(address: &str, request: &[u8], count: u32) -> Result<(Vec<Duration>, String)> {
    let mut wire = Wire::connect(address).await?;
    let mut took = Vec::with_capacity(count as usize);
    let mut last = String::new();
    for _ in 0..count {
        let start = Instant::now();
        let (status, body) = wire.call(request).await?;
        took.push(start.elapsed());
        last = completed(status, body)?;
    }
    Ok((took, last))
}

/// What many agents at once got.
pub(crate) struct Sustained {
    /// How long each good request took.
    pub(crate) took: Vec<Duration>,
    /// Requests that did not end `completed`.
    pub(crate) errors: u64,
    /// The first such error, in words.
    pub(crate) first_error: Option<String>,
    /// Good requests a second.
    pub(crate) rate: f64,
}

/// Each request on a connection of its own, `count` times, all at once.
pub(crate) async fn many_agents(address: &str, requests: &[Vec<u8>], count: u32) -> Result<Sustained> {
    let start = Instant::now();
    let agents: Vec<_> =
        requests.iter().cloned().map(|request| tokio::spawn(steady(address.to_owned(), request, count))).collect();
    let mut sum = Sustained { took: Vec::new(), errors: 0, first_error: None, rate: 0.0 };
    for agent in agents {
        let (took, errors, first_error) = agent.await??;
        sum.took.extend(took);
        sum.errors += errors;
        sum.first_error = sum.first_error.or(first_error);
    }
    sum.rate = sum.took.len() as f64 / start.elapsed().as_secs_f64();
    Ok(sum)
}

async fn steady(address: String, request: Vec<u8>, count: u32) -> Result<(Vec<Duration>, u64, Option<String>)> {
    let mut wire = Wire::connect(&address).await?;
    let (mut took, mut errors, mut first_error) = (Vec::with_capacity(count as usize), 0, None);
    for _ in 0..count {
        let start = Instant::now();
        let (status, body) = wire.call(&request).await?;
        let elapsed = start.elapsed();
        match completed(status, body) {
            Ok(_) => took.push(elapsed),
            Err(error) => {
                errors += 1;
                first_error.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Ok((took, errors, first_error))
}

/// The first execution of a profile that was just made.
pub(crate) async fn first_execution(address: &str, admin: &Admin, script: &str) -> Result<Duration> {
    let request = admin.profile().await?.execute(script)?;
    let mut wire = Wire::connect(address).await?;
    let start = Instant::now();
    let (status, body) = wire.call(&request).await?;
    let took = start.elapsed();
    completed(status, body)?;
    Ok(took)
}

/// Polls a finished execution `count` times on each of `connections`; returns each poll's time and the polls a second.
pub(crate) async fn polls(address: &str, id: &str, connections: usize, count: u32) -> Result<(Vec<Duration>, f64)> {
    let request = format!("GET /executions/{id} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes();
    let start = Instant::now();
    let pollers = (0..connections).map(|_| {
        let (address, request) = (address.to_owned(), request.clone());
        tokio::spawn(async move {
            let mut wire = Wire::connect(&address).await?;
            let mut took = Vec::with_capacity(count as usize);
            for _ in 0..count {
                let start = Instant::now();
                let (status, _) = wire.call(&request).await?;
                took.push(start.elapsed());
                ensure!(status == 200, "a poll answered {status}");
            }
            anyhow::Ok(took)
        })
    });
    let mut all = Vec::new();
    for poller in pollers.collect::<Vec<_>>() {
        all.extend(poller.await??);
    }
    let rate = all.len() as f64 / start.elapsed().as_secs_f64();
    Ok((all, rate))
}
