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
