# The verbs a contributor types; `cargo xtask` does the work and needs only cargo.

# both programs, into target/bls/
build:
    cargo xtask build

# every test
test *ARGS:
    cargo xtask test {{ARGS}}

# formatting, clippy and docs, warnings denied
check:
    cargo xtask check

# the meter against the naive one, on made-up and on changed modules, for so many seconds
differential SECONDS="3600" SEED="1":
    cargo run --release -p bls-tests --bin differential -- --seconds {{SECONDS}} --seed {{SEED}}

# a fuzz target for so many seconds: host_calls, framing, envelope, trust, install, compile, smith
# (needs cargo-fuzz and nightly)
fuzz NAME="host_calls" SECONDS="600":
    mkdir -p fuzz/corpus/{{NAME}}
    cd fuzz && cargo +nightly fuzz run --sanitizer none {{NAME}} corpus/{{NAME}} seeds/{{NAME}} -- \
        -max_total_time={{SECONDS}} -max_len=4096 -close_fd_mask=2 -rss_limit_mb=2048 -timeout=20

# tables beside the peers that are installed: just bench [load|fuel|ablation|size|adversaries|bombs]
bench *NAMES:
    cargo xtask bench {{NAMES}}

# remake the guests from their sources (needs clang, wasi-libc, Go, npm)
fixtures:
    fixtures/build.sh
