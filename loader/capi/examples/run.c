/* Runs an artifact whose signer is known by a key file, with limits and a function of its own.
 *
 *     cc -Wall -o run run.c -I. -L. -lbls && ./run builder.pub guest.bls
 *
 * The guest exports "ask", which takes a number, and imports "env" "twice".
 */
#include "bls.h"
#include <stdio.h>
#include <stdlib.h>

/* Ends the program where something did not work, and says why. */
static void check(bls_error *error) {
    if (!error)
        return;
    fprintf(stderr, "%s: %s\n", bls_error_stage(error), bls_error_message(error));
    if (bls_error_hint(error))
        fprintf(stderr, "hint: %s\n", bls_error_hint(error));
    fprintf(stderr, "code: %s\n", bls_error_code(error));
    bls_error_free(error);
    exit(1);
}

/* The guest's import: twice the number, if that is not too much. */
static bls_trap *twice(void *data, bls_call *call, const bls_value *args, bls_value *results) {
    int *calls = data;
    ++*calls;
    bls_trap *trap = bls_call_charge(call, 100);
    if (trap)
        return trap;
    if (args[0].of.i32 > 1000)
        return bls_trap_new("more than 1000");
    results[0].of.i32 = 2 * args[0].of.i32;
    return NULL;
}

int main(int count, char **words) {
    if (count < 3) {
        fprintf(stderr, "usage: run KEY ARTIFACT [NUMBER]\n");
        return 2;
    }
    bls_trust *trust;
    bls_loader *loader;
    bls_verified *verified;
    bls_runner *runner;
    bls_ended *ended;
    int calls = 0;
    bls_value number = {.kind = BLS_I32, .of.i32 = count > 3 ? atoi(words[3]) : 21};

    check(bls_trust_file(words[1], &trust));
    check(bls_loader_new(trust, &loader));
    check(bls_loader_open(loader, words[2], &verified));
    printf("%s, signed by %.8s\n", bls_verified_name(verified), bls_verified_key_id(verified, 0));
    check(bls_runner_new(verified, &runner));
    check(bls_runner_function(runner, "env", "twice", "i:i", 500, twice, &calls, NULL));
    check(bls_runner_invoke(runner, "ask", &number, 1));
    check(bls_runner_fuel(runner, 1000000));
    check(bls_runner_timeout(runner, 10000));
    check(bls_runner_run(runner, &ended));

    const bls_outcome *outcome = bls_ended_outcome(ended);
    size_t given;
    const bls_value *results = bls_ended_results(ended, &given);
    if (given == 1 && results[0].kind == BLS_I32)
        printf("%d\n", results[0].of.i32);
    else
        printf("%s\n", bls_outcome_message(outcome));
    bls_fuel fuel = bls_ended_fuel(ended);
    printf("%llu units of fuel%s, %d call\n", (unsigned long long)fuel.used,
           fuel.is_exact ? "" : " or less", calls);
    int code = bls_outcome_kind(outcome) == BLS_EXITED ? 0 : 3;

    bls_ended_free(ended);
    bls_runner_free(runner);
    bls_verified_free(verified);
    bls_loader_free(loader);
    bls_trust_free(trust);
    return code;
}
