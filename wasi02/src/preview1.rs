//! The functions of preview 1 that the host has, and what they take and give.

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    safe fn proc_exit(code: u32) -> !;
    fn args_sizes_get(count: *mut u32, bytes: *mut u32) -> u32;
    fn args_get(places: *mut *mut u8, bytes: *mut u8) -> u32;
    fn environ_sizes_get(count: *mut u32, bytes: *mut u32) -> u32;
    fn environ_get(places: *mut *mut u8, bytes: *mut u8) -> u32;
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    fn clock_res_get(clock: u32, resolution: *mut u64) -> u32;
    fn random_get(bytes: *mut u8, length: usize) -> u32;
    fn fd_read(fd: u32, lists: *const Piece, count: u32, read: *mut u32) -> u32;
    fn fd_write(fd: u32, lists: *const Piece, count: u32, written: *mut u32) -> u32;
    fn fd_pread(fd: u32, lists: *const Piece, count: u32, offset: u64, read: *mut u32) -> u32;
    fn fd_pwrite(fd: u32, lists: *const Piece, count: u32, offset: u64, written: *mut u32) -> u32;
    safe fn fd_close(fd: u32) -> u32;
    safe fn fd_sync(fd: u32) -> u32;
    safe fn fd_datasync(fd: u32) -> u32;
    safe fn fd_advise(fd: u32, offset: u64, length: u64, advice: u32) -> u32;
    safe fn fd_filestat_set_size(fd: u32, size: u64) -> u32;
    safe fn fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, which: u32) -> u32;
    fn fd_fdstat_get(fd: u32, attributes: *mut FdStat) -> u32;
    fn fd_filestat_get(fd: u32, attributes: *mut FileStat) -> u32;
    fn fd_prestat_get(fd: u32, prestat: *mut [u32; 2]) -> u32;
    fn fd_prestat_dir_name(fd: u32, path: *mut u8, length: usize) -> u32;
    fn fd_readdir(fd: u32, buffer: *mut u8, length: usize, cookie: u64, used: *mut u32) -> u32;
    fn path_open(
        fd: u32,
        lookup: u32,
        path: *const u8,
        length: usize,
        how: u32,
        rights: u64,
        rights_inheriting: u64,
        flags: u32,
        opened: *mut u32,
    ) -> u32;
    fn path_filestat_get(
        fd: u32,
        lookup: u32,
        path: *const u8,
        length: usize,
        attributes: *mut FileStat,
    ) -> u32;
    fn path_filestat_set_times(
        fd: u32,
        lookup: u32,
        path: *const u8,
        length: usize,
        accessed: u64,
        modified: u64,
        which: u32,
    ) -> u32;
    fn path_create_directory(fd: u32, path: *const u8, length: usize) -> u32;
    fn path_remove_directory(fd: u32, path: *const u8, length: usize) -> u32;
    fn path_unlink_file(fd: u32, path: *const u8, length: usize) -> u32;
    fn path_readlink(
        fd: u32,
        path: *const u8,
        length: usize,
        buffer: *mut u8,
        room: usize,
        used: *mut u32,
    ) -> u32;
    fn path_rename(
        fd: u32,
        path: *const u8,
        length: usize,
        to: u32,
        new: *const u8,
        new_length: usize,
    ) -> u32;
    fn path_symlink(
        target: *const u8,
        target_length: usize,
        fd: u32,
        path: *const u8,
        length: usize,
    ) -> u32;
    fn path_link(
        fd: u32,
        lookup: u32,
        path: *const u8,
        length: usize,
        to: u32,
        new: *const u8,
        new_length: usize,
    ) -> u32;
    #[cfg(network)]
    fn sock_accept(fd: u32, flags: u32, accepted: *mut u32) -> u32;
    #[cfg(network)]
    safe fn sock_shutdown(fd: u32, how: u32) -> u32;
    fn poll_oneoff(
        subscriptions: *const Subscription,
        events: *mut Event,
        count: u32,
        happened: *mut u32,
    ) -> u32;
}

/// An error number of preview 1; never 0.
pub(crate) type Errno = u32;

#[cfg(network)]
pub(crate) const AGAIN: Errno = 6;
pub(crate) const BADF: Errno = 8;
pub(crate) const INVAL: Errno = 28;
pub(crate) const ILSEQ: Errno = 25;
pub(crate) const PERM: Errno = 63;
pub(crate) const PIPE: Errno = 64;
/// None of the host's: more was written than a header said.
pub(crate) const BODY_SIZE: Errno = 1000;

