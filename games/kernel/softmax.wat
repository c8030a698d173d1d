;; p_i = exp(v_i - max v) / their sum, of float64, two at a time, in the place of v: count numbers
;; from address 0 on. count is even and at least 2. z = v_i - max v is at most 0.
;;
;; exp z = 2^k exp r with k = z / ln 2 rounded and r = z - k ln 2 in [-ln 2 / 2, ln 2 / 2], where the
;; series of exp is cut after r^13 / 13! (what is left out is below 1e-17). ln 2 comes in two parts, of
;; which the first has so few digits that its product with k is exact, as in fdlibm's exp. k ends in the
;; low bits of z / ln 2 + 1.5 * 2^52, from where it goes to the exponent's bits. Where exp z would not
;; be a normal number, from z = -708 down, 0 stands. The products are fused or not, as the machine has
;; it (relaxed SIMD).
;;
;; softmax.ts holds the bytes that wabt makes of this file.
(module
  (memory (export "memory") 1)
  (func (export "softmax") (param $count i32)
    (local $at i32) (local $end i32)
    (local $largest v128) (local $z v128) (local $shifted v128) (local $k v128) (local $r v128)
    (local $p v128) (local $sum v128) (local $inverse v128) (local $shift v128)
    (local $high v128) (local $low v128) (local $half v128) (local $one v128)
    (local $floor v128) (local $c3 v128) (local $c4 v128) (local $c5 v128) (local $c6 v128)
    (local $c7 v128) (local $c8 v128) (local $c9 v128) (local $c10 v128) (local $c11 v128)
    (local $c12 v128) (local $c13 v128)
    (local.set $end (i32.shl (local.get $count) (i32.const 3)))
    (local.set $largest (v128.load (i32.const 0)))
    (loop $maximum
      (local.set $largest (f64x2.pmax (local.get $largest) (v128.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $maximum (i32.lt_u (local.get $at) (local.get $end))))
    (local.set $largest (f64x2.pmax (local.get $largest)
      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7
        (local.get $largest) (local.get $largest))))
    ;; in locals, as engines would make constants anew in each turn of the loop
    (local.set $inverse (v128.const f64x2 0x1.71547652b82fep+0 0x1.71547652b82fep+0))
    (local.set $shift (v128.const f64x2 0x1.8p+52 0x1.8p+52))
    (local.set $high (v128.const f64x2 0x1.62e42feep-1 0x1.62e42feep-1))
    (local.set $low (v128.const f64x2 0x1.a39ef35793c76p-33 0x1.a39ef35793c76p-33))
    (local.set $c13 (v128.const f64x2 0x1.6124613a86d09p-33 0x1.6124613a86d09p-33))
    (local.set $c12 (v128.const f64x2 0x1.1eed8eff8d898p-29 0x1.1eed8eff8d898p-29))
    (local.set $c11 (v128.const f64x2 0x1.ae64567f544e4p-26 0x1.ae64567f544e4p-26))
    (local.set $c10 (v128.const f64x2 0x1.27e4fb7789f5cp-22 0x1.27e4fb7789f5cp-22))
    (local.set $c9 (v128.const f64x2 0x1.71de3a556c734p-19 0x1.71de3a556c734p-19))
    (local.set $c8 (v128.const f64x2 0x1.a01a01a01a01ap-16 0x1.a01a01a01a01ap-16))
    (local.set $c7 (v128.const f64x2 0x1.a01a01a01a01ap-13 0x1.a01a01a01a01ap-13))
    (local.set $c6 (v128.const f64x2 0x1.6c16c16c16c17p-10 0x1.6c16c16c16c17p-10))
    (local.set $c5 (v128.const f64x2 0x1.1111111111111p-7 0x1.1111111111111p-7))
    (local.set $c4 (v128.const f64x2 0x1.5555555555555p-5 0x1.5555555555555p-5))
    (local.set $c3 (v128.const f64x2 0x1.5555555555555p-3 0x1.5555555555555p-3))
    (local.set $half (v128.const f64x2 0.5 0.5))
    (local.set $one (v128.const f64x2 1 1))
    (local.set $floor (v128.const f64x2 -708 -708))
    (local.set $at (i32.const 0))
    (loop $exponentials
      (local.set $z (f64x2.sub (v128.load (local.get $at)) (local.get $largest)))
      (local.set $shifted
        (f64x2.add (f64x2.mul (local.get $z) (local.get $inverse)) (local.get $shift)))
      (local.set $k (f64x2.sub (local.get $shifted) (local.get $shift)))
      (local.set $r (f64x2.relaxed_nmadd (local.get $k) (local.get $high) (local.get $z)))
      (local.set $r (f64x2.relaxed_nmadd (local.get $k) (local.get $low) (local.get $r)))
      (local.set $p (local.get $c13))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c12)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c11)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c10)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c9)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c8)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c7)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c6)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c5)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c4)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $c3)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $half)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $one)))
      (local.set $p (f64x2.relaxed_madd (local.get $p) (local.get $r) (local.get $one)))
      (local.set $p (v128.andnot
        (i64x2.add (local.get $p) (i64x2.shl (local.get $shifted) (i32.const 52)))
        (f64x2.lt (local.get $z) (local.get $floor))))
      (v128.store (local.get $at) (local.get $p))
      (local.set $sum (f64x2.add (local.get $sum) (local.get $p)))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $exponentials (i32.lt_u (local.get $at) (local.get $end))))
    (local.set $sum (f64x2.add (local.get $sum)
      (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $sum) (local.get $sum))))
    (local.set $at (i32.const 0))
    (loop $normalise
      (v128.store (local.get $at) (f64x2.div (v128.load (local.get $at)) (local.get $sum)))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br_if $normalise (i32.lt_u (local.get $at) (local.get $end))))))
