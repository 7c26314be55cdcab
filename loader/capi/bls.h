/* bls.h: libbls verifies, maps and runs signed native artifacts made from WebAssembly by
 * bls-compile.
 *
 * This file is made from the sources of the library: change those.
 *
 *     trust -> loader -> verified -> runner -> ended        (bls_runner_run)
 *                                          \-> instance     (bls_runner_instantiate)
 *                                          \-> pool         (bls_runner_pool)
 *
 * Errors. A function that can fail returns a bls_error, which is yours to free, or NULL where
 * it did what it was asked. Then what it was to make is in the place that its last argument
 * leads to; else there is NULL. There is no other state: no errno, nothing global.
 *
 * Ownership. What a function makes is yours: free each handle, once, with the function of its
 * name and _free, which take NULL. Nothing is taken from you: a call that "uses up" a handle
 * leaves it empty, to be freed all the same, and other calls of it are refused (capi.used).
 * (The exception is a trap that a function of your own returns.) What is said to "belong to" a
 * handle is there until that is freed; do not change it. What you give is copied, and not
 * looked at behind the call, but for your own functions and their data.
 *
 * Pointers. Each may be NULL: where something is needed that is an error (capi.null), and
 * where a function cannot fail it returns NULL, 0 or false. One that is not NULL must lead to
 * what its type says: a const char * to bytes that end with a 0 (in UTF-8, but for paths,
 * arguments and variables), a pointer before a number to as many elements, a handle to one
 * that was made here and is not freed.
 *
 * Threads. Handles may go from thread to thread. Two threads may use one handle at once where
 * it says so; else the second call is refused (capi.busy), and so is a call of an instance
 * from a function that it called. Nobody may use a handle while it is freed. (A handle that a
 * call changes is const all the same: the library guards it.)
 *
 * Signals. The engine handles SIGSEGV, SIGILL, SIGBUS and SIGFPE, and passes on those that are
 * not a guest's; a guest with a limit on time, or that can be cancelled, is stopped by SIGURG.
 */

#ifndef BLS_H
#define BLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * A value's kind: a 32-bit integer.
 */
#define BLS_I32 0

/**
 * A value's kind: a 64-bit integer.
 */
#define BLS_I64 1

/**
 * A value's kind: a 32-bit float.
 */
#define BLS_F32 2

/**
 * A value's kind: a 64-bit float.
 */
#define BLS_F64 3

/**
 * A value's kind: 128 bits, the lowest byte first.
 */
#define BLS_V128 4

/**
 * A value's kind: a reference of the guest's. It is told, and cannot be given.
 */
#define BLS_REFERENCE 5

/**
 * It returned, or called proc_exit: bls_outcome_exit_code.
 */
#define BLS_EXITED 0

/**
 * It trapped: bls_outcome_trap_kind, bls_outcome_frames.
 */
#define BLS_TRAPPED 1

/**
 * Its fuel was used up.
 */
#define BLS_OUT_OF_FUEL 2

/**
 * It met another limit: bls_outcome_limit.
 */
#define BLS_LIMIT 3

/**
 * It was cancelled: bls_cancel_now.
 */
#define BLS_CANCELLED 4

/**
 * It ended in a way that this release has no name for, or no outcome was given.
 */
#define BLS_OTHER 255

/**
 * Bytes that a guest wrote. Free them with bls_bytes_free.
 */
typedef struct bls_bytes bls_bytes;

/**
 * One call of a function of your own. It is there until the function returns, and for the
 * thread that the function was called on.
 */
typedef struct bls_call bls_call;

/**
 * Stops a guest from any thread; threads may share it. Free it with bls_cancel_free, before or
 * after the guest.
 */
typedef struct bls_cancel bls_cancel;

/**
 * A run that is over. Threads may share it. Free it with bls_ended_free.
 */
typedef struct bls_ended bls_ended;

/**
 * Why a function did not do what it was asked. Functions that can fail give one, and NULL
 * where they did it. Free it with bls_error_free.
 */
typedef struct bls_error bls_error;

/**
 * A guest that stands: a plug-in, a library, a reactor. Its limits on memory, output and
 * descriptors hold over all calls; fuel and time are given as one likes, for each call or for
 * many. Threads may use it one after the other. Free it with bls_instance_free, but not from
 * a function that it has called.
 */
typedef struct bls_instance bls_instance;

/**
 * Verifies artifacts. Once it is set up, threads may share it. Free it with bls_loader_free.
 */
