//! RFC 6749 as a client; knows neither OpenID Connect nor sessions.
