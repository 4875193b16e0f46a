//! What an embedding program decides.

use std::sync::Arc;

use chatroom_engine::NoAuthority;
use chatroom_protocol::Limits;

use crate::origin::AllowedOrigins;

/// The configuration of a [`Server`](crate::Server). The default serves well on a developer's machine.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What clients may ask for.
    pub limits: Arc<Limits>,
    /// Which web pages may connect, besides those the server itself delivers.
    pub allowed_origins: AllowedOrigins,
    /// What happens to changes whose authority was lost.
    pub no_authority: NoAuthority,
    /// The debugger; `None` collects nothing for it.
    pub debugger: Option<DebuggerConfig>,
}

/// How the debugger is guarded.
#[derive(Clone, Debug, Default)]
pub struct DebuggerConfig {
    /// What a page has to show before it sees anything. Needed where other machines can reach the
    /// debugger; without one, only pages that were reached by a loopback name are answered.
    pub token: Option<String>,
}
