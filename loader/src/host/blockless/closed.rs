//! What a loader without the network has of `bls_http` and `bls_socket`: each function is there,
//! and answers that nothing is granted, as it would where nothing is. Components import them with
//! their language's library, whether they use the network or not.

use super::exchange::code;
use crate::host::errno::Failure;
use crate::host::wiring::Row;
use bls_artifact::broker::Reason;

/// The functions, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    denied("bls_http", "request_check"),
    denied("bls_http", "request_send"),
    denied("bls_http", "response_head"),
    denied("bls_http", "response_read"),
    denied("bls_http", "response_close"),
    denied("bls_socket", "lookup"),
    denied("bls_socket", "connect"),
    denied("bls_socket", "listen"),
    denied("bls_socket", "address"),
];

const fn denied(interface: &'static str, name: &'static str) -> Row {
    Row { interface, name, run: |_, _, _| Err(Failure::Code(code(Reason::Denied))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_ours_is_there() {
        let name = |row: &Row| (row.interface, row.name);
        let ours = super::super::ROWS.iter().filter(|row| row.interface.starts_with("bls_"));
        assert_eq!(ROWS.iter().map(name).collect::<Vec<_>>(), ours.map(name).collect::<Vec<_>>());
    }
}
