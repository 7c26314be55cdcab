/* Runs a command from which the system withholds something.
 *
 *   withhold [--new-code] [--memory-files ERRNO] [--landlock ERRNO] [--filters ERRNO]
 *            [--filter] COMMAND...
 *
 * --new-code: no page may become executable (PR_SET_MDWE, what systemd's
 *   MemoryDenyWriteExecute sets); exit code 77 where the kernel has no such thing.
 * --memory-files: memfd_create fails with ERRNO, as a filter of a container makes it.
 * --landlock: so do the three calls of Landlock.
 * --filters: so do the two calls that would add another filter. Stands last.
 * --filter: a filter is on, and forbids nothing.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Has the calls first..last fail with an error; with 0, none does. */
static void add_filter(int first, int last, int error) {
    struct sock_filter operations[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, error ? SECCOMP_RET_ERRNO | error : SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {5, operations};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("withhold: a filter");
        exit(99);
    }
}

/* Has seccomp, and prctl(PR_SET_SECCOMP), fail with an error. */
static void without_filters(int error) {
    struct sock_filter operations[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {7, operations};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("withhold: a filter");
        exit(99);
    }
}

int main(int count, char **words) {
    int next = 1;
    for (; next < count; next++) {
        if (strcmp(words[next], "--new-code") == 0) {
            /* PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN */
            if (prctl(65, 1, 0, 0, 0)) {
                return 77;
            }
        } else if (strcmp(words[next], "--memory-files") == 0 && next + 1 < count) {
            add_filter(SYS_memfd_create, SYS_memfd_create, atoi(words[++next]));
        } else if (strcmp(words[next], "--landlock") == 0 && next + 1 < count) {
            add_filter(444, 446, atoi(words[++next]));
        } else if (strcmp(words[next], "--filters") == 0 && next + 1 < count) {
            without_filters(atoi(words[++next]));
        } else if (strcmp(words[next], "--filter") == 0) {
            add_filter(0, 0, 0);
        } else {
            break;
        }
    }
    execv(words[next], words + next);
    perror(words[next]);
    return 98;
}
