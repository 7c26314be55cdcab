;; A plug-in for plugins.rs: makes small letters capital ones.
(module
  (import "host" "log" (func $log (param i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "shouting")
  (func (export "allocate") (param $length i32) (result i32)
    (if (i32.gt_u (local.get $length) (i32.const 60000)) (then (unreachable)))
    (i32.const 1024))
  (func (export "transform") (param $at i32) (param $length i32) (result i32)
    (local $end i32)
    (call $log (i32.const 0) (i32.const 8))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (if (i32.lt_u (i32.sub (i32.load8_u (local.get $at)) (i32.const 97)) (i32.const 26))
          (then (i32.store8 (local.get $at)
            (i32.sub (i32.load8_u (local.get $at)) (i32.const 32)))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $length)))
