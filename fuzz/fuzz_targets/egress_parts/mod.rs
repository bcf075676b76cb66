//! In folders as the package has them.

pub mod guard;