/// Clocks.
pub(crate) const REALTIME: u32 = 0;
pub(crate) const MONOTONIC: u32 = 1;

/// Rights that say how a file is opened, and all there are.
pub(crate) const RIGHT_READ: u64 = 1 << 1;
pub(crate) const RIGHT_WRITE: u64 = 1 << 6;
pub(crate) const RIGHTS: u64 = (1 << 29) - 1;

/// Kinds of files.
pub(crate) const CHARACTER_DEVICE: u8 = 2;
pub(crate) const DIRECTORY: u8 = 3;

#[repr(C)]
struct Piece {
    bytes: *const u8,
    length: usize,
}

/// What is known of a descriptor.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct FdStat {
    pub(crate) kind: u8,
    pub(crate) flags: u16,
    pub(crate) rights: u64,
    pub(crate) rights_inheriting: u64,
}

/// What is known of a file.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct FileStat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) kind: u8,
    pub(crate) links: u64,
    pub(crate) size: u64,
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    pub(crate) changed: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Subscription {
    userdata: u64,
    /// 0: a clock; 1: something to read; 2: room to write. What is shorter there is as long here:
    /// zeros follow it.
    tag: u64,
    /// The clock, or the descriptor.
    what: u64,
    time: u64,
    precision: u64,
    /// 1: the time is a point on the clock.
    flags: u64,
}

impl Subscription {
    pub(crate) fn until(time: u64) -> Self {
        Self { tag: 0, what: u64::from(MONOTONIC), time, flags: 1, ..Self::default() }
    }

    pub(crate) fn at_once() -> Self {
        Self { tag: 0, what: u64::from(MONOTONIC), ..Self::default() }
    }

    pub(crate) fn readable(fd: u32) -> Self {
        Self { tag: 1, what: u64::from(fd), ..Self::default() }
    }

    #[cfg(network)]
    pub(crate) fn writable(fd: u32) -> Self {
        Self { tag: 2, what: u64::from(fd), ..Self::default() }
    }

    /// Whether it is for something to read.
    pub(crate) fn is_read(kind: u8) -> bool {
        kind == 1
    }
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Event {
    userdata: u64,
    error: u16,
    pub(crate) kind: u8,
    bytes: u64,
    flags: u16,
}

fn done(error: u32) -> Result<(), Errno> {
    if error == 0 { Ok(()) } else { Err(error) }
}

pub(crate) fn exit(code: u32) -> ! {
    proc_exit(code)
}

/// Arguments or variables, each without the zero behind it.
pub(crate) fn texts(variables: bool) -> alloc::vec::Vec<alloc::vec::Vec<u8>> {
    let (mut count, mut bytes) = (0, 0);
    // SAFETY: both are places of the right size.
    let error = unsafe {
        match variables {
            true => environ_sizes_get(&mut count, &mut bytes),
            false => args_sizes_get(&mut count, &mut bytes),
        }
    };
    if error != 0 || count == 0 {
        return alloc::vec::Vec::new();
    }
    let mut places = alloc::vec![core::ptr::null_mut(); count as usize];
    let mut all = alloc::vec![0_u8; bytes as usize];
    // SAFETY: there is room for as much as was said.
    let error = unsafe {
        match variables {
            true => environ_get(places.as_mut_ptr(), all.as_mut_ptr()),
            false => args_get(places.as_mut_ptr(), all.as_mut_ptr()),
        }
    };
    if error != 0 {
        return alloc::vec::Vec::new();
    }
    // They lie one behind the other.
    let mut texts = alloc::vec::Vec::with_capacity(places.len());
    texts.extend(all.split(|byte| *byte == 0).take(places.len()).map(<[u8]>::to_vec));
    texts
}

pub(crate) fn time(clock: u32) -> u64 {
    let mut time = 0;
    // SAFETY: a place of the right size.
    match unsafe { clock_time_get(clock, 1, &mut time) } {
        0 => time,
        _ => crate::trap(),
    }
}

pub(crate) fn resolution(clock: u32) -> u64 {
    let mut resolution = 0;
    // SAFETY: a place of the right size.
    match unsafe { clock_res_get(clock, &mut resolution) } {
        0 => resolution,
        _ => crate::trap(),
    }
}

pub(crate) fn random(bytes: &mut [u8]) {
    // SAFETY: a place of that length.
    if unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) } != 0 {
        crate::trap();
    }
}

