  ;; What a request says: JSON, read where nobody but this module writes.
  ;;
  ;; Functions that read take a place and an end, and give the place behind what they read, or 0
  ;; where it is none. Text is read as RFC 8259 says, at most 128 deep; bytes of strings must be
  ;; UTF-8. Nothing here trusts a length that it has not compared with the end.

  ;; The byte at a place; 0, which stands nowhere in JSON, at the end.
  (func $peek (param $at i32) (param $end i32) (result i32)
    (if (result i32) (i32.lt_u (local.get $at) (local.get $end))
      (then (i32.load8_u $s (local.get $at)))
      (else (i32.const 0))))

  ;; Behind white space.
  (func $space (param $at i32) (param $end i32) (result i32)
    (local $byte i32)
    (loop $next
      (local.set $byte (call $peek (local.get $at) (local.get $end)))
      (if (call $is_space (local.get $byte))
        (then
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br $next))))
    (local.get $at))

  (func $is_space (param $byte i32) (result i32)
    (i32.or
      (i32.or (i32.eq (local.get $byte) (i32.const 32)) (i32.eq (local.get $byte) (i32.const 10)))
      (i32.or (i32.eq (local.get $byte) (i32.const 13)) (i32.eq (local.get $byte) (i32.const 9)))))

  (func $is_digit (param $byte i32) (result i32)
    (i32.lt_u (i32.sub (local.get $byte) (i32.const 48)) (i32.const 10)))

  ;; The value of a hexadecimal digit; -1 for what is none.
  (func $hex (param $byte i32) (result i32)
    (if (call $is_digit (local.get $byte))
      (then (return (i32.sub (local.get $byte) (i32.const 48)))))
    (local.set $byte (i32.sub (i32.or (local.get $byte) (i32.const 32)) (i32.const 97)))
    (select
      (i32.add (local.get $byte) (i32.const 10))
      (i32.const -1)
      (i32.lt_u (local.get $byte) (i32.const 6))))

  ;; The number that four hexadecimal digits are; -1 where they are not there.
  (func $hex4 (param $at i32) (param $end i32) (result i32)
    (local $value i32) (local $digit i32) (local $count i32)
    (loop $next
      (local.set $digit (call $hex (call $peek (local.get $at) (local.get $end))))
      (if (i32.lt_s (local.get $digit) (i32.const 0)) (then (return (i32.const -1))))
      (local.set $value (i32.or (i32.shl (local.get $value) (i32.const 4)) (local.get $digit)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $count) (i32.const 4))))
    (local.get $value))

  ;; How many bytes the character at a place has in UTF-8; 0 for what is none. Its first byte is
  ;; above 127.
  (func $utf8 (param $at i32) (param $end i32) (result i32)
    (local $first i32) (local $second i32) (local $length i32) (local $low i32) (local $high i32)
    (local $more i32)
    (local.set $first (call $peek (local.get $at) (local.get $end)))
    (local.set $second (call $peek (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
    (local.set $low (i32.const 0x80))
    (local.set $high (i32.const 0xbf))
    (if (i32.lt_u (local.get $first) (i32.const 0xc2)) (then (return (i32.const 0))))
    (if (i32.gt_u (local.get $first) (i32.const 0xf4)) (then (return (i32.const 0))))
    (local.set $length (i32.const 2))
    (if (i32.ge_u (local.get $first) (i32.const 0xe0)) (then (local.set $length (i32.const 3))))
    (if (i32.ge_u (local.get $first) (i32.const 0xf0)) (then (local.set $length (i32.const 4))))
    ;; No longer spelling than needed, no surrogate, nothing above U+10FFFF.
    (if (i32.eq (local.get $first) (i32.const 0xe0)) (then (local.set $low (i32.const 0xa0))))
    (if (i32.eq (local.get $first) (i32.const 0xed)) (then (local.set $high (i32.const 0x9f))))
    (if (i32.eq (local.get $first) (i32.const 0xf0)) (then (local.set $low (i32.const 0x90))))
    (if (i32.eq (local.get $first) (i32.const 0xf4)) (then (local.set $high (i32.const 0x8f))))
    (if (i32.lt_u (local.get $second) (local.get $low)) (then (return (i32.const 0))))
    (if (i32.gt_u (local.get $second) (local.get $high)) (then (return (i32.const 0))))
    (local.set $more (i32.const 2))
    (loop $next
      (if (i32.lt_u (local.get $more) (local.get $length))
        (then
          (local.set $second
            (call $peek (i32.add (local.get $at) (local.get $more)) (local.get $end)))
          (if (i32.ne (i32.and (local.get $second) (i32.const 0xc0)) (i32.const 0x80))
            (then (return (i32.const 0))))
          (local.set $more (i32.add (local.get $more) (i32.const 1)))
          (br $next))))
    (local.get $length))

  ;; Behind the string that begins at a place with its quotation mark.
  (func $string (param $at i32) (param $end i32) (result i32)
    (local $byte i32) (local $length i32)
    (if (i32.ne (call $peek (local.get $at) (local.get $end)) (i32.const 34))
      (then (return (i32.const 0))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (loop $next
      (local.set $byte (call $peek (local.get $at) (local.get $end)))
      (if (i32.eq (local.get $byte) (i32.const 34))
        (then (return (i32.add (local.get $at) (i32.const 1)))))
      ;; A control character, or the end.
      (if (i32.lt_u (local.get $byte) (i32.const 32)) (then (return (i32.const 0))))
      (local.set $length (i32.const 1))
      (if (i32.eq (local.get $byte) (i32.const 92))
        (then
          (local.set $length (call $escape (local.get $at) (local.get $end)))
          (if (i32.eqz (local.get $length)) (then (return (i32.const 0))))))
      (if (i32.gt_u (local.get $byte) (i32.const 127))
        (then
          (local.set $length (call $utf8 (local.get $at) (local.get $end)))
          (if (i32.eqz (local.get $length)) (then (return (i32.const 0))))))
      (local.set $at (i32.add (local.get $at) (local.get $length)))
      (br $next))
    (unreachable))

  ;; How many bytes the escape at a place has, one behind a backslash; 0 for what is none.
  (func $escape (param $at i32) (param $end i32) (result i32)
    (local $byte i32) (local $unit i32)
    (local.set $byte (call $peek (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
    (if (i32.eq (local.get $byte) (i32.const 117))
      (then
        (local.set $unit (call $hex4 (i32.add (local.get $at) (i32.const 2)) (local.get $end)))
        (if (i32.lt_s (local.get $unit) (i32.const 0)) (then (return (i32.const 0))))
        ;; Half of a pair alone is no character.
        (if (i32.eq (i32.and (local.get $unit) (i32.const 0xfc00)) (i32.const 0xdc00))
          (then (return (i32.const 0))))
        (if (i32.eq (i32.and (local.get $unit) (i32.const 0xfc00)) (i32.const 0xd800))
          (then
            (if (i32.ne (call $peek (i32.add (local.get $at) (i32.const 6)) (local.get $end))
                        (i32.const 92))
              (then (return (i32.const 0))))
            (if (i32.ne (call $peek (i32.add (local.get $at) (i32.const 7)) (local.get $end))
                        (i32.const 117))
              (then (return (i32.const 0))))
            (local.set $unit (call $hex4 (i32.add (local.get $at) (i32.const 8)) (local.get $end)))
            (if (i32.lt_s (local.get $unit) (i32.const 0)) (then (return (i32.const 0))))
            (if (i32.ne (i32.and (local.get $unit) (i32.const 0xfc00)) (i32.const 0xdc00))
              (then (return (i32.const 0))))
            (return (i32.const 12))))
        (return (i32.const 6))))
    (select (i32.const 2) (i32.const 0) (call $escaped (local.get $byte))))

  ;; The byte that a letter behind a backslash stands for; 0 for one that stands for none.
  (func $escaped (param $letter i32) (result i32)
    (if (i32.eq (local.get $letter) (i32.const 34)) (then (return (i32.const 34))))
    (if (i32.eq (local.get $letter) (i32.const 92)) (then (return (i32.const 92))))
    (if (i32.eq (local.get $letter) (i32.const 47)) (then (return (i32.const 47))))
    (if (i32.eq (local.get $letter) (i32.const 98)) (then (return (i32.const 8))))
    (if (i32.eq (local.get $letter) (i32.const 102)) (then (return (i32.const 12))))
    (if (i32.eq (local.get $letter) (i32.const 110)) (then (return (i32.const 10))))
    (if (i32.eq (local.get $letter) (i32.const 114)) (then (return (i32.const 13))))
    (if (i32.eq (local.get $letter) (i32.const 116)) (then (return (i32.const 9))))
    (i32.const 0))

  ;; Behind digits, of which there must be one.
  (func $digits (param $at i32) (param $end i32) (result i32)
    (if (i32.eqz (call $is_digit (call $peek (local.get $at) (local.get $end))))
      (then (return (i32.const 0))))
    (loop $next
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (call $is_digit (call $peek (local.get $at) (local.get $end)))))
    (local.get $at))

  ;; Behind a number.
  (func $number (param $at i32) (param $end i32) (result i32)
    (local $byte i32)
    (if (i32.eq (call $peek (local.get $at) (local.get $end)) (i32.const 45))
      (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
    (if (i32.eq (call $peek (local.get $at) (local.get $end)) (i32.const 48))
      (then (local.set $at (i32.add (local.get $at) (i32.const 1))))
      (else
        (local.set $at (call $digits (local.get $at) (local.get $end)))
        (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))))
    (if (i32.eq (call $peek (local.get $at) (local.get $end)) (i32.const 46))
      (then
        (local.set $at
          (call $digits (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
        (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))))
    (if (i32.eq (i32.or (call $peek (local.get $at) (local.get $end)) (i32.const 32)) (i32.const 101))
      (then
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $byte (call $peek (local.get $at) (local.get $end)))
        (if (i32.or (i32.eq (local.get $byte) (i32.const 43)) (i32.eq (local.get $byte) (i32.const 45)))
          (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
        (return (call $digits (local.get $at) (local.get $end)))))
    (local.get $at))

  ;; Behind a word of so many letters, which begin the eight bytes $word.
  (func $word (param $at i32) (param $end i32) (param $word i64) (param $length i32) (result i32)
    (loop $next
      (if (i32.eqz (local.get $length)) (then (return (local.get $at))))
      (if (i32.ne (call $peek (local.get $at) (local.get $end))
                  (i32.and (i32.wrap_i64 (local.get $word)) (i32.const 255)))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $word (i64.shr_u (local.get $word) (i64.const 8)))
      (local.set $length (i32.sub (local.get $length) (i32.const 1)))
      (br $next))
    (unreachable))

  ;; Behind a value of any kind.
  (func $value (param $at i32) (param $end i32) (param $depth i32) (result i32)
    (local $byte i32)
    (local.set $byte (call $peek (local.get $at) (local.get $end)))
    (if (i32.eq (local.get $byte) (i32.const 34))
      (then (return (call $string (local.get $at) (local.get $end)))))
    (if (i32.eq (local.get $byte) (i32.const 123))
      (then (return (call $members (local.get $at) (local.get $end) (local.get $depth)
        (i32.const 125)))))
    (if (i32.eq (local.get $byte) (i32.const 91))
      (then (return (call $members (local.get $at) (local.get $end) (local.get $depth)
        (i32.const 93)))))
    (if (i32.eq (local.get $byte) (i32.const 116))
      (then (return (call $word (local.get $at) (local.get $end)
        (i64.const 0x65757274) (i32.const 4)))))
    (if (i32.eq (local.get $byte) (i32.const 102))
      (then (return (call $word (local.get $at) (local.get $end)
        (i64.const 0x65736c6166) (i32.const 5)))))
    (if (i32.eq (local.get $byte) (i32.const 110))
      (then (return (call $word (local.get $at) (local.get $end)
        (i64.const 0x6c6c756e) (i32.const 4)))))
    (call $number (local.get $at) (local.get $end)))

  ;; Behind an object or an array, which closes with $close.
  (func $members (param $at i32) (param $end i32) (param $depth i32) (param $close i32) (result i32)
    (local $byte i32)
    (if (i32.eqz (local.get $depth)) (then (return (i32.const 0))))
    (local.set $at
      (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))
    (if (i32.eq (call $peek (local.get $at) (local.get $end)) (local.get $close))
      (then (return (i32.add (local.get $at) (i32.const 1)))))
    (loop $next
      (if (i32.eq (local.get $close) (i32.const 125))
        (then
          (local.set $at (call $string (local.get $at) (local.get $end)))
          (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
          (local.set $at (call $colon (local.get $at) (local.get $end)))
          (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))))
      (local.set $at
        (call $value (local.get $at) (local.get $end)
          (i32.sub (local.get $depth) (i32.const 1))))
      (if (i32.eqz (local.get $at)) (then (return (i32.const 0))))
      (local.set $at (call $space (local.get $at) (local.get $end)))
      (local.set $byte (call $peek (local.get $at) (local.get $end)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (if (i32.eq (local.get $byte) (local.get $close)) (then (return (local.get $at))))
      (if (i32.ne (local.get $byte) (i32.const 44)) (then (return (i32.const 0))))
      (local.set $at (call $space (local.get $at) (local.get $end)))
      (br $next))
    (unreachable))

  ;; Behind a colon and the white space around it.
  (func $colon (param $at i32) (param $end i32) (result i32)
    (local.set $at (call $space (local.get $at) (local.get $end)))
    (if (i32.ne (call $peek (local.get $at) (local.get $end)) (i32.const 58))
      (then (return (i32.const 0))))
    (call $space (i32.add (local.get $at) (i32.const 1)) (local.get $end)))

  ;; Takes white space out of a value, in its place; its length.
  (func $squeeze (param $from i32) (param $end i32) (result i32)
    (local $begin i32) (local $to i32) (local $byte i32) (local $inside i32)
    (local.set $begin (local.get $from))
    (local.set $to (local.get $from))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $byte (i32.load8_u $s (local.get $from)))
        (local.set $from (i32.add (local.get $from) (i32.const 1)))
        (if (i32.eqz (local.get $inside))
          (then (br_if $next (call $is_space (local.get $byte)))))
        (i32.store8 $s (local.get $to) (local.get $byte))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (if (i32.eq (local.get $byte) (i32.const 34))
          (then (local.set $inside (i32.eqz (local.get $inside)))))
        ;; What stands behind a backslash ends no string.
        (if (i32.eq (local.get $byte) (i32.const 92))
          (then
            (i32.store8 $s (local.get $to) (i32.load8_u $s (local.get $from)))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))))
        (br $next)))
    (i32.sub (local.get $to) (local.get $begin)))

  ;; Undoes the escapes between two quotation marks, in their place; the length. The string was
  ;; read before, so that each escape is whole.
  (func $unescape (param $from i32) (param $end i32) (result i32)
    (local $begin i32) (local $to i32) (local $byte i32) (local $code i32)
    (local.set $begin (local.get $from))
    (local.set $to (local.get $from))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $from) (local.get $end)))
        (local.set $byte (i32.load8_u $s (local.get $from)))
        (if (i32.ne (local.get $byte) (i32.const 92))
          (then
            (i32.store8 $s (local.get $to) (local.get $byte))
            (local.set $from (i32.add (local.get $from) (i32.const 1)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))
            (br $next)))
        (local.set $byte (i32.load8_u $s offset=1 (local.get $from)))
        (if (i32.ne (local.get $byte) (i32.const 117))
          (then
            (i32.store8 $s (local.get $to) (call $escaped (local.get $byte)))
            (local.set $from (i32.add (local.get $from) (i32.const 2)))
            (local.set $to (i32.add (local.get $to) (i32.const 1)))
            (br $next)))
        (local.set $code (call $hex4 (i32.add (local.get $from) (i32.const 2)) (local.get $end)))
        (local.set $from (i32.add (local.get $from) (i32.const 6)))
        (if (i32.eq (i32.and (local.get $code) (i32.const 0xfc00)) (i32.const 0xd800))
          (then
            (local.set $code
              (i32.add
                (i32.const 0x10000)
                (i32.or
                  (i32.shl (i32.and (local.get $code) (i32.const 0x3ff)) (i32.const 10))
                  (i32.and
                    (call $hex4 (i32.add (local.get $from) (i32.const 2)) (local.get $end))
                    (i32.const 0x3ff)))))
            (local.set $from (i32.add (local.get $from) (i32.const 6)))))
        (local.set $to (call $encode (local.get $to) (local.get $code)))
        (br $next)))
    (i32.sub (local.get $to) (local.get $begin)))

  ;; Writes a character in UTF-8; the place behind it. It is not longer than its escape.
  (func $encode (param $to i32) (param $code i32) (result i32)
    (if (i32.lt_u (local.get $code) (i32.const 0x80))
      (then
        (i32.store8 $s (local.get $to) (local.get $code))
        (return (i32.add (local.get $to) (i32.const 1)))))
    (if (i32.lt_u (local.get $code) (i32.const 0x800))
      (then
        (i32.store8 $s (local.get $to)
          (i32.or (i32.const 0xc0) (i32.shr_u (local.get $code) (i32.const 6))))
        (call $tail (i32.add (local.get $to) (i32.const 1)) (local.get $code) (i32.const 0))
        (return (i32.add (local.get $to) (i32.const 2)))))
    (if (i32.lt_u (local.get $code) (i32.const 0x10000))
      (then
        (i32.store8 $s (local.get $to)
          (i32.or (i32.const 0xe0) (i32.shr_u (local.get $code) (i32.const 12))))
        (call $tail (i32.add (local.get $to) (i32.const 1)) (local.get $code) (i32.const 6))
        (call $tail (i32.add (local.get $to) (i32.const 2)) (local.get $code) (i32.const 0))
        (return (i32.add (local.get $to) (i32.const 3)))))
    (i32.store8 $s (local.get $to)
      (i32.or (i32.const 0xf0) (i32.shr_u (local.get $code) (i32.const 18))))
    (call $tail (i32.add (local.get $to) (i32.const 1)) (local.get $code) (i32.const 12))
    (call $tail (i32.add (local.get $to) (i32.const 2)) (local.get $code) (i32.const 6))
    (call $tail (i32.add (local.get $to) (i32.const 3)) (local.get $code) (i32.const 0))
    (i32.add (local.get $to) (i32.const 4)))

  ;; One of the later bytes of a character.
  (func $tail (param $to i32) (param $code i32) (param $shift i32)
    (i32.store8 $s (local.get $to)
      (i32.or
        (i32.const 0x80)
        (i32.and (i32.shr_u (local.get $code) (local.get $shift)) (i32.const 0x3f)))))
