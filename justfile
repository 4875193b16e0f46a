# Every command of this repository; `just` alone lists them.
default:
    @just --list

# All that CI runs
check:
    cargo xtask test

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The repository's own rules
tidy:
    cargo xtask tidy

test *arguments:
    cargo nextest run --workspace {{arguments}}

# The vectors, with how many ran
vectors:
    cargo test -p chatroom-testkit --test conformance -- --nocapture

bench *workloads:
    cargo run --release -- bench {{workloads}}

# Needs a nightly compiler and cargo-fuzz
fuzz target:
    cargo +nightly fuzz run {{target}}

# The tables in docs/protocol.md, from the types
docs:
    UPDATE_DOCS=1 cargo test -p chatroom-protocol -- --test-threads 1
