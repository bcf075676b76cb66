//! Egress: what scripts reach, and what they don't, against real servers on this machine.

mod allowed;
mod names;
mod peers;
mod refused;
