//! A world for ChatRoom's own tests: rooms without sockets under a fake clock, a real server with
//! real sockets, and the runners of the vectors in `conformance/`. Never published.

pub mod failing_journal;
pub mod fuzz;
pub mod generate;
pub mod kept;
pub mod matching;
pub mod peer;
pub mod replica;
pub mod script;
pub mod seed;
pub mod server;
pub mod simulation;
pub mod undoing;
pub mod vectors;
pub mod world;

pub use peer::Peer;
pub use server::TestServer;
pub use world::World;
