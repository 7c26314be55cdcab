;; Loops three deep with different trip counts, two back edges to one loop, a break out
;; of two at once, a loop that runs once and one that never repeats.
;; Expected: "ok\n", exit code 0; the number of a check that fails otherwise.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\08\00\00\00\03\00\00\00ok\n")

  ;; Exits with the number of a check that fails.
  (func $check (param $number i32) (param $ok i32)
    (if (i32.eqz (local.get $ok)) (then (call $proc_exit (local.get $number)))))
  (func $ok
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))

  (func $count (param $n i32) (result i32)
    (local $i i32) (local $j i32) (local $k i32) (local $count i32)
    (loop $outer
      (local.set $j (i32.const 0))
      (loop $middle
        (local.set $k (local.get $j))
        (loop $inner
          (local.set $count (i32.add (local.get $count) (i32.const 1)))
          (br_if $inner
            (i32.lt_u
              (local.tee $k (i32.add (local.get $k) (i32.const 1)))
              (local.get $n))))
        (br_if $middle
          (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
      (loop $once)
      (br_if $outer
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $count))
  ;; The smallest product a*b above $n with a, b < 100, found by leaving two loops at once.
  (func $find (param $n i32) (result i32)
    (local $a i32) (local $b i32)
    (block $found
      (loop $rows
        (local.set $b (i32.const 0))
        (loop $columns
          (br_if $found (i32.gt_u (i32.mul (local.get $a) (local.get $b)) (local.get $n)))
          (local.set $b (i32.add (local.get $b) (i32.const 1)))
          (br_if $columns (i32.lt_u (local.get $b) (i32.const 100))))
        (local.set $a (i32.add (local.get $a) (i32.const 1)))
        (br_if $rows (i32.lt_u (local.get $a) (i32.const 100)))))
    (i32.mul (local.get $a) (local.get $b)))
  ;; Two back edges to one loop: the binary greatest common divisor's shape.
  (func $gcd (param $a i32) (param $b i32) (result i32)
    (loop $again
      (if (i32.gt_u (local.get $a) (local.get $b))
        (then
          (local.set $a (i32.sub (local.get $a) (local.get $b)))
          (br $again)))
      (if (i32.lt_u (local.get $a) (local.get $b))
        (then
          (local.set $b (i32.sub (local.get $b) (local.get $a)))
          (br $again))))
    (local.get $a))
  (func (export "_start")
    ;; n times the sum of 1 to n, n = 40.
    (call $check (i32.const 1) (i32.eq (call $count (i32.const 40)) (i32.const 32800)))
    (call $check (i32.const 2) (i32.eq (call $find (i32.const 5000)) (i32.const 5049)))
    (call $check (i32.const 3)
      (i32.eq (call $gcd (i32.const 1071) (i32.const 462)) (i32.const 21)))
    (call $ok)))
