//! `grpc.health.v1.Health`: a client asks whether a service serves.

use bytes::Bytes;
use prost::Message as _;

use crate::grpc::call::CallError;
use crate::grpc::wire;

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthRequest {
    /// The full name of the service; empty for the process as a whole.
    pub service: String,
}

/// Whether a service serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceHealth {
    /// It does.
    Serving,
    /// The process stops.
    NotServing,
}

impl HealthRequest {
    /// Decodes a message.
    pub fn decode(message: &[u8]) -> Result<Self, CallError> {
        let request =
            wire::HealthCheckRequest::decode(message).map_err(|_| CallError::Malformed)?;
        Ok(Self { service: request.service })
    }
}

impl ServiceHealth {
    /// The message.
    pub fn encode(self) -> Bytes {
        let status = match self {
            Self::Serving => 1,
            Self::NotServing => 2,
        };
        wire::HealthCheckResponse { status }.encode_to_vec().into()
    }
}
