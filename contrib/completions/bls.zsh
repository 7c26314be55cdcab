#compdef bls-compile bls-load bls-registry bls-serve
# Completion for zsh: as _bls in a folder of fpath.
# Made of the help texts: BLS_MANUALS=write (tests/tests/manuals.rs)

_bls() {
    local program=${words[1]:t} command='' index
    local -a options
    for ((index = 2; index < CURRENT; index++)); do
        if [[ ${words[index]} != -* ]]; then
            command=${words[index]}
            break
        fi
    done
    case $program:$command in
        bls-compile:run) options=(--account --allow-extension --allow-net --argv0 --authorities --broker --clock-unset --compile-key --compile-with --coredump --cpu --debug-file --deny --deny-net --deterministic --dir --dir-ro --env --epoch --explain --extensions --fast-nans --fuel --fuel-profile --invoke --jitdump --key --list-env --listen --listen-passed --log --log-level --max-compile-memory --max-compile-time --max-descriptors --max-memory --max-output --max-sign-time --max-stack --memory --metrics --module --name --needs --no-fuel --only-declared --perf-map --permission --plug --policy --public-key --receipt --receipt-key --report --require-control-flow --require-deterministic --require-fuel --require-sandbox --seed --stdin --store --timeout --trust --unknown-imports) ;;
        bls-compile:link) options=(--emit --json --max-compile-memory --max-compile-time --output --quiet --target) ;;
        bls-compile:check) options=(--json --max-compile-memory --max-compile-time --module --plug --target) ;;
        bls-compile:audit) options=(--json --max-compile-memory --max-compile-time --target) ;;
        bls-compile:inspect) options=(--json --max-compile-memory --max-compile-time) ;;
        bls-compile:strip) options=(--json --output --quiet --target) ;;
        bls-compile:sign) options=(--json --key --max-compile-memory --max-compile-time --max-sign-time --output --public-key --quiet --rebuild) ;;
        bls-compile:verify) options=(--json --max-compile-memory --max-compile-time --rebuild) ;;
        bls-compile:delta) options=(--json --output --quiet) ;;
        bls-compile:symbolize) options=() ;;
        bls-compile:push) options=(--authorities --cosign --dry-run --json --key --max-sign-time --max-time --plain-http --public-key --quiet --signature --source) ;;
        bls-compile:image) options=(--json --loader --no-loader --output --quiet --tag --trust) ;;
        bls-compile:key) options=() ;;
        bls-compile:key-of) options=(--json) ;;
        bls-compile:trust) options=(--key --max-sign-time --output --public-key) ;;
        bls-compile:) options=(--cache --cache-size --cache-trust --compress --compress-window --cpu --debug-file --emit --expires --fast-nans --fuel-profile --if-changed --jobs --json --keep-going --key --max-compile-memory --max-compile-time --max-fuel --max-memory --max-sign-time --max-time --memory --module --name --needs --no-fuel --output --plug --policy --provenance --public-key --quiet --sbom --sequence --target --wasm audit check delta image inspect key key-of link push run sign strip symbolize trust verify) ;;
        bls-compile:*) options=(--cache --cache-size --cache-trust --compress --compress-window --cpu --debug-file --emit --expires --fast-nans --fuel-profile --if-changed --jobs --json --keep-going --key --max-compile-memory --max-compile-time --max-fuel --max-memory --max-sign-time --max-time --memory --module --name --needs --no-fuel --output --plug --policy --provenance --public-key --quiet --sbom --sequence --target --wasm) ;;
        bls-load:verify) options=(--all --clock-unset --digest --explain --store --target --trust) ;;
        bls-load:install) options=(--base --clock-unset --delta --digest --dry-run --explain --store --target --trust) ;;
        bls-load:pull) options=(--authorities --clock-unset --dry-run --explain --plain-http --store --target --trust) ;;
        bls-load:rollback) options=(--clock-unset --dry-run --explain --store --target --trust) ;;
        bls-load:list) options=(--json --store) ;;
        bls-load:remove) options=(--store) ;;
        bls-load:gc) options=(--store) ;;
        bls-load:binfmt) options=(--fixed --install) ;;
        bls-load:trust) options=(--clock --comment --compiler --engine --file --may --not-after --not-before --prefix --replace --role --root --root-threshold --system --threshold --undo) ;;
        bls-load:ext) options=() ;;
        bls-load:verify-receipt) options=() ;;
        bls-load:node) options=(--allow-all --allow-net --allow-read --allow-write --compile-key --compile-with --debug-info --deny-net --deny-read --deny-write --dir --drivers-root-path --entry --env --env-file --fs-root-path --help --limited-fuel --limited-memory --max-memory-size --module --nn-graph --permission --run-time --runtime-logger --stderr --stdin --stdout --store --tcplisten --unknown-imports-trap --version) ;;
        bls-load:run) options=(--account --allow-extension --allow-net --argv0 --authorities --broker --clock-unset --compile-key --compile-with --coredump --debug-file --deny --deny-net --deterministic --digest --dir --dir-ro --env --epoch --explain --extensions --fuel --fuel-profile --help --invoke --jitdump --list-env --listen --listen-passed --log --log-level --max-descriptors --max-memory --max-output --max-stack --metrics --only-declared --perf-map --permission --policy --receipt --receipt-key --report --require-control-flow --require-deterministic --require-fuel --require-sandbox --seed --stdin --store --timeout --trust --unknown-imports --version) ;;
        bls-load:) options=(--account --allow-extension --allow-net --argv0 --authorities --broker --clock-unset --compile-key --compile-with --coredump --debug-file --deny --deny-net --deterministic --digest --dir --dir-ro --env --epoch --explain --extensions --fuel --fuel-profile --help --invoke --jitdump --list-env --listen --listen-passed --log --log-level --max-descriptors --max-memory --max-output --max-stack --metrics --only-declared --perf-map --permission --policy --receipt --receipt-key --report --require-control-flow --require-deterministic --require-fuel --require-sandbox --seed --stdin --store --timeout --trust --unknown-imports --version binfmt ext gc install list node pull remove rollback run trust verify verify-receipt) ;;
        bls-load:*) options=(--account --allow-extension --allow-net --argv0 --authorities --broker --clock-unset --compile-key --compile-with --coredump --debug-file --deny --deny-net --deterministic --digest --dir --dir-ro --env --epoch --explain --extensions --fuel --fuel-profile --help --invoke --jitdump --list-env --listen --listen-passed --log --log-level --max-descriptors --max-memory --max-output --max-stack --metrics --only-declared --perf-map --permission --policy --receipt --receipt-key --report --require-control-flow --require-deterministic --require-fuel --require-sandbox --seed --stdin --store --timeout --trust --unknown-imports --version) ;;
        bls-registry:push) options=(--authorities --cosign --dry-run --json --key --max-sign-time --max-time --plain-http --public-key --quiet --signature --source) ;;
        bls-registry:pull) options=(--authorities --json --max-time --output --plain-http --quiet --target) ;;
        bls-registry:image) options=(--json --loader --no-loader --output --quiet --tag --trust) ;;
        bls-registry:cache) options=(--authorities --max-time) ;;
        bls-registry:) options=(cache image pull push) ;;
        bls-registry:*) options=() ;;
        bls-serve:) options=(--admin --allow-net --authorities --broker --clock-unset --deny --deny-net --dir --dir-ro --drain --env --fuel --header-timeout --help --idle-timeout --listen --log --log-level --max-connections --max-descriptors --max-memory --max-output --max-request --otlp --pass-authorization --policy --queue --require-fuel --require-sandbox --route --store --timeout --trust --version --workers) ;;
        bls-serve:*) options=(--admin --allow-net --authorities --broker --clock-unset --deny --deny-net --dir --dir-ro --drain --env --fuel --header-timeout --help --idle-timeout --listen --log --log-level --max-connections --max-descriptors --max-memory --max-output --max-request --otlp --pass-authorization --policy --queue --require-fuel --require-sandbox --route --store --timeout --trust --version --workers) ;;
    esac
    if [[ $PREFIX == -* || -z $command ]]; then
        compadd -- $options
    fi
    [[ $PREFIX == -* ]] || _files
}
_bls "$@"
