//! The corpora of the fuzz targets, and random variations of them, as plain tests.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::path::PathBuf;

use chatroom_testkit::{fuzz, vectors};
use proptest::prelude::*;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = vectors::folder("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the corpus of {target} is there");
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[test]
fn decode_takes_its_corpus() {
    seeds("decode").iter().for_each(|seed| fuzz::decode(seed));
}

#[test]
fn apply_takes_its_corpus() {
    seeds("apply").iter().for_each(|seed| fuzz::apply(seed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decode_takes_broken_seeds(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let seeds = seeds("decode");
        let mut seed = pick.get(&seeds).clone();
        if !seed.is_empty() {
            let place = at.index(seed.len());
            if cut { seed.truncate(place) } else { seed[place] = byte };
        }
        fuzz::decode(&seed);
    }

    #[test]
    fn apply_takes_shuffled_seeds(pick in any::<prop::sample::Index>(), order in prop::collection::vec(any::<prop::sample::Index>(), 1..12)) {
        let seeds = seeds("apply");
        let text = String::from_utf8(pick.get(&seeds).clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let shuffled: Vec<&str> = order.iter().map(|index| *index.get(&lines[1..])).collect();
        fuzz::apply(format!("{}\n{}", lines[0], shuffled.join("\n")).as_bytes());
    }
}
