# Completion for fish: under each program's name in a folder of fish_complete_path.
# Made of the help texts: BLS_MANUALS=write (tests/tests/manuals.rs)
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -a 'run link check audit inspect strip sign verify delta symbolize push image key key-of trust'
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l account
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l allow-extension
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l allow-net
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l argv0
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l authorities
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l broker
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l clock-unset
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l compile-key
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l compile-with
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l coredump
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l cpu
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l debug-file
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l deny
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l deny-net
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l deterministic
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l dir
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l dir-ro
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l env
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l epoch
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l explain
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l extensions
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l fast-nans
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l fuel
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l fuel-profile
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l invoke
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l jitdump
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l key
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l list-env
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l listen
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l listen-passed
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l log
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l log-level
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l max-compile-memory
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l max-compile-time
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l max-descriptors
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l max-memory
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l max-output
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l max-sign-time
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l max-stack
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l memory
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l metrics
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l module
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l name
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l needs
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l no-fuel
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l only-declared
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l perf-map
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l permission
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l plug
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l policy
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l public-key
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l receipt
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l receipt-key
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l report
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l require-control-flow
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l require-deterministic
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l require-fuel
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l require-sandbox
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l seed
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l stdin
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l store
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l timeout
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l trust
complete -c bls-compile -n '__fish_seen_subcommand_from run' -l unknown-imports
complete -c bls-compile -n '__fish_seen_subcommand_from link' -l emit
complete -c bls-compile -n '__fish_seen_subcommand_from link' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from link' -l max-compile-memory
complete -c bls-compile -n '__fish_seen_subcommand_from link' -l max-compile-time
complete -c bls-compile -n '__fish_seen_subcommand_from link' -l output
complete -c bls-compile -n '__fish_seen_subcommand_from link' -l quiet
complete -c bls-compile -n '__fish_seen_subcommand_from link' -l target
complete -c bls-compile -n '__fish_seen_subcommand_from check' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from check' -l max-compile-memory
complete -c bls-compile -n '__fish_seen_subcommand_from check' -l max-compile-time
complete -c bls-compile -n '__fish_seen_subcommand_from check' -l module
complete -c bls-compile -n '__fish_seen_subcommand_from check' -l plug
complete -c bls-compile -n '__fish_seen_subcommand_from check' -l target
complete -c bls-compile -n '__fish_seen_subcommand_from audit' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from audit' -l max-compile-memory
complete -c bls-compile -n '__fish_seen_subcommand_from audit' -l max-compile-time
complete -c bls-compile -n '__fish_seen_subcommand_from audit' -l target
complete -c bls-compile -n '__fish_seen_subcommand_from inspect' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from inspect' -l max-compile-memory
complete -c bls-compile -n '__fish_seen_subcommand_from inspect' -l max-compile-time
complete -c bls-compile -n '__fish_seen_subcommand_from strip' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from strip' -l output
complete -c bls-compile -n '__fish_seen_subcommand_from strip' -l quiet
complete -c bls-compile -n '__fish_seen_subcommand_from strip' -l target
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l key
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l max-compile-memory
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l max-compile-time
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l max-sign-time
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l output
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l public-key
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l quiet
complete -c bls-compile -n '__fish_seen_subcommand_from sign' -l rebuild
complete -c bls-compile -n '__fish_seen_subcommand_from verify' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from verify' -l max-compile-memory
complete -c bls-compile -n '__fish_seen_subcommand_from verify' -l max-compile-time
complete -c bls-compile -n '__fish_seen_subcommand_from verify' -l rebuild
complete -c bls-compile -n '__fish_seen_subcommand_from delta' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from delta' -l output
complete -c bls-compile -n '__fish_seen_subcommand_from delta' -l quiet
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l authorities
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l cosign
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l dry-run
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l key
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l max-sign-time
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l max-time
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l plain-http
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l public-key
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l quiet
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l signature
complete -c bls-compile -n '__fish_seen_subcommand_from push' -l source
complete -c bls-compile -n '__fish_seen_subcommand_from image' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from image' -l loader
complete -c bls-compile -n '__fish_seen_subcommand_from image' -l no-loader
complete -c bls-compile -n '__fish_seen_subcommand_from image' -l output
complete -c bls-compile -n '__fish_seen_subcommand_from image' -l quiet
complete -c bls-compile -n '__fish_seen_subcommand_from image' -l tag
complete -c bls-compile -n '__fish_seen_subcommand_from image' -l trust
complete -c bls-compile -n '__fish_seen_subcommand_from key-of' -l json
complete -c bls-compile -n '__fish_seen_subcommand_from trust' -l key
complete -c bls-compile -n '__fish_seen_subcommand_from trust' -l max-sign-time
complete -c bls-compile -n '__fish_seen_subcommand_from trust' -l output
complete -c bls-compile -n '__fish_seen_subcommand_from trust' -l public-key
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l cache
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l cache-size
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l cache-trust
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l compress
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l compress-window
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l cpu
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l debug-file
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l emit
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l expires
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l fast-nans
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l fuel-profile
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l if-changed
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l jobs
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l json
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l keep-going
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l key
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l max-compile-memory
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l max-compile-time
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l max-fuel
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l max-memory
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l max-sign-time
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l max-time
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l memory
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l module
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l name
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l needs
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l no-fuel
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l output
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l plug
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l policy
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l provenance
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l public-key
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l quiet
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l sbom
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l sequence
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l target
complete -c bls-compile -n 'not __fish_seen_subcommand_from run link check audit inspect strip sign verify delta symbolize push image key key-of trust' -l wasm
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -a 'verify install pull rollback list remove gc binfmt trust ext verify-receipt node run'
complete -c bls-load -n '__fish_seen_subcommand_from verify' -l all
complete -c bls-load -n '__fish_seen_subcommand_from verify' -l clock-unset
complete -c bls-load -n '__fish_seen_subcommand_from verify' -l digest
complete -c bls-load -n '__fish_seen_subcommand_from verify' -l explain
complete -c bls-load -n '__fish_seen_subcommand_from verify' -l store
complete -c bls-load -n '__fish_seen_subcommand_from verify' -l target
complete -c bls-load -n '__fish_seen_subcommand_from verify' -l trust
complete -c bls-load -n '__fish_seen_subcommand_from install' -l base
complete -c bls-load -n '__fish_seen_subcommand_from install' -l clock-unset
complete -c bls-load -n '__fish_seen_subcommand_from install' -l delta
complete -c bls-load -n '__fish_seen_subcommand_from install' -l digest
complete -c bls-load -n '__fish_seen_subcommand_from install' -l dry-run
complete -c bls-load -n '__fish_seen_subcommand_from install' -l explain
complete -c bls-load -n '__fish_seen_subcommand_from install' -l store
complete -c bls-load -n '__fish_seen_subcommand_from install' -l target
complete -c bls-load -n '__fish_seen_subcommand_from install' -l trust
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l authorities
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l clock-unset
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l dry-run
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l explain
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l plain-http
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l store
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l target
complete -c bls-load -n '__fish_seen_subcommand_from pull' -l trust
complete -c bls-load -n '__fish_seen_subcommand_from rollback' -l clock-unset
complete -c bls-load -n '__fish_seen_subcommand_from rollback' -l dry-run
complete -c bls-load -n '__fish_seen_subcommand_from rollback' -l explain
complete -c bls-load -n '__fish_seen_subcommand_from rollback' -l store
complete -c bls-load -n '__fish_seen_subcommand_from rollback' -l target
complete -c bls-load -n '__fish_seen_subcommand_from rollback' -l trust
complete -c bls-load -n '__fish_seen_subcommand_from list' -l json
complete -c bls-load -n '__fish_seen_subcommand_from list' -l store
complete -c bls-load -n '__fish_seen_subcommand_from remove' -l store
complete -c bls-load -n '__fish_seen_subcommand_from gc' -l store
complete -c bls-load -n '__fish_seen_subcommand_from binfmt' -l fixed
complete -c bls-load -n '__fish_seen_subcommand_from binfmt' -l install
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l clock
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l comment
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l compiler
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l engine
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l file
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l may
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l not-after
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l not-before
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l prefix
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l replace
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l role
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l root
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l root-threshold
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l system
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l threshold
complete -c bls-load -n '__fish_seen_subcommand_from trust' -l undo
complete -c bls-load -n '__fish_seen_subcommand_from node' -l allow-all
complete -c bls-load -n '__fish_seen_subcommand_from node' -l allow-net
complete -c bls-load -n '__fish_seen_subcommand_from node' -l allow-read
complete -c bls-load -n '__fish_seen_subcommand_from node' -l allow-write
complete -c bls-load -n '__fish_seen_subcommand_from node' -l compile-key
complete -c bls-load -n '__fish_seen_subcommand_from node' -l compile-with
complete -c bls-load -n '__fish_seen_subcommand_from node' -l debug-info
complete -c bls-load -n '__fish_seen_subcommand_from node' -l deny-net
complete -c bls-load -n '__fish_seen_subcommand_from node' -l deny-read
complete -c bls-load -n '__fish_seen_subcommand_from node' -l deny-write
complete -c bls-load -n '__fish_seen_subcommand_from node' -l dir
complete -c bls-load -n '__fish_seen_subcommand_from node' -l drivers-root-path
complete -c bls-load -n '__fish_seen_subcommand_from node' -l entry
complete -c bls-load -n '__fish_seen_subcommand_from node' -l env
complete -c bls-load -n '__fish_seen_subcommand_from node' -l env-file
complete -c bls-load -n '__fish_seen_subcommand_from node' -l fs-root-path
complete -c bls-load -n '__fish_seen_subcommand_from node' -l help
complete -c bls-load -n '__fish_seen_subcommand_from node' -l limited-fuel
complete -c bls-load -n '__fish_seen_subcommand_from node' -l limited-memory
complete -c bls-load -n '__fish_seen_subcommand_from node' -l max-memory-size
complete -c bls-load -n '__fish_seen_subcommand_from node' -l module
complete -c bls-load -n '__fish_seen_subcommand_from node' -l nn-graph
complete -c bls-load -n '__fish_seen_subcommand_from node' -l permission
complete -c bls-load -n '__fish_seen_subcommand_from node' -l run-time
complete -c bls-load -n '__fish_seen_subcommand_from node' -l runtime-logger
complete -c bls-load -n '__fish_seen_subcommand_from node' -l stderr
complete -c bls-load -n '__fish_seen_subcommand_from node' -l stdin
complete -c bls-load -n '__fish_seen_subcommand_from node' -l stdout
complete -c bls-load -n '__fish_seen_subcommand_from node' -l store
complete -c bls-load -n '__fish_seen_subcommand_from node' -l tcplisten
complete -c bls-load -n '__fish_seen_subcommand_from node' -l unknown-imports-trap
complete -c bls-load -n '__fish_seen_subcommand_from node' -l version
complete -c bls-load -n '__fish_seen_subcommand_from run' -l account
complete -c bls-load -n '__fish_seen_subcommand_from run' -l allow-extension
complete -c bls-load -n '__fish_seen_subcommand_from run' -l allow-net
complete -c bls-load -n '__fish_seen_subcommand_from run' -l argv0
complete -c bls-load -n '__fish_seen_subcommand_from run' -l authorities
complete -c bls-load -n '__fish_seen_subcommand_from run' -l broker
complete -c bls-load -n '__fish_seen_subcommand_from run' -l clock-unset
complete -c bls-load -n '__fish_seen_subcommand_from run' -l compile-key
complete -c bls-load -n '__fish_seen_subcommand_from run' -l compile-with
complete -c bls-load -n '__fish_seen_subcommand_from run' -l coredump
complete -c bls-load -n '__fish_seen_subcommand_from run' -l debug-file
complete -c bls-load -n '__fish_seen_subcommand_from run' -l deny
complete -c bls-load -n '__fish_seen_subcommand_from run' -l deny-net
complete -c bls-load -n '__fish_seen_subcommand_from run' -l deterministic
complete -c bls-load -n '__fish_seen_subcommand_from run' -l digest
complete -c bls-load -n '__fish_seen_subcommand_from run' -l dir
complete -c bls-load -n '__fish_seen_subcommand_from run' -l dir-ro
complete -c bls-load -n '__fish_seen_subcommand_from run' -l env
complete -c bls-load -n '__fish_seen_subcommand_from run' -l epoch
complete -c bls-load -n '__fish_seen_subcommand_from run' -l explain
complete -c bls-load -n '__fish_seen_subcommand_from run' -l extensions
complete -c bls-load -n '__fish_seen_subcommand_from run' -l fuel
complete -c bls-load -n '__fish_seen_subcommand_from run' -l fuel-profile
complete -c bls-load -n '__fish_seen_subcommand_from run' -l help
complete -c bls-load -n '__fish_seen_subcommand_from run' -l invoke
complete -c bls-load -n '__fish_seen_subcommand_from run' -l jitdump
complete -c bls-load -n '__fish_seen_subcommand_from run' -l list-env
complete -c bls-load -n '__fish_seen_subcommand_from run' -l listen
complete -c bls-load -n '__fish_seen_subcommand_from run' -l listen-passed
complete -c bls-load -n '__fish_seen_subcommand_from run' -l log
complete -c bls-load -n '__fish_seen_subcommand_from run' -l log-level
complete -c bls-load -n '__fish_seen_subcommand_from run' -l max-descriptors
complete -c bls-load -n '__fish_seen_subcommand_from run' -l max-memory
complete -c bls-load -n '__fish_seen_subcommand_from run' -l max-output
complete -c bls-load -n '__fish_seen_subcommand_from run' -l max-stack
complete -c bls-load -n '__fish_seen_subcommand_from run' -l metrics
complete -c bls-load -n '__fish_seen_subcommand_from run' -l only-declared
complete -c bls-load -n '__fish_seen_subcommand_from run' -l perf-map
complete -c bls-load -n '__fish_seen_subcommand_from run' -l permission
complete -c bls-load -n '__fish_seen_subcommand_from run' -l policy
complete -c bls-load -n '__fish_seen_subcommand_from run' -l receipt
complete -c bls-load -n '__fish_seen_subcommand_from run' -l receipt-key
complete -c bls-load -n '__fish_seen_subcommand_from run' -l report
complete -c bls-load -n '__fish_seen_subcommand_from run' -l require-control-flow
complete -c bls-load -n '__fish_seen_subcommand_from run' -l require-deterministic
complete -c bls-load -n '__fish_seen_subcommand_from run' -l require-fuel
complete -c bls-load -n '__fish_seen_subcommand_from run' -l require-sandbox
complete -c bls-load -n '__fish_seen_subcommand_from run' -l seed
complete -c bls-load -n '__fish_seen_subcommand_from run' -l stdin
complete -c bls-load -n '__fish_seen_subcommand_from run' -l store
complete -c bls-load -n '__fish_seen_subcommand_from run' -l timeout
complete -c bls-load -n '__fish_seen_subcommand_from run' -l trust
complete -c bls-load -n '__fish_seen_subcommand_from run' -l unknown-imports
complete -c bls-load -n '__fish_seen_subcommand_from run' -l version
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l account
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l allow-extension
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l allow-net
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l argv0
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l authorities
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l broker
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l clock-unset
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l compile-key
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l compile-with
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l coredump
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l debug-file
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l deny
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l deny-net
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l deterministic
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l digest
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l dir
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l dir-ro
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l env
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l epoch
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l explain
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l extensions
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l fuel
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l fuel-profile
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l help
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l invoke
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l jitdump
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l list-env
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l listen
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l listen-passed
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l log
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l log-level
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l max-descriptors
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l max-memory
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l max-output
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l max-stack
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l metrics
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l only-declared
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l perf-map
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l permission
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l policy
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l receipt
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l receipt-key
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l report
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l require-control-flow
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l require-deterministic
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l require-fuel
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l require-sandbox
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l seed
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l stdin
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l store
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l timeout
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l trust
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l unknown-imports
complete -c bls-load -n 'not __fish_seen_subcommand_from verify install pull rollback list remove gc binfmt trust ext verify-receipt node run' -l version
complete -c bls-registry -n 'not __fish_seen_subcommand_from push pull image cache' -a 'push pull image cache'
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l authorities
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l cosign
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l dry-run
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l json
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l key
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l max-sign-time
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l max-time
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l plain-http
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l public-key
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l quiet
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l signature
complete -c bls-registry -n '__fish_seen_subcommand_from push' -l source
complete -c bls-registry -n '__fish_seen_subcommand_from pull' -l authorities
complete -c bls-registry -n '__fish_seen_subcommand_from pull' -l json
complete -c bls-registry -n '__fish_seen_subcommand_from pull' -l max-time
complete -c bls-registry -n '__fish_seen_subcommand_from pull' -l output
complete -c bls-registry -n '__fish_seen_subcommand_from pull' -l plain-http
complete -c bls-registry -n '__fish_seen_subcommand_from pull' -l quiet
complete -c bls-registry -n '__fish_seen_subcommand_from pull' -l target
complete -c bls-registry -n '__fish_seen_subcommand_from image' -l json
complete -c bls-registry -n '__fish_seen_subcommand_from image' -l loader
complete -c bls-registry -n '__fish_seen_subcommand_from image' -l no-loader
complete -c bls-registry -n '__fish_seen_subcommand_from image' -l output
complete -c bls-registry -n '__fish_seen_subcommand_from image' -l quiet
complete -c bls-registry -n '__fish_seen_subcommand_from image' -l tag
complete -c bls-registry -n '__fish_seen_subcommand_from image' -l trust
complete -c bls-registry -n '__fish_seen_subcommand_from cache' -l authorities
complete -c bls-registry -n '__fish_seen_subcommand_from cache' -l max-time
complete -c bls-serve -n 'true' -l admin
complete -c bls-serve -n 'true' -l allow-net
complete -c bls-serve -n 'true' -l authorities
complete -c bls-serve -n 'true' -l broker
complete -c bls-serve -n 'true' -l clock-unset
complete -c bls-serve -n 'true' -l deny
complete -c bls-serve -n 'true' -l deny-net
complete -c bls-serve -n 'true' -l dir
complete -c bls-serve -n 'true' -l dir-ro
complete -c bls-serve -n 'true' -l drain
complete -c bls-serve -n 'true' -l env
complete -c bls-serve -n 'true' -l fuel
complete -c bls-serve -n 'true' -l header-timeout
complete -c bls-serve -n 'true' -l help
complete -c bls-serve -n 'true' -l idle-timeout
complete -c bls-serve -n 'true' -l listen
complete -c bls-serve -n 'true' -l log
complete -c bls-serve -n 'true' -l log-level
complete -c bls-serve -n 'true' -l max-connections
complete -c bls-serve -n 'true' -l max-descriptors
complete -c bls-serve -n 'true' -l max-memory
complete -c bls-serve -n 'true' -l max-output
complete -c bls-serve -n 'true' -l max-request
complete -c bls-serve -n 'true' -l otlp
complete -c bls-serve -n 'true' -l pass-authorization
complete -c bls-serve -n 'true' -l policy
complete -c bls-serve -n 'true' -l queue
complete -c bls-serve -n 'true' -l require-fuel
complete -c bls-serve -n 'true' -l require-sandbox
complete -c bls-serve -n 'true' -l route
complete -c bls-serve -n 'true' -l store
complete -c bls-serve -n 'true' -l timeout
complete -c bls-serve -n 'true' -l trust
complete -c bls-serve -n 'true' -l version
complete -c bls-serve -n 'true' -l workers
