//! The debugger: what rooms tell of themselves, and the page that shows it. Without it in the
//! configuration nothing here runs, listens or is collected.
//!
//! `feed` collects in the room (`entry` is its log, `rows` its tables, `series` its charts, `preview`
//! cuts values to size), `hub` lists the rooms, `http` answers the page's requests and `page` is one
//! page's connection, whose wishes `command` understands.

mod command;
mod entry;
mod feed;
mod http;
mod hub;
mod page;
mod preview;
mod rows;
mod series;

pub(crate) use feed::{Feed, Sight, Wish};
pub(crate) use http::router;
pub(crate) use hub::Hub;
