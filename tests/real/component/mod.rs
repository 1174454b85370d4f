//! Real servers, started by a test and ended with it.

pub(crate) mod nginx;
