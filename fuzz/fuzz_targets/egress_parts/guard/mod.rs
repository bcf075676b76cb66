//! As the package has them.

pub mod egress;
