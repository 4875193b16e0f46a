//! Places that only one machine has, which no tracked file may name.

/// Where people's folders are on most machines; this machine's own are asked for.
const FOLDERS: &[&str] = &["/home/", "/Users/"];
/// Where Cargo.lock says that crates come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// This file has to name them.
const EXEMPT: &str = "xtask/src/places.rs";

/// Machine paths and package registries in a file.
pub(crate) fn of_one_machine(file: &str, text: &str) -> Vec<String> {
    if file == EXEMPT {
        return Vec::new();
    }
    let lines = text.lines().zip(1..);
    lines
        .filter_map(|(line, number)| {
            let what = folder(line).or_else(|| registry(line))?;
            Some(format!("{file}:{number} names {what}, which other machines do not have"))
        })
        .collect()
}

fn folder(line: &str) -> Option<String> {
    let starts_path = |at: usize| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~}*".contains(c))
    };
    let checkout = crate::paths::root().canonicalize().ok();
    let own = [checkout, std::env::home_dir()].into_iter().flatten().map(|folder| format!("{}/", folder.display()));
    let mut folders = FOLDERS.iter().map(|folder| (*folder).to_owned()).chain(own.filter(|folder| folder.len() > 2));
    folders.find(|folder| line.match_indices(folder.as_str()).any(|(at, _)| starts_path(at)))
}

fn registry(line: &str) -> Option<String> {
    // Cargo's and npm's lock files say where a package was downloaded.
    for source in ["registry+", "sparse+", "\"resolved\": \"http"] {
        if line.contains(source) && !line.contains(CRATES_IO) {
            return Some("where a package was downloaded".to_owned());
        }
    }
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || ".-:/".contains(c)));
    words
        .filter_map(|word| word.rsplit("//").next()?.split([':', '/']).next())
        .find(|host| host.starts_with("registry.") && host.split('.').count() > 2)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, found: bool) {
        assert_eq!(!of_one_machine("a.md", line).is_empty(), found, "{line}");
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let checkout = crate::paths::root().canonicalize().unwrap();
        check(&format!("see {}/a.rs", checkout.display()), true);
        check("HOME=/Users/me/x", true);
        check("\"file:///home/me/a\"", true);
        check("a network/work/order", false);
        check("{base}/home/page", false);
        check("the root / of it", false);
    }

    #[test]
    fn a_registry_is_found() {
        check("\"resolved\": \"https://mirror.example/a.tgz\"", true);
        check("registry=https://registry.example.org/", true);
        check("https://registry.example.com:8080/a", true);
        check("source = \"registry+https://mirror.example/index\"", true);
        check("source = \"sparse+https://mirror.example/index\"", true);
        check("source = \"registry+https://github.com/rust-lang/crates.io-index\"", false);
        check("registry.register(\"writes\", metric.clone());", false);
        check("omit-lockfile-registry-resolved=true", false);
    }
}
