//! The folder of a journal: who has it, which version wrote it, how the last owner ended, and how much
//! room is left.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{DiskConfig, Durability};

/// The version of everything below the folder; another form gets another number.
const FORM: u32 = 1;
const VERSION: &str = "chatroom-data";
const LOCK: &str = "lock";
/// There while a server has the folder open.
const RUNNING: &str = "running";
const STORE: &str = "store";

/// Why a folder cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another server; stop that one, or choose another folder", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// A newer version wrote it.
    #[error(
        "{} was written by a newer version of ChatRoom (data format {found}; this one reads up to {supported}); use that version",
        folder.display()
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is understood.
        supported: u32,
    },
    /// It is something else.
    #[error("{} holds other files and no ChatRoom data; choose an empty or a new folder", folder.display())]
    Foreign {
        /// The folder.
        folder: PathBuf,
    },
    /// What it holds cannot be read.
    #[error("what is kept in {} cannot be read: {what}; `chatroom check` and `chatroom export` tell more", folder.display())]
    Corrupt {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The machine refused.
    #[error("{} cannot be used: {error}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A folder that this process has.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) may_have_lost: bool,
    pub(super) was_ended: bool,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Folder {
    pub(super) fn open(config: &DiskConfig) -> Result<Self, OpenError> {
        let path = config.folder.clone();
        let io = |error| OpenError::Io { folder: path.clone(), error };
        std::fs::create_dir_all(&path).map_err(io)?;
        let version = path.join(VERSION);
        let is_new = !version.exists();
        if is_new && std::fs::read_dir(&path).map_err(io)?.flatten().any(|entry| entry.file_name() != LOCK) {
            return Err(OpenError::Foreign { folder: path });
        }
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { folder: path }),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        if is_new {
            write_synced(&version, &format!("{VERSION} {FORM}\n")).map_err(io)?;
        } else {
            check_version(&path, &std::fs::read_to_string(&version).map_err(io)?)?;
        }
        let running = path.join(RUNNING);
        let left = std::fs::read_to_string(&running).ok();
        let boot = boot_id();
        let may_have_lost = left.as_deref().is_some_and(|left| {
            let (mode, booted) = left.trim().split_once(' ').unwrap_or((left, ""));
            mode == Durability::Written.name() && (booted != boot || boot.is_empty())
        });
        write_synced(&running, &format!("{} {boot}\n", config.durability.name())).map_err(io)?;
        Ok(Self { was_ended: left.is_none(), may_have_lost, _lock: lock, path })
    }

    pub(super) fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// The journal was closed in order.
    pub(super) fn end(&self) -> io::Result<()> {
        std::fs::remove_file(self.path.join(RUNNING))?;
        sync_folder(&self.path)
    }

    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn check_version(folder: &Path, text: &str) -> Result<(), OpenError> {
    let found = text.trim().strip_prefix(VERSION).and_then(|rest| rest.trim().parse::<u32>().ok());
    match found {
        Some(FORM) => Ok(()),
        Some(found) if found > FORM => Err(OpenError::Newer { folder: folder.to_owned(), found, supported: FORM }),
        _ => Err(OpenError::Corrupt {
            folder: folder.to_owned(),
            what: format!("its file {VERSION} does not say a version"),
        }),
    }
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Another one after each start of the machine; empty where it cannot be told.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
