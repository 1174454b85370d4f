//! How clients reach the gateway: who says their address, and on which sockets.

mod address_header;
mod client_certificates;
mod proxy_protocol;
mod redirect;
pub(crate) mod systemd;
