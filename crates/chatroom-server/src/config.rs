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
    /// How much of the past a journal keeps.
    pub keep: Keep,
    /// The debugger; `None` collects nothing for it.
    pub debugger: Option<DebuggerConfig>,
}

/// How much of each room's past a journal keeps, besides what it needs to restore the room: the oldest
/// commits go when there are more than this, they are older, or they are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many commits at most.
    pub commits: usize,
    /// Milliseconds.
    pub age_ms: u64,
    /// Bytes of records.
    pub bytes: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { commits: 100_000, age_ms: 30 * 86_400_000, bytes: 64 << 20 }
    }
}

/// How the debugger is guarded.
#[derive(Clone, Debug, Default)]
pub struct DebuggerConfig {
    /// What a page has to show before it sees anything. Needed where other machines can reach the
    /// debugger; without one, only pages that were reached by a loopback name are answered.
    pub token: Option<String>,
}