typedef struct bls_loader bls_loader;

/**
 * How a guest ended. Belongs to what it was got from.
 */
typedef struct bls_outcome bls_outcome;

/**
 * Guests of one artifact, as many at once as it was made for, from memory that is kept between
 * them. Threads share it; each guest has its own fuel, time, memory, streams and grants, and
 * finds everything as the module says. Free it with bls_pool_free; its guests stay.
 */
typedef struct bls_pool bls_pool;

/**
 * Asks for what a guest gets, and runs it. Without more, a guest gets no arguments, variables
 * or folders; its input is empty, its output is discarded, and its memory is limited to 4 GiB
 * and no fuel or time. A policy may say less. Free it with bls_runner_free.
 */
typedef struct bls_runner bls_runner;

/**
 * Why a function of your own does not return to the guest: the guest traps. Made by
 * bls_trap_new, or given by a function of bls_call; a function of yours that returns one gives
 * it away. One that it does not return is freed with bls_trap_free.
 */
typedef struct bls_trap bls_trap;

/**
 * Who is trusted to sign. Free it with bls_trust_free.
 */
typedef struct bls_trust bls_trust;

/**
 * An artifact that may run here: signed by who is trusted, and its code is what was signed.
 * Free it with bls_verified_free.
 */
typedef struct bls_verified bls_verified;

/**
 * What a value is, by its kind.
 */
typedef union {
  /**
   * Of BLS_I32.
   */
  int32_t i32;
  /**
   * Of BLS_I64.
   */
  int64_t i64;
  /**
   * Of BLS_F32.
   */
  float f32;
  /**
   * Of BLS_F64.
   */
  double f64;
  /**
   * Of BLS_V128.
   */
  uint8_t v128[16];
} bls_value_of;

/**
 * A value: an argument or a result.
 */
typedef struct {
  /**
   * BLS_I32 and so on.
   */
  uint8_t kind;
  /**
   * Its bits.
   */
  bls_value_of of;
} bls_value;

/**
 * A function of your own. args has one value for each parameter of its signature, and results
 * one for each result, a zero of the right kind to write over. It returns NULL, or a trap for
 * the guest. It must return: no longjmp, no exception may leave it.
 */
typedef bls_trap *(*bls_function)(void *data,
                                  bls_call *call,
                                  const bls_value *args,
                                  bls_value *results);

/**
 * What frees data of yours. It may be NULL.
 */
typedef void (*bls_free)(void *data);

/**
 * What a guest has consumed, in units of fuel (FUEL.md).
 */
typedef struct {
  /**
   * Whether the artifact is metered: else the rest is 0.
   */
  bool is_metered;
  /**
   * Whether it had a budget, or was only counted.
   */
  bool has_budget;
  /**
   * Whether used is exact. Else it is the whole budget, or without one a lower bound.
   */
  bool is_exact;
  /**
   * What it had.
   */
  uint64_t budget;
  /**
   * What it used.
   */
  uint64_t used;
} bls_fuel;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Frees an error. NULL is fine.
 */
void bls_error_free(bls_error *error);

/**
 * The stage that failed, in a word: open, verify, policy, grant, map, link, run; or capi,
 * where an argument was wrong. Belongs to the error.
 */
const char *bls_error_stage(const bls_error *error);

/**
 * The name of the defect, such as signature.unknown-key: it stays the same when words change
 * (SECURITY.md, "Refusals"). Belongs to the error.
 */
const char *bls_error_code(const bls_error *error);

/**
 * What was wrong, in a sentence. Belongs to the error.
 */
const char *bls_error_message(const bls_error *error);

/**
 * What can be done about it, in the words of bls-load's command line; NULL where there is
 * nothing to say. Belongs to the error.
 */
const char *bls_error_hint(const bls_error *error);

/**
 * Whether the system did not give what is needed, or this library is at fault. Otherwise the
 * same again would be refused again.
 */
bool bls_error_is_failure(const bls_error *error);

/**
 * How the guest ended, where that is why a call has no result (code run.ended); else NULL.
 * Belongs to the error.
 */
const bls_outcome *bls_error_outcome(const bls_error *error);

/**
 * This machine's trust: /etc/bls/trust.json where it exists, else the user's own file, as
 * bls-load finds them; never by a variable of the environment.
 */
bls_error *bls_trust_system(bls_trust **made);

