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

# The server, with its flags
run *arguments:
    cargo run --release -- {{arguments}}

bench *workloads:
    cargo run --release -- bench {{workloads}}

# Needs a nightly compiler and cargo-fuzz; what it finds goes to fuzz/found
fuzz target:
    mkdir -p fuzz/found/{{target}}
    cargo +nightly fuzz run {{target}} fuzz/found/{{target}} fuzz/corpus/{{target}}

# The tables in docs/protocol.md, from the types, and the code in documents, from its files
docs:
    UPDATE_DOCS=1 cargo test -p chatroom-protocol -- --test-threads 1
    UPDATE_DOCS=1 cargo xtask tidy
