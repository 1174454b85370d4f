//! RFC 7515, 7517, 7518: signatures in compact form, on aws-lc-rs.
