#!/bin/sh
# Signs with an Ed25519 key that an HSM keeps, through PKCS#11:
#
#   bls-compile app.wasm --key exec:contrib/signers/pkcs11.sh --public-key builder.pub
#
# What is to be signed comes on standard input, the 64 bytes of the signature go out. With
# Debian's SoftHSM and OpenSC (softhsm2, opensc), for a key to try it with:
#
#   softhsm2-util --init-token --free --label bls --so-pin 1234 --pin 1234
#   pkcs11-tool --module "$PKCS11_MODULE" --token-label bls --login --pin 1234 \
#       --keypairgen --key-type EC:edwards25519 --label builder --id 01
#   pkcs11-tool --module "$PKCS11_MODULE" --token-label bls \
#       --read-object --type pubkey --id 01 -o builder.pub
#
# PKCS11_MODULE  the HSM's library: /usr/lib/softhsm/libsofthsm2.so
# PKCS11_TOKEN   the token's label [default: bls]
# PKCS11_KEY     the key's id there [default: 01]
# PKCS11_PIN     its PIN; without it, pkcs11-tool asks for one at a terminal
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/message"
if [ -n "${PKCS11_PIN:-}" ]; then
    export PKCS11_PIN
    set -- --pin env:PKCS11_PIN
else
    set --
fi
pkcs11-tool --module "${PKCS11_MODULE:?the library of the HSM}" \
    --token-label "${PKCS11_TOKEN:-bls}" --login "$@" \
    --sign --mechanism EDDSA --id "${PKCS11_KEY:-01}" \
    --input-file "$folder/message" --output-file "$folder/signature" >&2
cat "$folder/signature"