/// Reads from where the descriptor is, or at an offset.
pub(crate) fn read(fd: u32, bytes: &mut [u8], offset: Option<u64>) -> Result<usize, Errno> {
    let piece = Piece { bytes: bytes.as_ptr(), length: bytes.len() };
    let mut read = 0;
    // SAFETY: one piece, with a place of that length.
    let error = unsafe {
        match offset {
            Some(offset) => fd_pread(fd, &piece, 1, offset, &mut read),
            None => fd_read(fd, &piece, 1, &mut read),
        }
    };
    done(error)?;
    Ok((read as usize).min(bytes.len()))
}

/// Writes to where the descriptor is, or at an offset; what is written may be less.
pub(crate) fn write(fd: u32, bytes: &[u8], offset: Option<u64>) -> Result<usize, Errno> {
    let piece = Piece { bytes: bytes.as_ptr(), length: bytes.len() };
    let mut written = 0;
    // SAFETY: one piece of that length.
    let error = unsafe {
        match offset {
            Some(offset) => fd_pwrite(fd, &piece, 1, offset, &mut written),
            None => fd_write(fd, &piece, 1, &mut written),
        }
    };
    done(error)?;
    Ok((written as usize).min(bytes.len()))
}

pub(crate) fn close(fd: u32) {
    // There is nobody to tell.
    let _ = fd_close(fd);
}

pub(crate) fn sync(fd: u32, data_only: bool) -> Result<(), Errno> {
    done(if data_only { fd_datasync(fd) } else { fd_sync(fd) })
}

pub(crate) fn advise(fd: u32, offset: u64, length: u64, advice: u32) -> Result<(), Errno> {
    done(fd_advise(fd, offset, length, advice))
}

pub(crate) fn set_size(fd: u32, size: u64) -> Result<(), Errno> {
    done(fd_filestat_set_size(fd, size))
}

/// Times to be set: both in nanoseconds, and which (preview 1's flags).
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) accessed: u64,
    pub(crate) modified: u64,
    pub(crate) which: u32,
}

pub(crate) fn set_times(fd: u32, times: Times) -> Result<(), Errno> {
    done(fd_filestat_set_times(fd, times.accessed, times.modified, times.which))
}

pub(crate) fn fd_stat(fd: u32) -> Result<FdStat, Errno> {
    let mut stat = FdStat::default();
    // SAFETY: a place of the right size.
    done(unsafe { fd_fdstat_get(fd, &mut stat) })?;
    Ok(stat)
}

pub(crate) fn file_stat(fd: u32) -> Result<FileStat, Errno> {
    let mut stat = FileStat::default();
    // SAFETY: a place of the right size.
    done(unsafe { fd_filestat_get(fd, &mut stat) })?;
    Ok(stat)
}

/// The path that a folder is granted under; none where the descriptor is no such folder.
pub(crate) fn granted(fd: u32) -> Option<alloc::vec::Vec<u8>> {
    let mut prestat = [0; 2];
    // SAFETY: a place of the right size.
    done(unsafe { fd_prestat_get(fd, &mut prestat) }).ok()?;
    let mut path = alloc::vec![0; prestat[1] as usize];
    // SAFETY: a place of that length.
    done(unsafe { fd_prestat_dir_name(fd, path.as_mut_ptr(), path.len()) }).ok()?;
    Some(path)
}

/// Entries of a folder, as preview 1 writes them.
pub(crate) fn entries(fd: u32, buffer: &mut [u8], cookie: u64) -> Result<usize, Errno> {
    let mut used = 0;
    // SAFETY: a place of that length.
    done(unsafe { fd_readdir(fd, buffer.as_mut_ptr(), buffer.len(), cookie, &mut used) })?;
    Ok((used as usize).min(buffer.len()))
}

/// How something is opened, in preview 1's numbers.
#[derive(Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) lookup: u32,
    pub(crate) how: u32,
    pub(crate) rights: u64,
    pub(crate) flags: u32,
}

pub(crate) fn open(fd: u32, path: &str, opening: Opening) -> Result<u32, Errno> {
    let Opening { lookup, how, rights, flags } = opening;
    let mut opened = 0;
    // SAFETY: a path of that length, and a place for the number.
    done(unsafe {
        path_open(fd, lookup, path.as_ptr(), path.len(), how, rights, RIGHTS, flags, &mut opened)
    })?;
    Ok(opened)
}

