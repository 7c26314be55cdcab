/* Runs a program whose prctl(PR_GET_AUXV) answers "invalid argument", as before Linux 6.4.
 *
 * valgrind hands that call to the kernel, which answers with valgrind's own auxiliary
 * vector; a program that asks for it then looks for its headers in the wrong place. The
 * fallback, /proc/self/auxv, valgrind does know. May assume a 64-bit Linux whose words are
 * little-endian. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define UNLESS(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped)
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int argc, char **argv) {
    (void)argc;
    struct sock_filter filter[] = {
        LOAD(nr), UNLESS(SYS_prctl, 3),
        LOAD(args[0]), UNLESS(0x41555856 /* PR_GET_AUXV */, 1),
        ANSWER(SECCOMP_RET_ERRNO | 22 /* EINVAL */),
        ANSWER(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("seccomp");
        return 127;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
