#!/bin/sh
# Makes wasi02.wasm, wasi02-net.wasm and, for libraries, wasi02-typed.wasm and
# wasi02-typed-net.wasm from the source beside it.
#
#   sh wasi02/build.sh [FOLDER]
#
# The project's own build never runs this: the binary is committed. The same versions of the
# tools make the same bytes (README.md names them); nothing here records a path or a time.
#
#   RUSTC_WASM   rustc with the standard library of wasm32-unknown-unknown (rustc)
#   LINKER_WASM  LLVM's linker for it                                      (wasm-ld)
set -eu
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
output=$(realpath "${1:-$(dirname "$0")}")
cd "$(dirname "$0")"
export LC_ALL=C

: "${RUSTC_WASM:=rustc}" "${LINKER_WASM:=wasm-ld}"

# make FILE [OPTION]...  The linker writes the name of the file that it makes into it: both have
# the same.
make() {
    file=$1
    shift
    $RUSTC_WASM --edition=2024 --target=wasm32-unknown-unknown --crate-name=wasi02 \
        --crate-type=cdylib -C linker="$LINKER_WASM" -C opt-level=s -C lto=fat -C codegen-units=1 \
        -C panic=abort -C strip=debuginfo -C symbol-mangling-version=v0 -C overflow-checks=no \
        -C link-arg=-zstack-size=32768 -C link-arg=--stack-first --check-cfg='cfg(network, typed)' \
        --remap-path-prefix="$PWD"=. --remap-path-prefix="$($RUSTC_WASM --print=sysroot)"=rust \
        "$@" src/lib.rs -o "$made/wasi02.wasm"
    cp "$made/wasi02.wasm" "$output/$file"
    chmod 644 "$output/$file"
}
make wasi02.wasm
make wasi02-net.wasm --cfg network
# Values lie inside one another, and are read as they lie: a larger stack.
make wasi02-typed.wasm --cfg typed -C link-arg=-zstack-size=262144
make wasi02-typed-net.wasm --cfg typed --cfg network -C link-arg=-zstack-size=262144