/**
 * The trust of a file: a trust file, signed or not, or a public key in PEM, which others than
 * its owner cannot write.
 */
bls_error *bls_trust_file(const char *path, bls_trust **made);

/**
 * The trust of such a file's contents, of so many bytes.
 */
bls_error *bls_trust_bytes(const uint8_t *contents, size_t length, bls_trust **made);

/**
 * Frees a trust. NULL is fine.
 */
void bls_trust_free(bls_trust *trust);

/**
 * Makes a loader that trusts these, and uses the trust up. The machine's policy,
 * /etc/bls/policy.json, holds where it exists.
 */
bls_error *bls_loader_new(const bls_trust *trust, bls_loader **made);

/**
 * Lets the policy of this file bound what guests get, beside the machine's and others. Where
 * it cannot be read, the loader is used up: it opens nothing any more.
 */
bls_error *bls_loader_policy_file(const bls_loader *loader, const char *path);

/**
 * Takes only the file that has this SHA-256, in 64 hexadecimal digits.
 */
bls_error *bls_loader_digest(const bls_loader *loader, const char *sha256);

/**
 * Looks for what is installed in this store only.
 */
bls_error *bls_loader_store(const bls_loader *loader, const char *path);

/**
 * Demands something of each artifact: fuel (it is metered), deterministic (nothing in it
 * depends on the CPU), only-declared (it gets only what it says it needs), clock (what
 * expires runs only where the clock is set) or control-flow (its code has what keeps
 * control flow inside it).
 */
bls_error *bls_loader_require(const bls_loader *loader, const char *word);

/**
 * Lets pass what expires where this machine's clock was never set.
 */
bls_error *bls_loader_clock_unset(const bls_loader *loader);

/**
 * Verifies a file. Its code is copied into sealed memory and hashed on the way.
 */
bls_error *bls_loader_open(const bls_loader *loader, const char *path, bls_verified **made);

/**
 * Verifies an artifact that is in memory, in so many bytes, which are copied. name is what
 * messages call it.
 */
bls_error *bls_loader_open_bytes(const bls_loader *loader,
                                 const char *name,
                                 const uint8_t *artifact,
                                 size_t length,
                                 bls_verified **made);

/**
 * Verifies what is installed under this name. Code that only root could have written since it
 * was installed is mapped where it is.
 */
bls_error *bls_loader_open_installed(const bls_loader *loader,
                                     const char *name,
                                     bls_verified **made);

/**
 * Frees a loader. NULL is fine. What it verified stays.
 */
void bls_loader_free(bls_loader *loader);

/**
 * The name in its manifest. Belongs to the artifact, and stays when that is used up.
 */
const char *bls_verified_name(const bls_verified *verified);

/**
 * Its identity: the SHA-256 of what was signed, in hexadecimal digits. Belongs to the
 * artifact, and stays when that is used up.
 */
const char *bls_verified_identity(const bls_verified *verified);

/**
 * The ids of the compilers' keys whose signatures count, by number from 0; NULL behind the
 * last. Belongs to the artifact, and stays when that is used up.
 */
const char *bls_verified_key_id(const bls_verified *verified, size_t number);

/**
 * Frees an artifact. NULL is fine.
 */
void bls_verified_free(bls_verified *verified);

/**
 * Makes a runner of an artifact, and uses the artifact up.
 */
bls_error *bls_runner_new(const bls_verified *verified, bls_runner **made);

/**
 * One more argument. Argument 0 is there: the artifact's name.
 */
bls_error *bls_runner_arg(const bls_runner *runner, const char *word);

/**
 * Another argument 0.
 */
bls_error *bls_runner_arg0(const bls_runner *runner, const char *word);

/**
 * A variable of its environment.
 */
bls_error *bls_runner_env(const bls_runner *runner, const char *name, const char *value);

/**
 * A folder of this machine, what the guest calls it, and whether the guest may change what is
 * in it.
 */
bls_error *bls_runner_folder(const bls_runner *runner,
                             const char *host,
                             const char *guest,
                             bool may_write);

/**
 * At most this many units of fuel. An artifact that is not metered is refused when it is run.
 */
bls_error *bls_runner_fuel(const bls_runner *runner, uint64_t units);

/**
 * At most this many milliseconds, for the run or for each call. A trap of a guest that has a
 * limit on time does not say who called whom.
 */
bls_error *bls_runner_timeout(const bls_runner *runner, uint64_t milliseconds);

