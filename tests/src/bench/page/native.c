/* What a guest that wasm2c made into C needs of WASI preview 1 to run as a native program: standard
   streams, arguments, clocks, randomness, and the files of the current folder. No sandbox: a
   descriptor of the guest is the process's own, and 3 is the folder. Names are wasm2c's own, for
   a module that it was told to call guest. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "guest.h"
#include "wasm-rt-impl.h"

struct Z_wasi_snapshot_preview1_instance_t { int unused; };
static Z_guest_instance_t guest;
static char **arguments;
static u32 count;

#define WASI(name, ...) \
    Z_wasi_snapshot_preview1Z_##name(struct Z_wasi_snapshot_preview1_instance_t *host, ##__VA_ARGS__)
/* A place in the guest's memory. Its memory has guard pages, as in the sandbox. */
#define AT(type, address) ((type *)(Z_guestZ_memory(&guest)->data + (u32)(address)))

/* Errors as preview 1 numbers them; all others are of input or output. */
static u32 error(void) {
    return errno == EBADF ? 8 : errno == EINVAL ? 28 : errno == ENOENT ? 44 : errno == ESPIPE ? 70 : 29;
}

static u32 strings(u32 pointers, u32 bytes, char **from, u32 n) {
    for (u32 i = 0; i < n; i++) {
        *AT(u32, pointers + 4 * i) = bytes;
        bytes += strlen(strcpy(AT(char, bytes), from[i])) + 1;
    }
    return 0;
}

static u32 sizes(u32 number, u32 bytes, char **from, u32 n) {
    u32 total = 0;
    for (u32 i = 0; i < n; i++) total += strlen(from[i]) + 1;
    *AT(u32, number) = n;
    *AT(u32, bytes) = total;
    return 0;
}

u32 WASI(args_get, u32 pointers, u32 bytes) { return strings(pointers, bytes, arguments, count); }
u32 WASI(args_sizes_get, u32 number, u32 bytes) { return sizes(number, bytes, arguments, count); }
u32 WASI(environ_get, u32 pointers, u32 bytes) { return strings(pointers, bytes, 0, 0); }
u32 WASI(environ_sizes_get, u32 number, u32 bytes) { return sizes(number, bytes, 0, 0); }

u32 WASI(clock_time_get, u32 clock, u64 precision, u32 result) {
    struct timespec now;
    if (clock > 1 || clock_gettime(clock ? CLOCK_MONOTONIC : CLOCK_REALTIME, &now)) return 28;
    *AT(u64, result) = now.tv_sec * 1000000000ull + now.tv_nsec;
    return 0;
}

u32 WASI(random_get, u32 buffer, u32 length) {
    return getrandom(AT(char, buffer), length, 0) == length ? 0 : 29;
}

static u32 transfer(u32 fd, u32 vectors, u32 n, u32 result, int is_read) {
    u32 done = 0;
    for (u32 i = 0; i < n; i++) {
        char *bytes = AT(char, AT(u32, vectors)[2 * i]);
        u32 length = AT(u32, vectors)[2 * i + 1];
        ssize_t some = is_read ? read(fd, bytes, length) : write(fd, bytes, length);
        if (some < 0) return error();
        done += some;
        if (some < length) break;
    }
    *AT(u32, result) = done;
    return 0;
}

u32 WASI(fd_read, u32 fd, u32 vectors, u32 n, u32 result) { return transfer(fd, vectors, n, result, 1); }
u32 WASI(fd_write, u32 fd, u32 vectors, u32 n, u32 result) { return transfer(fd, vectors, n, result, 0); }
u32 WASI(fd_close, u32 fd) { return close(fd) ? error() : 0; }

u32 WASI(fd_seek, u32 fd, u64 offset, u32 whence, u32 result) {
    off_t at = lseek(fd, offset, whence == 0 ? SEEK_SET : whence == 1 ? SEEK_CUR : SEEK_END);
    if (at < 0) return error();
    *AT(u64, result) = at;
    return 0;
}

static u8 kind(struct stat *of) {
    return S_ISCHR(of->st_mode) ? 2 : S_ISDIR(of->st_mode) ? 3 : S_ISREG(of->st_mode) ? 4 : 0;
}

u32 WASI(fd_fdstat_get, u32 fd, u32 result) {
    struct stat found;
    if (fstat(fd, &found)) return error();
    memset(AT(char, result), 0, 24);
    *AT(u8, result) = kind(&found);
    *AT(u64, result + 8) = *AT(u64, result + 16) = ~0ull;
    return 0;
}

static u32 filestat(u32 result, struct stat *found) {
    memset(AT(char, result), 0, 64);
    *AT(u64, result) = found->st_dev;
    *AT(u64, result + 8) = found->st_ino;
    *AT(u8, result + 16) = kind(found);
    *AT(u64, result + 24) = found->st_nlink;
    *AT(u64, result + 32) = found->st_size;
    return 0;
}

u32 WASI(fd_filestat_get, u32 fd, u32 result) {
    struct stat found;
    return fstat(fd, &found) ? error() : filestat(result, &found);
}

/* A path of the guest's, ended with a zero. */
static const char *path_at(u32 path, u32 length, char *into, size_t room) {
    snprintf(into, room, "%.*s", (int)length, AT(char, path));
    return into;
}

u32 WASI(path_filestat_get, u32 fd, u32 flags, u32 path, u32 length, u32 result) {
    struct stat found;
    char name[4096];
    return fstatat(fd, path_at(path, length, name, sizeof name), &found, 0) ? error() : filestat(result, &found);
}

u32 WASI(path_open, u32 fd, u32 lookup, u32 path, u32 length, u32 open_flags, u64 rights, u64 inheriting, u32 flags,
         u32 result) {
    char name[4096];
    /* Right 2 reads, right 64 writes; open flags: 1 creates, 2 wants a folder, 8 empties. */
    int how = !(rights & 64) ? O_RDONLY : rights & 2 ? O_RDWR : O_WRONLY;
    how |= (open_flags & 1 ? O_CREAT : 0) | (open_flags & 2 ? O_DIRECTORY : 0) | (open_flags & 8 ? O_TRUNC : 0);
    int opened = openat(fd, path_at(path, length, name, sizeof name), how, 0666);
    if (opened < 0) return error();
    *AT(u32, result) = opened;
    return 0;
}

u32 WASI(fd_prestat_get, u32 fd, u32 result) {
    return fd == 3 ? AT(u32, result)[0] = 0, AT(u32, result)[1] = 1, 0 : 8;
}

u32 WASI(fd_prestat_dir_name, u32 fd, u32 path, u32 length) { return fd == 3 ? *AT(char, path) = '.', 0 : 8; }

void WASI(proc_exit, u32 code) { exit(code); }

int main(int n, char **words) {
    count = n, arguments = words;
    int folder = open(".", O_RDONLY | O_DIRECTORY);
    if (folder < 0 || (folder != 3 && dup2(folder, 3) != 3)) return 71;
    wasm_rt_init();
    Z_guest_init_module();
    wasm_rt_trap_t trap = wasm_rt_impl_try();
    if (trap != WASM_RT_TRAP_NONE) {
        fprintf(stderr, "trap: %s\n", wasm_rt_strerror(trap));
        return 134;
    }
    Z_guest_instantiate(&guest, 0);
    Z_guestZ__start(&guest);
    return 0;
}
