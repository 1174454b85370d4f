//! gRPC of Envoy's external authorization and of health checks: messages, and the call that carries them.
//! Source: the gRPC protocol over HTTP/2, and `envoy.service.auth.v3` of the Envoy API.
//! Invariant: Envoy takes an empty `CheckResponse` as permission, so none can be made without a decision: it has
//! two constructors and no default, and no denial has the code 0.

mod call;
mod check_request;
mod check_response;
mod health;
#[cfg(test)]
mod tests;
mod wire;

pub use call::{CallError, CallFailure, answer, fail, is_grpc, message_of, timeout_of};
#[cfg(test)]
pub(crate) use check_request::FieldForm;
pub use check_request::{CheckRequest, Undecodable};
#[cfg(test)]
pub(crate) use check_response::Read;
pub use check_response::{CheckResponse, DecisionMetadata, DenialStatus, HeaderChanges};
pub use health::{HealthRequest, ServiceHealth};