/**
 * At most this many bytes of memories, tables and objects together.
 */
bls_error *bls_runner_memory(const bls_runner *runner, uint64_t bytes);

/**
 * At most this many bytes of stack.
 */
bls_error *bls_runner_stack(const bls_runner *runner, uint64_t bytes);

/**
 * At most this many bytes written, and made a disk hold.
 */
bls_error *bls_runner_output(const bls_runner *runner, uint64_t bytes);

/**
 * At most this many descriptors, granted ones included.
 */
bls_error *bls_runner_descriptors(const bls_runner *runner, uint32_t count);

/**
 * Keeps back something that is granted by default: arguments, stdin, stdout, stderr,
 * clock.wall, clock.monotonic or random.
 */
bls_error *bls_runner_deny(const bls_runner *runner, const char *capability);

/**
 * Rules in the place of clocks and chance: the same run each time. The artifact must be one
 * that computes the same on every machine.
 */
bls_error *bls_runner_deterministic(const bls_runner *runner,
                                    uint64_t seed,
                                    uint64_t epoch_seconds);

/**
 * Calls this export in the place of the one that is called by default, with these arguments.
 */
bls_error *bls_runner_invoke(const bls_runner *runner,
                             const char *export_name,
                             const bls_value *arguments,
                             size_t count);

/**
 * Lets imports that nobody defines trap when they are called.
 */
bls_error *bls_runner_unknown_imports_trap(const bls_runner *runner);

/**
 * Makes what stops the guest from another thread.
 */
bls_error *bls_runner_cancel(const bls_runner *runner, bls_cancel **made);

/**
 * Runs the guest to its end, and uses the runner up. An error says that it could not be run;
 * what the guest did, a trap too, is in the run.
 */
bls_error *bls_runner_run(const bls_runner *runner, bls_ended **made);

/**
 * Makes a guest to be called, and uses the runner up: runs its start function and, if it has
 * one, _initialize. Where it ended in these, the error is run.ended.
 */
bls_error *bls_runner_instantiate(const bls_runner *runner, bls_instance **made);

/**
 * Makes room for so many guests at once, each of which gets what was asked for here, and uses
 * the runner up. With a limit on time, or after bls_runner_cancel, its guests can be stopped.
 */
bls_error *bls_runner_pool(const bls_runner *runner, uint32_t guests, bls_pool **made);

/**
 * Frees a runner. NULL is fine.
 */
void bls_runner_free(bls_runner *runner);

/**
 * Its standard input is these bytes, which are copied.
 */
bls_error *bls_runner_stdin_bytes(const bls_runner *runner,
                                  const uint8_t *input,
                                  size_t length);

/**
 * Its standard input is this process's own.
 */
bls_error *bls_runner_stdin_inherit(const bls_runner *runner);

/**
 * Its standard input is what this descriptor leads to: a file, pipe or socket. The descriptor
 * is duplicated, and stays yours.
 */
bls_error *bls_runner_stdin_fd(const bls_runner *runner, int descriptor);

/**
 * Its standard output is kept, at most this many bytes: bls_ended_stdout and
 * bls_instance_take_stdout have them. A guest that writes more ends at its limit on output.
 */
bls_error *bls_runner_stdout_bytes(const bls_runner *runner, size_t at_most);

/**
 * Its standard output is this process's own.
 */
bls_error *bls_runner_stdout_inherit(const bls_runner *runner);

/**
 * Its standard output goes to what this descriptor leads to. The descriptor is duplicated,
 * and stays yours.
 */
bls_error *bls_runner_stdout_fd(const bls_runner *runner, int descriptor);

/**
 * Its standard output goes nowhere.
 */
bls_error *bls_runner_stdout_discard(const bls_runner *runner);

/**
 * Its standard error is kept, at most this many bytes, as its standard output can be.
 */
bls_error *bls_runner_stderr_bytes(const bls_runner *runner, size_t at_most);

/**
 * Its standard error is this process's own.
 */
bls_error *bls_runner_stderr_inherit(const bls_runner *runner);

/**
 * Its standard error goes to what this descriptor leads to. The descriptor is duplicated, and
 * stays yours.
 */
bls_error *bls_runner_stderr_fd(const bls_runner *runner, int descriptor);

/**
 * Its standard error goes nowhere.
 */
bls_error *bls_runner_stderr_discard(const bls_runner *runner);

