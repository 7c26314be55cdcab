/* Runs the program in its arguments; then prints the peak of its resident memory,
   in KiB, and its processor time with its children's, in microseconds, as the last line
   on standard error. This program must stay small: the
   kernel's figure is never below what the process was before it became another. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 2) return 127;
    pid_t child = fork();
    if (child < 0) return 127;
    if (child == 0) {
        execv(arguments[1], arguments + 1);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) < 0) return 127;
    long cpu = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    fprintf(stderr, "\n%ld %ld\n", usage.ru_maxrss, cpu);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}
