/* What the C API promises (bls.h), asked from C: the test capi builds and runs it.
 *
 *     capi KEY ARTIFACT OTHER-KEY
 *
 * The artifact is the guest GUEST of tests/tests/capi.rs.
 */
#include "bls.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
            exit(1); \
        } \
    } while (0)
#define FINE(call) is_fine((call), __LINE__)
#define REFUSED(call, code) is_refused((call), (code), __LINE__)

static void is_fine(bls_error *error, int line) {
    if (!error)
        return;
    fprintf(stderr, "line %d: %s (%s)\n", line, bls_error_message(error), bls_error_code(error));
    exit(1);
}

static void is_refused(bls_error *error, const char *code, int line) {
    if (!error || strcmp(bls_error_code(error), code) || !bls_error_message(error)[0] ||
        !bls_error_stage(error)[0] || !bls_error_hint(error)) {
        fprintf(stderr, "line %d: %s, not %s\n", line, error ? bls_error_code(error) : "fine",
                code);
        exit(1);
    }
    bls_error_free(error);
}

static bls_value i32(int32_t number) {
    bls_value value = {.kind = BLS_I32, .of.i32 = number};
    return value;
}

static const char *key, *artifact, *other;
static int freed;

static void count_free(void *data) {
    CHECK(data == &freed);
    ++freed;
}

static bls_runner *runner(void) {
    bls_trust *trust;
    bls_loader *loader;
    bls_verified *verified;
    bls_runner *runner, *none;
    FINE(bls_trust_file(key, &trust));
    FINE(bls_loader_new(trust, &loader));
    FINE(bls_loader_open(loader, artifact, &verified));
    CHECK(!strcmp(bls_verified_name(verified), "guest"));
    CHECK(strlen(bls_verified_identity(verified)) == 64);
    CHECK(bls_verified_key_id(verified, 0) && !bls_verified_key_id(verified, 1));
    FINE(bls_runner_new(verified, &runner));
    none = runner;
    REFUSED(bls_runner_new(verified, &none), "capi.used");
    CHECK(!none);
    bls_verified_free(verified);
    bls_loader_free(loader);
    bls_trust_free(trust);
    return runner;
}

/* Nothing of this runs a guest. */
static void what_is_wrong_is_refused(void) {
    bls_trust *trust = (bls_trust *)1;
    bls_loader *loader = NULL;
    bls_verified *verified = NULL;
    bls_ended *ended = NULL;
    bls_fuel fuel;
    REFUSED(bls_trust_system(NULL), "capi.null");
    REFUSED(bls_trust_file(NULL, &trust), "capi.null");
    CHECK(!trust);
    REFUSED(bls_trust_bytes(NULL, 1, &trust), "capi.null");
    REFUSED(bls_trust_file("/nowhere/at all", &trust), "settings.unreadable");
    REFUSED(bls_loader_new(NULL, &loader), "capi.null");
    REFUSED(bls_loader_open(NULL, artifact, &verified), "capi.null");
    REFUSED(bls_runner_new(NULL, NULL), "capi.null");
    REFUSED(bls_runner_fuel(NULL, 1), "capi.null");
    REFUSED(bls_runner_run(NULL, &ended), "capi.null");
    REFUSED(bls_instance_call(NULL, "f", NULL, 0, NULL, 0), "capi.null");
    REFUSED(bls_instance_fuel(NULL, &fuel), "capi.null");
    REFUSED(bls_pool_run(NULL, &ended), "capi.null");
    REFUSED(bls_cancel_now(NULL), "capi.null");
    CHECK(!bls_error_code(NULL) && !bls_error_outcome(NULL) && !bls_ended_outcome(NULL));
    CHECK(bls_outcome_kind(NULL) == BLS_OTHER && !bls_outcome_message(NULL));
    CHECK(bls_outcome_frame_function(NULL, 0) == UINT32_MAX && !bls_bytes_data(NULL));
    bls_trust_free(NULL), bls_loader_free(NULL), bls_verified_free(NULL), bls_runner_free(NULL);
    bls_ended_free(NULL), bls_instance_free(NULL), bls_pool_free(NULL), bls_cancel_free(NULL);
    bls_error_free(NULL), bls_trap_free(NULL), bls_bytes_free(NULL);
    bls_trap *trap = bls_call_charge(NULL, 1);
    CHECK(trap);
    bls_trap_free(trap);
    bls_trap_free(bls_trap_new(NULL));

    FINE(bls_trust_file(other, &trust));
    FINE(bls_loader_new(trust, &loader));
    bls_loader *none = loader;
    REFUSED(bls_loader_new(trust, &none), "capi.used");
    CHECK(!none);
    REFUSED(bls_loader_digest(loader, "5"), "capi.digest");
    REFUSED(bls_loader_require(loader, "luck"), "capi.word");
    REFUSED(bls_loader_open(loader, artifact, &verified), "signature.unknown-key");
    REFUSED(bls_loader_open_bytes(loader, "none", NULL, 0, &verified), "framing.empty");
    REFUSED(bls_loader_open_bytes(loader, "\xff", NULL, 0, &verified), "capi.utf8");
    REFUSED(bls_loader_open(loader, artifact, NULL), "capi.null");
    bls_loader_free(loader);
    bls_trust_free(trust);

    bls_runner *asked = runner();
    bls_value wrong = {.kind = 9};
    REFUSED(bls_runner_invoke(asked, "add", &wrong, 1), "capi.kind");
    REFUSED(bls_runner_invoke(asked, "add", NULL, 2), "capi.null");
    REFUSED(bls_runner_deny(asked, "everything"), "capi.word");
    REFUSED(bls_runner_stdin_fd(asked, -1), "capi.descriptor");
    REFUSED(bls_runner_stdout_fd(asked, 12345), "capi.descriptor");
    REFUSED(bls_runner_env(asked, "K", NULL), "capi.null");
    REFUSED(bls_runner_function(asked, "env", "own", "ii", 0, NULL, &freed, count_free),
            "capi.signature");
    CHECK(freed == 1);
    FINE(bls_runner_data(asked, &freed, count_free));
    bls_runner_free(asked);
    CHECK(freed == 2);
}