/**
 * A function of your own, for the import module.name, in the place of WASI's if it has one.
 * Its signature is its parameters' letters, a colon, its results' letters: "ii:i". The letters
 * are i, I, f, F and v, for i32, i64, f32, f64 and v128. Each call costs price units of fuel
 * and what the function charges itself (bls_call_charge).
 *
 * The function is called with data, on the thread that calls the guest or, where that one's
 * stack is too small for a guest, on one that is made for the call. Guests on several threads
 * call it at once. free is called once, when nothing can call the function any more, on
 * whatever thread that is; and when this call is refused.
 */
bls_error *bls_runner_function(const bls_runner *runner,
                               const char *module,
                               const char *name,
                               const char *signature_text,
                               uint64_t price,
                               bls_function function,
                               void *data,
                               bls_free free);

/**
 * What bls_call_data gives in this guest's calls of your own functions. free is called once,
 * when the guest is gone, on whatever thread that is; and when this call is refused.
 */
bls_error *bls_runner_data(const bls_runner *runner, void *data, bls_free free);

/**
 * A trap with this message, which is copied. It is never NULL.
 */
bls_trap *bls_trap_new(const char *message);

/**
 * Frees a trap that no function of yours returned. NULL is fine.
 */
void bls_trap_free(bls_trap *trap);

/**
 * Takes fuel for what is going to be done, beside the price of the call. For the same count
 * on every machine it must depend on what the guest asked for and got, never on time. A trap,
 * which is to be returned, says that the guest has less.
 */
bls_trap *bls_call_charge(bls_call *call, uint64_t units);

/**
 * Copies so many bytes at this address of the guest's memory (its export memory) to where you
 * have room for them. A trap, which is to be returned, says that they are not all there.
 */
bls_trap *bls_call_read(bls_call *call, uint32_t address, uint8_t *to, uint32_t length);

/**
 * Copies so many bytes to this address of the guest's memory. A trap, which is to be returned,
 * says that there is no room.
 */
bls_trap *bls_call_write(bls_call *call,
                         uint32_t address,
                         const uint8_t *from,
                         uint32_t length);

/**
 * What bls_runner_data gave this guest; NULL where it gave nothing.
 */
void *bls_call_data(bls_call *call);

/**
 * Its kind: BLS_EXITED and so on.
 */
uint8_t bls_outcome_kind(const bls_outcome *outcome);

/**
 * Its exit code, of BLS_EXITED: 0 where it returned; else 0.
 */
uint32_t bls_outcome_exit_code(const bls_outcome *outcome);

/**
 * How it ended, in a sentence. Belongs to the outcome.
 */
const char *bls_outcome_message(const bls_outcome *outcome);

/**
 * The trap's kind in a word, such as unreachable, or host for a function of the embedder's
 * own; NULL where it is none. Belongs to the outcome.
 */
const char *bls_outcome_trap_kind(const bls_outcome *outcome);

/**
 * The limit that it met: time, memory, table or output; NULL where it met none. Belongs to
 * the outcome.
 */
const char *bls_outcome_limit(const bls_outcome *outcome);

/**
 * How many calls are known that had not returned when it trapped: at most 20.
 */
size_t bls_outcome_frames(const bls_outcome *outcome);

/**
 * Whether there were more.
 */
bool bls_outcome_has_more_frames(const bls_outcome *outcome);

/**
 * The function of one of them, imports counted first; number 0 is the innermost. UINT32_MAX
 * behind the last.
 */
uint32_t bls_outcome_frame_function(const bls_outcome *outcome, size_t number);

/**
 * The name of that function; NULL where the module has no names. Belongs to the outcome.
 */
const char *bls_outcome_frame_name(const bls_outcome *outcome, size_t number);

/**
 * How it ended. Belongs to the run.
 */
const bls_outcome *bls_ended_outcome(const bls_ended *ended);

/**
 * What it consumed.
 */
bls_fuel bls_ended_fuel(const bls_ended *ended);

/**
 * The most bytes that all its memories and tables had together, with what the host held for
 * it.
 */
uint64_t bls_ended_peak_memory(const bls_ended *ended);

/**
 * The limits that it was told of while it ran, by calls that failed: memory, table,
 * descriptors. By number from 0; NULL behind the last. Belongs to the run.
 */
const char *bls_ended_limit_met(const bls_ended *ended, size_t number);

/**
 * What the call gave: as many values as count says. Belongs to the run.
 */
