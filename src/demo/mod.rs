//! Loopback only: an identity provider and a sample application, for the demo and the tests.
