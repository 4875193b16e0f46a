//! Where a server keeps its rooms: `--data`, `--memory`, `--durability` and `--keep`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chatroom_server::Keep;
use chatroom_server::journal::{DiskConfig, DiskJournal, Durability, Journal as _, OpenError};

use crate::arguments::{Failure, Serve};
use crate::config_file::ConfigFile;

/// Where rooms are kept when nothing else is said.
pub(crate) const DEFAULT_DATA: &str = "./chatroom-data";

/// What was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Memory,
    Disk { folder: PathBuf, durability: Durability },
}

impl Store {
    /// A flag wins over the environment, and that over the file.
    pub(crate) fn chosen(serve: &Serve, file: &ConfigFile) -> Result<Self, Failure> {
        if serve.memory || (serve.data.is_none() && file.memory == Some(true)) {
            return Ok(Self::Memory);
        }
        let folder = serve.data.clone().or_else(|| file.data.clone()).unwrap_or_else(|| DEFAULT_DATA.into());
        let durability = match serve.durability.as_deref().or(file.durability.as_deref()) {
            None => Durability::default(),
            Some(name) => durability(name).map_err(|why| Failure::usage(format!("--durability: {why}")))?,
        };
        Ok(Self::Disk { folder, durability })
    }

    /// Opens it.
    pub(crate) fn open(&self) -> Result<Option<Arc<DiskJournal>>, Failure> {
        let Self::Disk { folder, durability } = self else {
            return Ok(None);
        };
        let config = DiskConfig { durability: *durability, ..DiskConfig::new(folder) };
        let journal = DiskJournal::open(config).map_err(|error| refused(folder, &error))?;
        if !journal.was_ended() {
            tracing::info!(folder = %folder.display(), "the last server did not close its data; it was recovered");
        }
        if journal.may_have_lost() {
            tracing::warn!(
                "this machine was started anew since, and commits were only written: the last ones may be lost"
            );
        }
        Ok(Some(Arc::new(journal)))
    }

    /// Where rooms are kept, for the line that tells where the server is.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Memory => "rooms are kept in memory".to_owned(),
            Self::Disk { folder, .. } => format!("rooms are kept in {}", folder.display()),
        }
    }
}

pub(crate) fn refused(folder: &Path, error: &OpenError) -> Failure {
    match error {
        OpenError::Locked { .. } | OpenError::Foreign { .. } => {
            Failure::runtime(format!("{error} with --data, or keep rooms in memory with --memory"))
        }
        OpenError::Io { error, .. } => Failure::runtime(format!(
            "the data folder {} cannot be used: {error}; choose another with --data, or keep rooms in memory with --memory",
            folder.display()
        )),
        error => Failure::runtime(error.to_string()),
    }
}

fn durability(name: &str) -> Result<Durability, String> {
    match name {
        "synced" => Ok(Durability::Synced),
        "written" => Ok(Durability::Written),
        other => Err(format!("{other:?} is neither synced nor written")),
    }
}

/// Reads what shall be kept of the past, such as `100000,30d,64MiB`: commits, an age and a size, in any
/// order; what is not named stays as it is by default.
pub(crate) fn keep(text: &str) -> Result<Keep, String> {
    let mut keep = Keep::default();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        let (number, unit) = part.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong(part))?;
        let size = |unit: u64| number.checked_mul(unit).ok_or_else(|| wrong(part));
        let bytes = |unit: u64| usize::try_from(size(unit)?).map_err(|_| wrong(part));
        match unit.trim() {
            "" => keep.commits = usize::try_from(number).map_err(|_| wrong(part))?,
            "s" => keep.age_ms = size(1_000)?,
            "m" => keep.age_ms = size(60_000)?,
            "h" => keep.age_ms = size(3_600_000)?,
            "d" => keep.age_ms = size(86_400_000)?,
            "B" => keep.bytes = bytes(1)?,
            "KiB" => keep.bytes = bytes(1 << 10)?,
            "MiB" => keep.bytes = bytes(1 << 20)?,
            "GiB" => keep.bytes = bytes(1 << 30)?,
            _ => return Err(wrong(part)),
        }
    }
    Ok(keep)
}

fn wrong(part: &str) -> String {
    format!("{part:?} is no number of commits (1000), age (90s, 15m, 12h, 30d) or size (500KiB, 64MiB, 1GiB)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(usize, u64, usize), &str>) {
        let found = keep(text).map(|keep| (keep.commits, keep.age_ms, keep.bytes));
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected)),
            Err(words) => assert!(found.as_ref().is_err_and(|why| why.contains(words)), "{found:?}"),
        }
    }

    #[test]
    fn what_is_kept_is_said_in_numbers_ages_and_sizes() {
        let Keep { commits, age_ms, bytes } = Keep::default();
        check("", Ok((commits, age_ms, bytes)));
        check("500", Ok((500, age_ms, bytes)));
        check("2d", Ok((commits, 172_800_000, bytes)));
        check(" 1GiB , 0 ", Ok((0, age_ms, 1 << 30)));
        check("10,90s,5KiB", Ok((10, 90_000, 5_120)));
        for bad in ["many", "5 weeks", "-1", "99999999999999999999", "20000000000000GiB"] {
            check(bad, Err("no number of commits"));
        }
    }
}