static bls_instance *standing;

/* env.own(address, length): doubles the bytes there; 0 bytes are too few. */
static bls_trap *own(void *data, bls_call *call, const bls_value *args, bls_value *results) {
    uint8_t bytes[64];
    uint32_t length = (uint32_t)args[1].of.i32;
    CHECK(data == &freed && bls_call_data(call) == &standing && args[0].kind == BLS_I32);
    if (length == 0)
        return bls_trap_new("nothing to double");
    bls_trap *trap = bls_call_charge(call, length);
    if (!trap)
        trap = bls_call_read(call, (uint32_t)args[0].of.i32, bytes, length < 64 ? length : 64);
    if (trap)
        return trap;
    for (uint32_t at = 0; at < length && at < 64; ++at)
        bytes[at] *= 2;
    REFUSED(bls_instance_set_fuel(standing, 1), standing ? "capi.busy" : "capi.null");
    CHECK(results[0].kind == BLS_I64);
    results[0].of.i64 = 1LL << 40;
    return bls_call_write(call, (uint32_t)args[0].of.i32, bytes, length < 64 ? length : 64);
}

static bls_runner *with_own(void) {
    bls_runner *asked = runner();
    FINE(bls_runner_function(asked, "env", "own", "ii:I", 100, own, &freed, count_free));
    FINE(bls_runner_data(asked, &standing, NULL));
    FINE(bls_runner_stdout_bytes(asked, 1000));
    return asked;
}

static void a_guest_is_called(void) {
    bls_runner *asked = with_own();
    bls_value two[2] = {i32(40), i32(2)}, result, none[1];
    char text[8];
    uint8_t bytes[4] = {1, 2, 3, 4};
    bls_fuel fuel;
    FINE(bls_runner_instantiate(asked, &standing));
    bls_runner_free(asked);
    FINE(bls_instance_call(standing, "add", two, 2, &result, 1));
    CHECK(result.kind == BLS_I32 && result.of.i32 == 42);
    REFUSED(bls_instance_call(standing, "add", two, 1, &result, 1), "run.call-type");
    REFUSED(bls_instance_call(standing, "add", two, 2, none, 0), "capi.room");
    REFUSED(bls_instance_call(standing, "none", two, 2, none, 0), "link.no-such-export");
    FINE(bls_instance_signature(standing, "double", text, sizeof text));
    CHECK(!strcmp(text, "ii:I"));
    REFUSED(bls_instance_signature(standing, "double", text, 4), "capi.room");

    FINE(bls_instance_write(standing, 8, bytes, 4));
    FINE(bls_instance_set_fuel(standing, 1000));
    two[0] = i32(8), two[1] = i32(4);
    FINE(bls_instance_call(standing, "double", two, 2, &result, 1));
    CHECK(result.kind == BLS_I64 && result.of.i64 == 1LL << 40);
    FINE(bls_instance_read(standing, 8, bytes, 4));
    CHECK(bytes[0] == 2 && bytes[3] == 8);
    FINE(bls_instance_fuel(standing, &fuel));
    CHECK(fuel.is_metered && fuel.is_exact && fuel.budget == 1000);
    CHECK(fuel.used > 104 && fuel.used < 200);
    REFUSED(bls_instance_read(standing, 65535, bytes, 2), "run.memory");

    two[1] = i32(0);
    bls_error *error = bls_instance_call(standing, "double", two, 2, &result, 1);
    const bls_outcome *outcome = bls_error_outcome(error);
    CHECK(!strcmp(bls_error_code(error), "run.ended"));
    CHECK(bls_outcome_kind(outcome) == BLS_TRAPPED);
    CHECK(!strcmp(bls_outcome_trap_kind(outcome), "host"));
    CHECK(strstr(bls_outcome_message(outcome), "nothing to double"));
    bls_error_free(error);
    REFUSED(bls_instance_call(standing, "add", two, 2, &result, 1), "run.over");
    int before = freed;
    bls_instance_free(standing);
    standing = NULL;
    CHECK(freed == before + 1);
}

