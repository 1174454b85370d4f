//! Host and path -> T; knows nothing of the product.

pub mod host;
pub mod path;
