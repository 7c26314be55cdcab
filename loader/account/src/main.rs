//! bls-account: metrics of runs, and signed receipts for them.

fn main() -> std::process::ExitCode {
    bls_account::program::main()
}