const bls_value *bls_ended_results(const bls_ended *ended, size_t *count);

/**
 * What it wrote, where its standard output is bytes: as many as length says. Belongs to the
 * run.
 */
const uint8_t *bls_ended_stdout(const bls_ended *ended, size_t *length);

/**
 * The same of standard error.
 */
const uint8_t *bls_ended_stderr(const bls_ended *ended, size_t *length);

/**
 * Frees a run. NULL is fine.
 */
void bls_ended_free(bls_ended *ended);

/**
 * Calls an exported function by its name, with count arguments, and puts what it gives into
 * results, where there is room for exactly as many as it gives.
 *
 * Where the guest ended in the call, the error is run.ended, bls_error_outcome says how, and
 * the guest cannot be called again.
 */
bls_error *bls_instance_call(const bls_instance *instance,
                             const char *name,
                             const bls_value *arguments,
                             size_t count,
                             bls_value *results,
                             size_t room);

/**
 * Writes the signature of an exported function, such as "ii:i", and a 0 to where there is room
 * for so many bytes. A reference is an r.
 */
bls_error *bls_instance_signature(const bls_instance *instance,
                                  const char *name,
                                  char *to,
                                  size_t room);

/**
 * Gives it this much fuel from now on, whatever it had: bls_instance_fuel counts from here.
 */
bls_error *bls_instance_set_fuel(const bls_instance *instance, uint64_t units);

/**
 * What it has consumed since it was made, or was given fuel.
 */
bls_error *bls_instance_fuel(const bls_instance *instance, bls_fuel *fuel);

/**
 * Limits the time of each call from now on, in milliseconds. For a guest that was made with a
 * limit on time, or after bls_runner_cancel: others cannot be stopped.
 */
bls_error *bls_instance_set_timeout(const bls_instance *instance, uint64_t milliseconds);

/**
 * Copies so many bytes at this address of its memory (its export memory) to where there is
 * room for them.
 */
bls_error *bls_instance_read(const bls_instance *instance,
                             uint32_t address,
                             uint8_t *to,
                             uint32_t length);

/**
 * Copies so many bytes to this address of its memory.
 */
bls_error *bls_instance_write(const bls_instance *instance,
                              uint32_t address,
                              const uint8_t *from,
                              uint32_t length);

/**
 * Takes what it wrote since it was last asked, where its standard output is kept
 * (bls_runner_stdout_bytes).
 */
bls_error *bls_instance_take_stdout(const bls_instance *instance, bls_bytes **made);

/**
 * The same of standard error.
 */
bls_error *bls_instance_take_stderr(const bls_instance *instance, bls_bytes **made);

/**
 * Ends it, says what it used, and uses the instance up.
 */
bls_error *bls_instance_end(const bls_instance *instance, bls_ended **made);

/**
 * Frees an instance. NULL is fine.
 */
void bls_instance_free(bls_instance *instance);

/**
 * The bytes: as many as bls_bytes_length says.
 */
const uint8_t *bls_bytes_data(const bls_bytes *bytes);

/**
 * How many there are.
 */
size_t bls_bytes_length(const bls_bytes *bytes);

/**
 * Frees bytes. NULL is fine.
 */
void bls_bytes_free(bls_bytes *bytes);

/**
 * Stops the guest: within about a millisecond where it runs its own code or waits for a stream
 * or a time; behind the call where it is in another call of the host; at its next call where it
 * does not run. It cannot be called again.
 */
bls_error *bls_cancel_now(const bls_cancel *cancel);

/**
 * Frees what stops a guest. NULL is fine; the guest goes on.
 */
void bls_cancel_free(bls_cancel *cancel);

/**
 * Makes a runner of a guest that gets what the pool was made with, to ask for more, or other.
 * Its own functions, its stack and whether it can be stopped are the pool's, and its memory is
 * at most the pool's.
 */
bls_error *bls_pool_runner(const bls_pool *pool, bls_runner **made);

/**
 * Runs a guest to its end. It is an error, too, when as many guests as the pool has room for
 * are there.
 */
bls_error *bls_pool_run(const bls_pool *pool, bls_ended **made);

/**
 * Makes a guest to be called. It is an error, too, when as many guests as the pool has room for
 * are there.
 */
bls_error *bls_pool_instantiate(const bls_pool *pool, bls_instance **made);

/**
 * Frees a pool. NULL is fine.
 */
void bls_pool_free(bls_pool *pool);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* BLS_H */
