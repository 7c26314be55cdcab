//! bls-broker: network and extensions for a guest of bls-load (BROKER.md).

fn main() -> std::process::ExitCode {
    bls_broker::program::main()
}
