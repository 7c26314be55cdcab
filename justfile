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

# tables beside the peers that are installed: just bench [load|fuel|size|adversaries]
bench *NAMES:
    cargo xtask bench {{NAMES}}

# remake the guests from their sources (needs clang, wasi-libc, Go, npm)
fixtures:
    fixtures/build.sh
