//! The functions of the interfaces of the Blockless (bless) network that bls-load has for
//! guests, beside WASI.
//!
//! | interface | what it is for |
//! |---|---|
//! | `blockless_memory` | standard input and listed variables, as text |
//! | `bless` | calls by JSON-RPC 2.0, requests by HTTP among them |
//! | `blockless_http` | requests by HTTP, read piece by piece |
//! | `bls_http` | the same for the WASI 0.2 module of components: bls-load's own, not the network's |
//! | `bls_socket` | connections by TCP, for the same module |
//! | `blockless_cgi` | extensions: programs of the operator's |
//! | `blockless_socket`, `blockless_drivers` | connections by TCP |
//! | `blockless_llm`, `blockless_ipfs`, `blockless_s3`, `bless_crawl` | not offered: each answers its own refusal |
//!
//! One table ([`for_each_blockless_function`](crate::for_each_blockless_function)), written as
//! that of preview 1 is. All parameters are 32-bit integers, text is UTF-8 without an end mark,
//! and 0 is the code for "done". Does no work for a guest.

use crate::interface::{Function, functions};

/// Gives the whole table to a macro, in the form of
/// [`for_each_function`](crate::for_each_function), by interface. What an outside answer costs
/// is owed where it is asked for: `loader/src/host/price.rs`.
#[macro_export]
macro_rules! for_each_blockless_function {
    ($then:ident) => {
        $then! {
        blockless_memory {
            memory_read(buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [Stdin];
            env_var_read(buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [Environment];
        }
        bless {
            rpc_call(request: pair Bytes, answer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [Http];
        }
        blockless_http {
            http_req(
                url: pair Bytes, options: pair Bytes, handle: Pointer, status: Pointer
            ) -> code,
                costs CALL, may_use [Http];
            http_close(handle: u32) -> code,
                costs CALL, may_use [];
            http_read_header(
                handle: u32, name: pair Bytes, buffer: pair Bytes, length: Pointer
            ) -> code,
                costs CALL, may_use [];
            http_read_body(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
        }
        bls_http {
            request_check(url: pair Bytes) -> code,
                costs CALL, may_use [Http];
            request_send(
                head: pair Bytes, body: pair Bytes, connect_ms: u32, first_byte_ms: u32,
                between_bytes_ms: u32, answer: Pointer
            ) -> code,
                costs CALL, may_use [Http];
            response_head(answer: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            response_read(answer: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            response_close(answer: u32) -> code,
                costs CALL, may_use [];
        }
        bls_socket {
            lookup(name: pair Bytes) -> code,
                costs CALL, may_use [Sockets];
            connect(address: pair Bytes, descriptor: Pointer) -> code,
                costs CALL, may_use [Sockets];
            listen(address: pair Bytes, descriptor: Pointer) -> code,
                costs CALL, may_use [Sockets];
            address(descriptor: u32, peer: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
        }
        blockless_cgi {
            cgi_list_exec(handle: Pointer) -> code,
                costs CALL, may_use [Extension];
            cgi_list_read(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            cgi_open(command: pair Bytes, handle: Pointer) -> code,
                costs CALL, may_use [Extension];
            cgi_stdout_read(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            cgi_stderr_read(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            cgi_stdin_write(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            cgi_close(handle: u32) -> code,
                costs CALL, may_use [];
        }
        blockless_socket {
            create_tcp_bind_socket(address: pair Bytes, descriptor: Pointer) -> code,
                costs CALL, may_use [Sockets];
            tcp_connect(address: pair Bytes, descriptor: Pointer) -> code,
                costs CALL, may_use [Sockets];
        }
        blockless_drivers {
            blockless_open(url: pair Bytes, options: pair Bytes, descriptor: Pointer) -> code,
                costs CALL, may_use [Sockets];
        }
        blockless_llm {
            llm_set_model_request(handle: Pointer, model: pair Bytes) -> code,
                costs CALL, may_use [];
            llm_get_model_response(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            llm_set_model_options_request(handle: u32, options: pair Bytes) -> code,
                costs CALL, may_use [];
            llm_get_model_options(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            llm_prompt_request(handle: u32, prompt: pair Bytes) -> code,
                costs CALL, may_use [];
            llm_read_prompt_response(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            llm_close(handle: u32) -> code,
                costs CALL, may_use [];
        }
        blockless_ipfs {
            ipfs_command(command: pair Bytes, handle: Pointer, status: Pointer) -> code,
                costs CALL, may_use [];
            ipfs_read(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            ipfs_write(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            ipfs_close(handle: u32) -> code,
                costs CALL, may_use [];
        }
        blockless_s3 {
            bucket_command(command: u32, arguments: pair Bytes, handle: Pointer) -> code,
                costs CALL, may_use [];
            bucket_put_object(arguments: pair Bytes, content: pair Bytes) -> code,
                costs CALL, may_use [];
            s3_read(handle: u32, buffer: pair Bytes, length: Pointer) -> code,
                costs CALL, may_use [];
            s3_close(handle: u32) -> code,
                costs CALL, may_use [];
        }
        bless_crawl {
            scrape(
                handle: Pointer, url: pair Bytes, options: pair Bytes, buffer: pair Bytes,
                length: Pointer
            ) -> code,
                costs CALL, may_use [];
            close(handle: u32) -> code,
                costs CALL, may_use [];
        }
        }
    };
}

crate::for_each_blockless_function!(functions);

/// The function `name` of `module`, if there is one.
pub(crate) fn function(module: &str, name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| (function.interface, function.name) == (module, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_the_one_that_guests_import() {
        // What the SDKs' import sections say, by the number of 32-bit parameters; and what the
        // WASI 0.2 module imports.
        let expected = [
            ("blockless_http", "http_req", 6),
            ("blockless_http", "http_close", 1),
            ("blockless_http", "http_read_header", 6),
            ("blockless_http", "http_read_body", 4),
            ("bls_http", "request_check", 2),
            ("bls_http", "request_send", 8),
            ("bls_http", "response_head", 4),
            ("bls_http", "response_read", 4),
            ("bls_http", "response_close", 1),
            ("bls_socket", "lookup", 2),
            ("bls_socket", "connect", 3),
            ("bls_socket", "listen", 3),
            ("bls_socket", "address", 5),
            ("blockless_cgi", "cgi_list_exec", 1),
            ("blockless_cgi", "cgi_list_read", 4),
            ("blockless_cgi", "cgi_open", 3),
            ("blockless_cgi", "cgi_stdout_read", 4),
            ("blockless_cgi", "cgi_stderr_read", 4),
            ("blockless_cgi", "cgi_stdin_write", 4),
            ("blockless_cgi", "cgi_close", 1),
            ("blockless_memory", "memory_read", 3),
            ("blockless_memory", "env_var_read", 3),
            ("blockless_socket", "create_tcp_bind_socket", 3),
            ("blockless_socket", "tcp_connect", 3),
            ("blockless_drivers", "blockless_open", 5),
            ("bless", "rpc_call", 5),
            ("blockless_ipfs", "ipfs_command", 4),
            ("blockless_ipfs", "ipfs_read", 4),
            ("blockless_ipfs", "ipfs_write", 4),
            ("blockless_ipfs", "ipfs_close", 1),
            ("blockless_s3", "bucket_command", 4),
            ("blockless_s3", "bucket_put_object", 4),
            ("blockless_s3", "s3_read", 4),
            ("blockless_s3", "s3_close", 1),
            ("blockless_llm", "llm_set_model_request", 3),
            ("blockless_llm", "llm_get_model_response", 4),
            ("blockless_llm", "llm_set_model_options_request", 3),
            ("blockless_llm", "llm_get_model_options", 4),
            ("blockless_llm", "llm_prompt_request", 3),
            ("blockless_llm", "llm_read_prompt_response", 4),
            ("blockless_llm", "llm_close", 1),
            ("bless_crawl", "scrape", 8),
            ("bless_crawl", "close", 1),
        ];
        assert_eq!(FUNCTIONS.len(), expected.len());
        for (module, name, parameters) in expected {
            let found = function(module, name).unwrap_or_else(|| panic!("{module}.{name}"));
            let ty = format!("func (param{}) (result i32)", " i32".repeat(parameters));
            assert_eq!(found.ty(), ty, "{module}.{name}");
        }
    }
}