static void a_guest_is_run(void) {
    bls_runner *asked = with_own();
    bls_ended *ended, *none;
    size_t length;
    FINE(bls_runner_invoke(asked, "trap", NULL, 0));
    FINE(bls_runner_run(asked, &ended));
    REFUSED(bls_runner_run(asked, &none), "capi.used");
    CHECK(!none);
    const bls_outcome *outcome = bls_ended_outcome(ended);
    CHECK(bls_outcome_kind(outcome) == BLS_TRAPPED && bls_outcome_frames(outcome) == 1);
    CHECK(!strcmp(bls_outcome_trap_kind(outcome), "unreachable"));
    CHECK(bls_outcome_frame_function(outcome, 0) != UINT32_MAX);
    CHECK(bls_outcome_frame_function(outcome, 1) == UINT32_MAX);
    bls_ended_free(ended);
    bls_runner_free(asked);

    asked = with_own();
    FINE(bls_runner_invoke(asked, "say", NULL, 0));
    FINE(bls_runner_run(asked, &ended));
    const uint8_t *said = bls_ended_stdout(ended, &length);
    CHECK(length == 6 && !memcmp(said, "hello\n", 6));
    CHECK(bls_ended_peak_memory(ended) == 65536 && !bls_ended_limit_met(ended, 0));
    bls_ended_results(ended, &length);
    CHECK(length == 0 && bls_outcome_exit_code(bls_ended_outcome(ended)) == 0);
    bls_ended_free(ended);
    bls_runner_free(asked);

    asked = with_own();
    FINE(bls_runner_invoke(asked, "spin", NULL, 0));
    FINE(bls_runner_fuel(asked, 1000));
    FINE(bls_runner_run(asked, &ended));
    CHECK(bls_outcome_kind(bls_ended_outcome(ended)) == BLS_OUT_OF_FUEL);
    CHECK(bls_ended_fuel(ended).used == 1000 && bls_ended_fuel(ended).is_exact);
    bls_ended_free(ended);
    bls_runner_free(asked);
}

static void *cancel_soon(void *cancel) {
    usleep(20000);
    FINE(bls_cancel_now(cancel));
    return NULL;
}

static void a_guest_is_stopped(void) {
    bls_runner *asked = with_own();
    bls_cancel *cancel;
    bls_ended *ended;
    pthread_t thread;
    FINE(bls_runner_invoke(asked, "spin", NULL, 0));
    FINE(bls_runner_timeout(asked, 20));
    FINE(bls_runner_run(asked, &ended));
    CHECK(bls_outcome_kind(bls_ended_outcome(ended)) == BLS_LIMIT);
    CHECK(!strcmp(bls_outcome_limit(bls_ended_outcome(ended)), "time"));
    bls_ended_free(ended);
    bls_runner_free(asked);

    asked = with_own();
    FINE(bls_runner_invoke(asked, "spin", NULL, 0));
    FINE(bls_runner_cancel(asked, &cancel));
    CHECK(!pthread_create(&thread, NULL, cancel_soon, cancel));
    FINE(bls_runner_run(asked, &ended));
    CHECK(!pthread_join(thread, NULL));
    CHECK(bls_outcome_kind(bls_ended_outcome(ended)) == BLS_CANCELLED);
    bls_cancel_free(cancel);
    bls_ended_free(ended);
    bls_runner_free(asked);
}

static void a_pool_gives_guests(void) {
    bls_runner *asked = with_own();
    bls_pool *pool;
    bls_instance *guest, *second;
    bls_bytes *said;
    bls_value two[2] = {i32(1), i32(2)}, result;
    FINE(bls_runner_pool(asked, 1, &pool));
    bls_runner_free(asked);
    for (int round = 0; round < 3; ++round) {
        FINE(bls_pool_instantiate(pool, &guest));
        bls_error *full = bls_pool_instantiate(pool, &second);
        CHECK(full && !second);
        bls_error_free(full);
        FINE(bls_instance_call(guest, "add", two, 2, &result, 1));
        CHECK(result.of.i32 == 3);
        FINE(bls_instance_call(guest, "say", NULL, 0, NULL, 0));
        FINE(bls_instance_take_stdout(guest, &said));
        CHECK(bls_bytes_length(said) == 6 && !memcmp(bls_bytes_data(said), "hello\n", 6));
        bls_bytes_free(said);
        bls_instance_free(guest);
    }
    bls_pool_free(pool);
}

int main(int count, char **words) {
    CHECK(count == 4);
    key = words[1], artifact = words[2], other = words[3];
    what_is_wrong_is_refused();
    a_guest_is_called();
    a_guest_is_run();
    a_guest_is_stopped();
    a_pool_gives_guests();
    puts("all of it");
    return 0;
}
