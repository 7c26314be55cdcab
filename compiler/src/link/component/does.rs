//! What functions of preview 1 are for, in terms of WASI 0.2: at least one of these is called by an
//! adapter that has them.

/// An interface without its version, and a function.
type Call = (&'static str, &'static str);

const CLOCK: &str = "wasi:clocks/monotonic-clock";
const WALL: &str = "wasi:clocks/wall-clock";
const ENVIRONMENT: &str = "wasi:cli/environment";
const FILES: &str = "wasi:filesystem/types";
const STREAMS: &str = "wasi:io/streams";

/// Letting a handle go, whichever its type.
pub(super) const DROP: Call = ("", "[resource-drop]");

/// What a function of preview 1 comes down to: any of these; nothing, where it is for what an
/// adapter does by itself, or refuses. None, where preview 1 has no such function.
pub(super) fn does(name: &str) -> Option<&'static [Call]> {
    Some(match name {
        "args_get" | "args_sizes_get" => &[(ENVIRONMENT, "get-arguments")],
        "environ_get" | "environ_sizes_get" => &[(ENVIRONMENT, "get-environment")],
        "clock_res_get" => &[(CLOCK, "resolution"), (WALL, "resolution")],
        "clock_time_get" => &[(CLOCK, "now"), (WALL, "now")],
        "fd_advise" => &[(FILES, "[method]descriptor.advise")],
        "fd_close" => &[DROP],
        "fd_datasync" => &[(FILES, "[method]descriptor.sync-data")],
        "fd_fdstat_get" => &[(FILES, "[method]descriptor.get-flags")],
        "fd_filestat_get" => &[(FILES, "[method]descriptor.stat")],
        "fd_filestat_set_size" => &[(FILES, "[method]descriptor.set-size")],
        "fd_filestat_set_times" => &[(FILES, "[method]descriptor.set-times")],
        "fd_read" | "fd_pread" => &[
            (STREAMS, "[method]input-stream.read"),
            (STREAMS, "[method]input-stream.blocking-read"),
            (FILES, "[method]descriptor.read"),
        ],
        "fd_write" | "fd_pwrite" => &[
            (STREAMS, "[method]output-stream.write"),
            (STREAMS, "[method]output-stream.blocking-write-and-flush"),
            (FILES, "[method]descriptor.write"),
        ],
        "fd_prestat_get" | "fd_prestat_dir_name" => {
            &[("wasi:filesystem/preopens", "get-directories")]
        }
        "fd_readdir" => &[(FILES, "[method]directory-entry-stream.read-directory-entry")],
        "fd_sync" => &[(FILES, "[method]descriptor.sync")],
        "path_create_directory" => &[(FILES, "[method]descriptor.create-directory-at")],
        "path_filestat_get" => &[(FILES, "[method]descriptor.stat-at")],
        "path_filestat_set_times" => &[(FILES, "[method]descriptor.set-times-at")],
        "path_link" => &[(FILES, "[method]descriptor.link-at")],
        "path_open" => &[(FILES, "[method]descriptor.open-at")],
        "path_readlink" => &[(FILES, "[method]descriptor.readlink-at")],
        "path_remove_directory" => &[(FILES, "[method]descriptor.remove-directory-at")],
        "path_rename" => &[(FILES, "[method]descriptor.rename-at")],
        "path_symlink" => &[(FILES, "[method]descriptor.symlink-at")],
        "path_unlink_file" => &[(FILES, "[method]descriptor.unlink-file-at")],
        "poll_oneoff" => &[("wasi:io/poll", "poll")],
        "proc_exit" => &[("wasi:cli/exit", "exit"), ("wasi:cli/exit", "exit-with-code")],
        "random_get" => &[("wasi:random/random", "get-random-bytes")],
        "fd_allocate"
        | "fd_fdstat_set_flags"
        | "fd_fdstat_set_rights"
        | "fd_renumber"
        | "fd_seek"
        | "fd_tell"
        | "proc_raise"
        | "sched_yield"
        | "sock_accept"
        | "sock_recv"
        | "sock_send"
        | "sock_shutdown" => &[],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bls_artifact::capability::WASI_PREVIEW1;
    use bls_artifact::host_table::all;

    #[test]
    fn every_function_of_preview_1_is_there_and_no_other() {
        let of_preview1 = all().filter(|function| function.interface == WASI_PREVIEW1);
        assert!(of_preview1.map(|function| does(function.name)).all(|calls| calls.is_some()));
        assert!(does("adapter_open_badfd").is_none());
    }
}
