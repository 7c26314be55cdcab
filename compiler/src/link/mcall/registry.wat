  ;; Which methods there are, which of them were registered, and what a request asks for.
  ;;
  ;; A row has 16 bytes: where its full name is, how long it is, the number of its library (-1:
  ;; it cannot be called), and whether it was registered. Rows are sorted by their names.

  ;; Room for so many bytes behind all that is in use; 0 where there is none. It is given back by
  ;; setting $top to what it was.
  (func $room (param $length i32) (result i32)
    (local $at i32) (local $end i64) (local $pages i64)
    (local.set $at (global.get $top))
    ;; One byte more: the place of an empty request is not 0, and what is read ends in it.
    (local.set $end
      (i64.add
        (i64.extend_i32_u (local.get $at))
        (i64.add (i64.extend_i32_u (local.get $length)) (i64.const 1))))
    (if (i64.ge_u (local.get $end) (i64.const 0xffff0000)) (then (return (i32.const 0))))
    (local.set $pages
      (i64.shr_u (i64.add (local.get $end) (i64.const 65535)) (i64.const 16)))
    (local.set $pages
      (i64.sub (local.get $pages) (i64.extend_i32_u (memory.size $s))))
    (if (i64.gt_s (local.get $pages) (i64.const 0))
      (then
        (if (i32.eq (memory.grow $s (i32.wrap_i64 (local.get $pages))) (i32.const -1))
          (then (return (i32.const 0))))))
    (global.set $top (i32.wrap_i64 (local.get $end)))
    (local.get $at))

  ;; Below 0 where the first text comes before the second, 0 where they are the same.
  (func $compare (param $a i32) (param $a_length i32) (param $b i32) (param $b_length i32)
                 (result i32)
    (local $at i32) (local $difference i32)
    (loop $next
      (if (i32.and
            (i32.lt_u (local.get $at) (local.get $a_length))
            (i32.lt_u (local.get $at) (local.get $b_length)))
        (then
          (local.set $difference
            (i32.sub
              (i32.load8_u $s (i32.add (local.get $a) (local.get $at)))
              (i32.load8_u $s (i32.add (local.get $b) (local.get $at)))))
          (if (local.get $difference) (then (return (local.get $difference))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (i32.sub
      (i32.gt_u (local.get $a_length) (local.get $b_length))
      (i32.lt_u (local.get $a_length) (local.get $b_length))))

  ;; The number of the row that has this name; -1 where none has it.
  (func $find (param $name i32) (param $length i32) (result i32)
    (local $low i32) (local $high i32) (local $middle i32) (local $row i32) (local $order i32)
    (local.set $high (global.get $rows))
    (loop $next
      (if (i32.ge_u (local.get $low) (local.get $high)) (then (return (i32.const -1))))
      (local.set $middle
        (i32.shr_u (i32.add (local.get $low) (local.get $high)) (i32.const 1)))
      (local.set $row (call $row (local.get $middle)))
      (local.set $order
        (call $compare
          (local.get $name) (local.get $length)
          (i32.load $s (local.get $row)) (i32.load $s offset=4 (local.get $row))))
      (if (i32.eqz (local.get $order)) (then (return (local.get $middle))))
      (if (i32.lt_s (local.get $order) (i32.const 0))
        (then (local.set $high (local.get $middle)))
        (else (local.set $low (i32.add (local.get $middle) (i32.const 1)))))
      (br $next))
    (unreachable))

  ;; Where a row is.
  (func $row (param $number i32) (result i32)
    (i32.add (global.get $table) (i32.shl (local.get $number) (i32.const 4))))

  ;; Reads the request of mcall: the number of a message, or 0; the name; the parameters.
  (func $read_call (param $at i32) (param $end i32)
                   (result i32) (result i32) (result i32) (result i32) (result i32)
    (local $key i32) (local $key_end i32) (local $behind i32) (local $byte i32)
    (local $name i32) (local $name_length i32) (local $given i32) (local $given_end i32)
    (local $message i32)
    (local.set $message (i32.const @SYNTAX))
    (block $stop
      (local.set $at (call $space (local.get $at) (local.get $end)))
      ;; All of it is JSON, and an object.
      (br_if $stop (i32.ne (call $peek (local.get $at) (local.get $end)) (i32.const 123)))
      (local.set $behind (call $value (local.get $at) (local.get $end) (i32.const @DEPTH)))
      (br_if $stop (i32.eqz (local.get $behind)))
      (br_if $stop
        (i32.ne (call $space (local.get $behind) (local.get $end)) (local.get $end)))
      (local.set $at
        (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
      (block $members
        (br_if $members
          (i32.eq (call $peek (local.get $at) (local.get $end)) (i32.const 125)))
        (loop $next
          (local.set $key (i32.add (local.get $at) (i32.const 1)))
          (local.set $at (call $string (local.get $at) (local.get $end)))
          (local.set $key_end (i32.sub (local.get $at) (i32.const 1)))
          (local.set $at (call $colon (local.get $at) (local.get $end)))
          (local.set $behind
            (call $value (local.get $at) (local.get $end) (i32.const @DEPTH)))
          ;; As it is from the second time on that a key stands there: the last one counts.
          (local.set $key_end (call $unescape (local.get $key) (local.get $key_end)))
          (if (i32.eqz (call $compare (local.get $key) (local.get $key_end)
                         (i32.const @MCALL) (i32.const 5)))
            (then
              (if (i32.ne (i32.load8_u $s (local.get $at)) (i32.const 34))
                (then
                  (local.set $message (i32.const @NO_NAME))
                  (br $stop)))
              (local.set $name (i32.add (local.get $at) (i32.const 1)))
              (local.set $name_length
                (call $unescape (local.get $name)
                  (i32.sub (local.get $behind) (i32.const 1))))))
          (if (i32.eqz (call $compare (local.get $key) (local.get $key_end)
                         (i32.const @PARAMS) (i32.const 6)))
            (then
              (local.set $given (local.get $at))
              (local.set $given_end (local.get $behind))))
          (local.set $at (call $space (local.get $behind) (local.get $end)))
          (local.set $byte (i32.load8_u $s (local.get $at)))
          (local.set $at
            (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
          (br_if $next (i32.eq (local.get $byte) (i32.const 44)))))
      (local.set $message (i32.const @NO_NODE))
      (br_if $stop (i32.eqz (local.get $name)))
      (local.set $message (i32.const 0))
      (if (i32.eqz (local.get $given))
        (then
          (local.set $given (i32.const @NULL))
          (local.set $given_end (i32.const 4)))
        (else
          (local.set $given_end (call $squeeze (local.get $given) (local.get $given_end))))))
    (local.get $message)
    (local.get $name)
    (local.get $name_length)
    (local.get $given)
    (local.get $given_end))

  ;; Reads the request of register, and registers the methods of library $library, whose name with
  ;; two colons behind it is at $prefix; the number of a message, or 0.
  (func $read_methods (param $at i32) (param $end i32) (param $library i32)
                      (param $prefix i32) (param $prefix_length i32) (result i32)
    (local $key i32) (local $key_end i32) (local $behind i32) (local $byte i32)
    (local $message i32)
    (local.set $message (i32.const @NO_METHODS))
    (local.set $at (call $space (local.get $at) (local.get $end)))
    (if (i32.ne (call $peek (local.get $at) (local.get $end)) (i32.const 123))
      (then (return (i32.const @SYNTAX))))
    (local.set $behind (call $value (local.get $at) (local.get $end) (i32.const @DEPTH)))
    (if (i32.eqz (local.get $behind)) (then (return (i32.const @SYNTAX))))
    (if (i32.ne (call $space (local.get $behind) (local.get $end)) (local.get $end))
      (then (return (i32.const @SYNTAX))))
    (local.set $at
      (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
    (if (i32.eq (call $peek (local.get $at) (local.get $end)) (i32.const 125))
      (then (return (local.get $message))))
    (loop $next
      (local.set $key (i32.add (local.get $at) (i32.const 1)))
      (local.set $at (call $string (local.get $at) (local.get $end)))
      (local.set $key_end (i32.sub (local.get $at) (i32.const 1)))
      (local.set $at (call $colon (local.get $at) (local.get $end)))
      (local.set $behind (call $value (local.get $at) (local.get $end) (i32.const @DEPTH)))
      (local.set $key_end (call $unescape (local.get $key) (local.get $key_end)))
      (if (i32.eqz (call $compare (local.get $key) (local.get $key_end)
                     (i32.const @METHODS) (i32.const 7)))
        (then
          (local.set $message
            (call $register_all (local.get $at) (local.get $behind) (local.get $library)
              (local.get $prefix) (local.get $prefix_length)))
          (if (local.get $message) (then (return (local.get $message))))))
      (local.set $at (call $space (local.get $behind) (local.get $end)))
      (local.set $byte (i32.load8_u $s (local.get $at)))
      (local.set $at
        (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
      (br_if $next (i32.eq (local.get $byte) (i32.const 44))))
    (local.get $message))

  ;; Registers the names in an array that was read before; the number of a message, or 0.
  (func $register_all (param $at i32) (param $end i32) (param $library i32)
                      (param $prefix i32) (param $prefix_length i32) (result i32)
    (local $name i32) (local $length i32) (local $full i32) (local $before i32) (local $byte i32)
    (if (i32.ne (i32.load8_u $s (local.get $at)) (i32.const 91))
      (then (return (i32.const @NO_METHODS))))
    (local.set $at
      (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
    (if (i32.eq (i32.load8_u $s (local.get $at)) (i32.const 93)) (then (return (i32.const 0))))
    (loop $next
      (if (i32.ne (i32.load8_u $s (local.get $at)) (i32.const 34))
        (then (return (i32.const @NO_METHODS))))
      (local.set $name (i32.add (local.get $at) (i32.const 1)))
      (local.set $at (call $string (local.get $at) (local.get $end)))
      (local.set $length
        (call $unescape (local.get $name) (i32.sub (local.get $at) (i32.const 1))))
      (local.set $before (global.get $top))
      (local.set $full
        (call $room (i32.add (local.get $prefix_length) (local.get $length))))
      (if (i32.eqz (local.get $full)) (then (return (i32.const @MEMORY))))
      (memory.copy $s $s (local.get $full) (local.get $prefix) (local.get $prefix_length))
      (memory.copy $s $s
        (i32.add (local.get $full) (local.get $prefix_length))
        (local.get $name)
        (local.get $length))
      (call $mark (local.get $full)
        (i32.add (local.get $prefix_length) (local.get $length)) (local.get $library))
      (global.set $top (local.get $before))
      (local.set $at (call $space (local.get $at) (local.get $end)))
      (local.set $byte (i32.load8_u $s (local.get $at)))
      (local.set $at
        (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
      (br_if $next (i32.eq (local.get $byte) (i32.const 44))))
    (i32.const 0))

  ;; Registers one name, where the library has it.
  (func $mark (param $name i32) (param $length i32) (param $library i32)
    (local $row i32)
    (local.set $row (call $find (local.get $name) (local.get $length)))
    (if (i32.lt_s (local.get $row) (i32.const 0)) (then (return)))
    (local.set $row (call $row (local.get $row)))
    (if (i32.or
          (i32.eq (i32.load $s offset=8 (local.get $row)) (local.get $library))
          (i32.eq (i32.load $s offset=8 (local.get $row)) (i32.const -1)))
      (then (i32.store $s offset=12 (local.get $row) (i32.const 1)))))