pub(crate) fn stat_at(fd: u32, lookup: u32, path: &str) -> Result<FileStat, Errno> {
    let mut stat = FileStat::default();
    // SAFETY: a path of that length, and a place of the right size.
    done(unsafe { path_filestat_get(fd, lookup, path.as_ptr(), path.len(), &mut stat) })?;
    Ok(stat)
}

pub(crate) fn set_times_at(fd: u32, lookup: u32, path: &str, times: Times) -> Result<(), Errno> {
    let Times { accessed, modified, which } = times;
    // SAFETY: a path of that length.
    done(unsafe {
        path_filestat_set_times(fd, lookup, path.as_ptr(), path.len(), accessed, modified, which)
    })
}

pub(crate) fn create_directory(fd: u32, path: &str) -> Result<(), Errno> {
    // SAFETY: a path of that length.
    done(unsafe { path_create_directory(fd, path.as_ptr(), path.len()) })
}

pub(crate) fn remove_directory(fd: u32, path: &str) -> Result<(), Errno> {
    // SAFETY: a path of that length.
    done(unsafe { path_remove_directory(fd, path.as_ptr(), path.len()) })
}

pub(crate) fn unlink(fd: u32, path: &str) -> Result<(), Errno> {
    // SAFETY: a path of that length.
    done(unsafe { path_unlink_file(fd, path.as_ptr(), path.len()) })
}

pub(crate) fn read_link(fd: u32, path: &str, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut used = 0;
    // SAFETY: a path and a place of their lengths.
    done(unsafe {
        path_readlink(fd, path.as_ptr(), path.len(), buffer.as_mut_ptr(), buffer.len(), &mut used)
    })?;
    Ok((used as usize).min(buffer.len()))
}

pub(crate) fn rename(fd: u32, path: &str, to: u32, new: &str) -> Result<(), Errno> {
    // SAFETY: paths of their lengths.
    done(unsafe { path_rename(fd, path.as_ptr(), path.len(), to, new.as_ptr(), new.len()) })
}

pub(crate) fn symlink(target: &str, fd: u32, path: &str) -> Result<(), Errno> {
    // SAFETY: texts of their lengths.
    done(unsafe { path_symlink(target.as_ptr(), target.len(), fd, path.as_ptr(), path.len()) })
}

pub(crate) fn link(fd: u32, lookup: u32, path: &str, to: u32, new: &str) -> Result<(), Errno> {
    // SAFETY: paths of their lengths.
    done(unsafe { path_link(fd, lookup, path.as_ptr(), path.len(), to, new.as_ptr(), new.len()) })
}

/// Takes a connection from a socket that listens; it blocks nobody.
#[cfg(network)]
pub(crate) fn accept(fd: u32) -> Result<u32, Errno> {
    const NONBLOCK: u32 = 1 << 2;
    let mut accepted = 0;
    // SAFETY: a place for a number.
    done(unsafe { sock_accept(fd, NONBLOCK, &mut accepted) })?;
    Ok(accepted)
}

/// Ends one way of a connection, or both: bit 0 is what is received, bit 1 what is sent.
#[cfg(network)]
pub(crate) fn shutdown(fd: u32, how: u32) -> Result<(), Errno> {
    done(sock_shutdown(fd, how))
}

/// Waits until one of these has happened; which have.
pub(crate) fn poll(wanted: &[Subscription], happened: &mut [Event]) -> Result<usize, Errno> {
    let mut count = 0;
    let most = wanted.len().min(happened.len());
    // SAFETY: as many of both.
    done(unsafe { poll_oneoff(wanted.as_ptr(), happened.as_mut_ptr(), most as u32, &mut count) })?;
    Ok((count as usize).min(most))
}

/// Arguments alone: a library that is called by its types asks for no variables.
#[cfg(typed)]
pub(crate) fn arguments() -> alloc::vec::Vec<alloc::vec::Vec<u8>> {
    let (mut count, mut bytes) = (0, 0);
    // SAFETY: both are places of the right size.
    if unsafe { args_sizes_get(&mut count, &mut bytes) } != 0 || count == 0 {
        return alloc::vec::Vec::new();
    }
    let mut places = alloc::vec![core::ptr::null_mut(); count as usize];
    let mut all = alloc::vec![0_u8; bytes as usize];
    // SAFETY: there is room for as much as was said.
    if unsafe { args_get(places.as_mut_ptr(), all.as_mut_ptr()) } != 0 {
        return alloc::vec::Vec::new();
    }
    // They lie one behind the other.
    all.split(|byte| *byte == 0).take(places.len()).map(<[u8]>::to_vec).collect()
}
