/* Runs a command from which the system withholds something.
 *
 *   withhold [--new-code] [--memory-files ERRNO] COMMAND...
 *
 * --new-code: no page may become executable (PR_SET_MDWE, what systemd's
 *   MemoryDenyWriteExecute sets); exit code 77 where the kernel has no such thing.
 * --memory-files: memfd_create fails with ERRNO, as a filter of a container makes it.
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

static void without_memory_files(int error) {
    struct sock_filter operations[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, operations};
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
            without_memory_files(atoi(words[++next]));
        } else {
            break;
        }
    }
    execv(words[next], words + next);
    perror(words[next]);
    return 98;
}
