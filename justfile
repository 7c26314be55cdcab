# The verbs a contributor types; `cargo xtask` does the work and needs only cargo.

# both programs, into target/bls/
build:
    cargo xtask build

# the library for C and its header, into target/bls/
library:
    cargo xtask library

# bls-load for other architectures (--help says what it takes, --test runs them)
cross *ARGS:
    cargo xtask cross {{ARGS}}

# every test
test *ARGS:
    cargo xtask test {{ARGS}}

# formatting, clippy and docs, warnings denied
check:
    cargo xtask check

# the meter against the naive one, on made-up and on changed modules, for so many seconds
differential SECONDS="3600" SEED="1":
    cargo run --release -p bls-tests --bin differential -- --seconds {{SECONDS}} --seed {{SEED}}

# fuzz targets for so many seconds each, all or those named (needs cargo-fuzz and nightly):
# framing, envelope, trust, install, broker, compile, smith, host_calls
fuzz *ARGS:
    cargo xtask fuzz {{ARGS}}

# tables beside the peers that are installed: just bench [load|fuel|ablation|size|adversaries|bombs]
bench *NAMES:
    cargo xtask bench {{NAMES}}

# remake the guests from their sources (needs clang, wasi-libc, Go, npm)
fixtures:
    fixtures/build.sh
