//! Tokens: who this client is, asked for anew with every connection.

use std::future::Future;
use std::pin::Pin;

/// Why no token came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The user has to log in: the client stops with the state `needs_auth` until
    /// [`Client::authenticate`](crate::Client::authenticate).
    #[error("refused: {0}")]
    Refused(String),
    /// It may work later: the client tries again with backoff.
    #[error("failed: {0}")]
    Failed(String),
}

/// Why a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// A connection is about to be made.
    Connecting,
    /// The server did not take the last one.
    Unauthenticated,
    /// [`Client::authenticate`](crate::Client::authenticate) was called.
    Asked,
}

/// Gives a token, says that there is none, or fails.
pub(crate) type TokenProvider =
    Box<dyn Fn(TokenReason) -> Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>> + Send + Sync>;
