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

# the host under arbitrary calls, for so many seconds (needs cargo-fuzz and nightly)
fuzz SECONDS="600":
    cd fuzz && cargo +nightly fuzz run --sanitizer none host_calls corpus/host_calls seeds/host_calls -- \
        -max_total_time={{SECONDS}} -max_len=4096 -close_fd_mask=2

# tables beside the peers that are installed: just bench [load|fuel|size|adversaries|bombs]
bench *NAMES:
    cargo xtask bench {{NAMES}}

# remake the guests from their sources (needs clang, wasi-libc, Go, npm)
fixtures:
    fixtures/build.sh
