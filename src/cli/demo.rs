//! `airlock demo`.

/// Nothing yet.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {}

pub(super) fn run(_: &DemoArgs) -> anyhow::Result<()> {
    Ok(())
}
