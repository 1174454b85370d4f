//! The rows of the table, a file per kind.

pub(super) mod adfs;
pub(super) mod apple;
pub(super) mod auth0;
pub(super) mod bitbucket;
pub(super) mod cognito;
pub(super) mod dex;
pub(super) mod discord;
pub(super) mod entra;
pub(super) mod facebook;
pub(super) mod github;
pub(super) mod gitlab;
pub(super) mod google;
pub(super) mod google_directory;
pub(super) mod keycloak;
pub(super) mod linkedin;
pub(super) mod oauth2;
pub(super) mod oidc;
pub(super) mod okta;
pub(super) mod slack;
pub(super) mod zitadel;
