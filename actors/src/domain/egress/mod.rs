//! Which hosts a profile's scripts may reach: the rules a person writes, and what they decide.
//!
//! - [`HostRule`]: one entry of `allowed_hosts`, read, normalised and written;
//! - [`Block`]: which part of the address space an address is in, whatever it is spelled as;
//! - [`HostPolicy`]: the decision about a name or an address;
//! - [`EgressEntry`]: what is written down of it.
//!
//! Invariants
//! - EG-1: an address that is not public is reachable only when an entry names it: an address entry whose whole range is of
//!   that kind or, for private networks, the exact name that led to it. Loopback, link-local and metadata addresses, and
//!   the machine's own, are never reached by a name.
//! - EG-2: an address that embeds an IPv4 address counts as that one.
//! - EG-3: what an entry is stored as is read back as the same entry.

mod block;
mod entry;
mod policy;
mod rule;

pub use block::{Block, Kind, canonical};
pub use entry::EgressEntry;
pub use policy::{HostPolicy, OwnAddresses, Refusal};
pub use rule::{HostRule, InvalidHost, MAX_HOST_BYTES, Target, host_name};
