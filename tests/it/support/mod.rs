//! What the tests from outside stand on: the real gateway, a browser, an application behind it.

pub(crate) mod browser;
pub(crate) mod clocked;
pub(crate) mod door;
pub(crate) mod faults;
pub(crate) mod gateway;
pub(crate) mod grpc;
pub(crate) mod kinds;
pub(crate) mod operator;
pub(crate) mod provider;
pub(crate) mod snapshot_folder;
pub(crate) mod stack;
pub(crate) mod upstream;
pub(crate) mod wait;
pub(crate) mod wire;
